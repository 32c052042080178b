"""`leaderboard`: records -> markdown and plots."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.installation import advised, published_folder
from ferbench.benchmark.records.record import record_files

BOARD = Path("leaderboard.md")
PUBLISHED = published_folder()


class Rendered(NamedTuple):
    """Where a board was written, and what it says of which row to pick, as plain text, by suite."""

    out: Path
    picks: dict[str, str]


def render_board(results: Path, out: Path | None = None) -> Rendered:
    """Renders the records below `results`, or the published ones where there are none.

    out: the file to write; when not named, the one that `board_of` these records is.

    Raises:
        RequestError: there are no records, or the board cannot be written.
    """
    from ferbench.benchmark.board.leaderboard import render

    results = folder_of(results)
    out = out or board_of(results)
    try:
        return Rendered(out, render(results, out, PUBLISHED if PUBLISHED.is_dir() else None))
    except OSError as error:
        raise RequestError(f"{error.filename}: the board cannot be written: {error.strerror}: use --out FILE") from None


def board_of(results: Path) -> Path:
    """Where the board of a folder of records belongs: in that folder, and of the published ones beside `results`."""
    if results.resolve() != PUBLISHED.resolve():
        return results / BOARD
    committed = PUBLISHED.parent.parent / BOARD
    return committed.relative_to(Path.cwd()) if committed.is_relative_to(Path.cwd()) else committed


def folder_of(results: Path) -> Path:
    """`results`, or the published records where this machine has none of its own.

    Raises:
        RequestError: there are no records.
    """
    if any(record_files(results)):
        return results
    own = results.resolve() == PUBLISHED.parent.resolve()
    if not own or not PUBLISHED.is_dir():
        raise RequestError(
            f"{results}: no records there: run {advised('bench', 'run')} first, or name a folder with --results"
        )
    print(f"no records of this machine in {results}: taking the published ones", file=sys.stderr)
    return results / PUBLISHED.name
