"""`publish`: local records of twins become the published ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmark.board.leaderboard import render
from benchmark.commands.leaderboard import BOARD, PUBLISHED
from benchmark.errors import RequestError
from benchmark.records import VALIDATION, read_records


def publish_records(results: Path, suite: str) -> int:
    """Replaces the published records of a suite by the local ones and renders the committed board; returns how many.

    Only twins are published: predictions on licensed data stay where they are.

    Raises:
        RequestError: there is nothing to publish.
    """
    if results.resolve() == PUBLISHED.resolve():
        raise RequestError(f"{results}: these records are the published ones: name a folder of local ones")
    records = [r for r in read_records(results) if r.data["suite"] == suite and r.data["source"] == "twin"]
    if not records:
        raise RequestError(f"{results}: no records of suite {suite!r} on twins: run `make bench SUITE={suite}` first")
    draft = PUBLISHED / f".{suite}"
    shutil.rmtree(draft, ignore_errors=True)
    for record in records:
        shutil.copytree(
            record.path, draft / record.path.relative_to(results / suite), ignore=shutil.ignore_patterns(VALIDATION)
        )
    shutil.rmtree(PUBLISHED / suite, ignore_errors=True)
    draft.rename(PUBLISHED / suite)
    render(PUBLISHED, BOARD)
    return len(records)
