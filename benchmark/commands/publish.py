"""`publish`: local records of twins become the published ones."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.commands.leaderboard import PUBLISHED, board_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.installation import advised
from ferbench.benchmark.records.record import VALIDATION, Record, read_records


def publish_records(results: Path, suite: str) -> int:
    """Replaces the published records of a suite by the local ones and renders the committed board; returns how many.

    Only twins are published: predictions on licensed data stay where they are.

    Raises:
        RequestError: there is nothing to publish, or less of a row than is published.
    """
    if results.resolve() == PUBLISHED.resolve():
        raise RequestError(f"{results}: these records are the published ones: name a folder of local ones")
    records = [r for r in read_records(results) if r.data["suite"] == suite and r.data["source"] == "twin"]
    if not records:
        first = advised(f"bench SUITE={suite}", f"run --suite {suite}")
        raise RequestError(f"{results}: no records of suite {suite!r} on twins: run {first} first")
    _keeps_seeds(records, suite)
    draft = PUBLISHED / f".{suite}"
    shutil.rmtree(draft, ignore_errors=True)
    for record in records:
        shutil.copytree(
            record.path, draft / record.path.relative_to(results / suite), ignore=shutil.ignore_patterns(VALIDATION)
        )
    shutil.rmtree(PUBLISHED / suite, ignore_errors=True)
    draft.rename(PUBLISHED / suite)
    render(PUBLISHED, board_of(PUBLISHED))
    return len(records)


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
