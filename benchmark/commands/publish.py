"""`publish`: local records of twins become the published ones."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.commands.leaderboard import BOARD, PUBLISHED, board_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.entries import CARD, ENTRIES
from ferbench.benchmark.records.explained import read_explained, write_explained
from ferbench.benchmark.records.folders import redone
from ferbench.benchmark.records.installation import advised
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, Record, read_records


def publish_records(results: Path, suite: str) -> int:
    """Replaces the published records of a suite by the local ones and renders the committed board; returns how many.

    Only twins are published: predictions on licensed data stay where they are.

    Raises:
        RequestError: there is nothing to publish, or less of a row than is published, or its folder holds something
            else.
    """
    if results.resolve() == PUBLISHED.resolve():
        raise RequestError(f"{results}: these records are the published ones: name a folder of local ones")
    records = [r for r in read_records(results) if r.data["suite"] == suite and r.data["source"] == "twin"]
    if not records:
        first = advised(f"bench SUITE={suite}", f"run --suite {suite}")
        raise RequestError(f"{results}: no records of suite {suite!r} on twins: run {first} first")
    _refuse_foreign(PUBLISHED / suite)
    _keeps_seeds(records, suite)
    shutil.rmtree(PUBLISHED / f".{suite}", ignore_errors=True)  # left where an earlier version was killed
    with redone(PUBLISHED / suite) as draft:
        for record in records:
            place = draft / record.path.relative_to(results / suite)
            place.mkdir(parents=True)
            for name in (PREDICTIONS, RECORD):
                with suppress(FileNotFoundError):  # one that failed has no predictions
                    shutil.copyfile(record.path / name, place / name)
            if (explained := read_explained(record)) is not None:
                write_explained(place, explained)
            with suppress(FileNotFoundError):  # a cell has none
                shutil.copyfile(record.path.parent / CARD, place.parent / CARD)
        if suite != ENTRIES:  # which stand on the pages of others
            render(draft.parent, draft.parent / BOARD)  # so that its pages and plots take their place with the records
    render(PUBLISHED, board_of(PUBLISHED))
    return len(records)


def _refuse_foreign(folder: Path) -> None:
    """Raises RequestError where a folder holds something else than published records, such as the gate's baseline."""
    holds_records = any(folder.glob(f"*/*/seed*-fold*/{RECORD}"))
    if folder.is_dir() and any(folder.iterdir()) and not holds_records:
        raise RequestError(
            f"{folder}: holds something other than published records, which publishing would remove: move it away, or "
            "give the suite another name"
        )


def _keeps_seeds(records: Sequence[Record], suite: str) -> None:
    """Raises RequestError where a row that is published would lose a seed."""
    before, after = _seeds([r for r in read_records(PUBLISHED) if r.data["suite"] == suite]), _seeds(records)
    for row in sorted(before.keys() & after.keys()):
        if lost := before[row] - after[row]:
            seeds = max(before[row]) + 1
            again = advised(f"bench SUITE={suite} SEEDS={seeds}", f"run --suite {suite} --seeds {seeds}")
            raise RequestError(
                f"{'/'.join(row)}: seed {min(lost)} is published and would be lost: run {again} first, or remove "
                f"{PUBLISHED / suite}"
            )


def _seeds(records: Sequence[Record]) -> dict[tuple[str, str], set[int]]:
    found: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in records:
        found[record.data["dataset"], record.data["architecture"]].add(record.data["seed"])
    return found
