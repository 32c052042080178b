"""The row that a person names on the command line: one cell by its folder, or all cells of an architecture."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import cache
from itertools import permutations
from pathlib import Path

from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.board.sections import protocol_id
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import RECORD, Record, read_record, read_records

_CELL = re.compile(r"seed(\d+)-fold(\d+)")
_LIKE = 0.5
"""What a word must share with a name for the name to be suggested."""


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
    row = [record for record in records if _is_of(record, path)]
    if not row:
        raise RequestError(f"{results}: unknown cell {'/'.join(path)!r}: {_hint(records, path)}")
    found = [r for r in row if cell is None or (r.data["seed"], r.data["fold"]) == tuple(map(int, cell.groups()))]
    if not found:
        there = ", ".join(dict.fromkeys(record.path.name for record in row))
        raise RequestError(f"{results}: unknown cell {last!r} of {'/'.join(path)}: there are: {there}")
    kinds = {(r.data["suite"], r.data["dataset"], r.data["size"]): r for r in found}
    if len(kinds) > 1:
        choices = ", ".join(f"{suite}/{data}/{path[-1]}" for suite, data, _ in sorted(kinds))
        raise RequestError(f"cell {name!r} may be {choices}: name one of them")
    if len({protocol_id(r) for r in found if r.data["status"] == "ok"}) > 1:
        raise RequestError(f"cell {name!r} has records of several protocols: name one as {name}/seedS-foldF")
    return found


def _is_of(record: Record, path: Sequence[str]) -> bool:
    """Whether a record is of [SUITE/]DATASET/ARCHITECTURE; an architecture may be written as its folder is named."""
    *suite, dataset, architecture = path
    return (
        record.data["dataset"] in (dataset, f"{dataset}-twin")
        and architecture in (record.data["architecture"], record.path.parent.name)
        and suite in ([], [record.data["suite"]])
    )


def _hint(records: Sequence[Record], path: Sequence[str]) -> str:
    """The row that was most likely meant, its words in whichever order; else what there is in place of the first word
    that nothing has."""
    axes = ("suite", "dataset", "architecture")[-len(path) :]
    known = sorted({tuple(str(record.data[axis]) for axis in axes) for record in records})
    near = max(known, key=lambda row: _likeness(path, row), default=())
    if near and _likeness(path, near) >= _LIKE:
        return f"did you mean {'/'.join(near)!r}?"
    for place, word in enumerate(path):
        there = sorted({row[place] for row in known})
        known = [row for row in known if row[place] in (word, f"{word}-twin")]
        if not known:
            within = f" in {'/'.join(path[:place])}" if place else ""
            kind = axes[place].replace("dataset", "data set")
            return f"no {kind} {word!r}{within}: there are: {', '.join(there) or 'none'}"
    raise AssertionError("a row of this name is there")


def _likeness(path: Sequence[str], row: Sequence[str]) -> float:
    """How much a row is like these words in the order that fits best: 1 the same, 0 where a word is like none of it."""
    return max(
        sum(ratios) / len(ratios) if min(ratios) >= _LIKE else 0.0
        for words in permutations(path)
        for ratios in [[_ratio(word, name.removesuffix("-twin")) for word, name in zip(words, row, strict=True)]]
    )


@cache
def _ratio(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word.removesuffix("-twin"), name).ratio()
