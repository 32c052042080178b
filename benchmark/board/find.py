"""The row that a person names on the command line: one cell by its folder, or all cells of an architecture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.board.sections import protocol_id
from ferbench.benchmark.errors import RequestError, unknown_name
from ferbench.benchmark.records.record import RECORD, Record, read_record, read_records

_CELL = re.compile(r"seed(\d+)-fold(\d+)")


def find_row(results: Path, name: str) -> Row:
    """The row of the cells that `name` means.

    name: a cell's folder, or [SUITE/]DATASET/ARCHITECTURE[/seedS-foldF] below `results`; `-twin` may be left out.

    Raises:
        RequestError: there is none, there are several suites, sizes or protocols, or none of its cells has finished.
    """
    folder = Path(name)
    if (folder / RECORD).is_file():
        record = read_record(folder)
        if record is None:
            raise RequestError(f"{folder / RECORD}: not a record that can be read: run the cell again")
        found = [record]
    else:
        found = _named(read_records(results), name, results)
    row = pool(found)
    if not row.finished:
        raise RequestError(f"{name}: no finished cell: {found[0].data['error'] or 'no reason given'}")
    return row


def _named(records: Sequence[Record], name: str, results: Path) -> list[Record]:
    *path, last = name.strip("/").split("/")
    cell = _CELL.fullmatch(last)
    path = path if cell else [*path, last]
    if len(path) not in (2, 3):
        raise RequestError(f"cell {name!r}: name a folder, or [SUITE/]DATASET/ARCHITECTURE[/seedS-foldF]")
    dataset, architecture = path[-2:]
    of_suite = [r for r in records if len(path) == 2 or r.data["suite"] == path[0]]
    found = [
        r
        for r in of_suite
        if r.data["architecture"] == architecture
        and r.data["dataset"] in (dataset, f"{dataset}-twin")
        and (cell is None or (r.data["seed"], r.data["fold"]) == tuple(map(int, cell.groups())))
    ]
    if not found:
        known = {f"{r.data['dataset']}/{r.data['architecture']}" for r in of_suite}
        raise RequestError(f"{results}: {unknown_name('cell', f'{dataset}/{architecture}', known)}")
    kinds = {(r.data["suite"], r.data["dataset"], r.data["size"]): r for r in found}
    if len(kinds) > 1:
        choices = ", ".join(f"{suite}/{data}/{architecture}" for suite, data, _ in sorted(kinds))
        raise RequestError(f"cell {name!r} may be {choices}: name one of them")
    if len({protocol_id(r) for r in found if r.data["status"] == "ok"}) > 1:
        raise RequestError(f"cell {name!r} has records of several protocols: name one as {name}/seedS-foldF")
    return found
