"""`leaderboard`: records -> markdown and plots."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import RequestError
from benchmark.provenance import CHECKOUT
from benchmark.records import RECORD

BOARD = Path("leaderboard.md")
PUBLISHED = CHECKOUT / "results" / "published"


def render_board(results: Path, out: Path) -> Path:
    """Renders the records below `results`, or the published ones where there are none; returns `out`.

    Raises:
        RequestError: there are no records, or the board cannot be written.
    """
    from benchmark.board.leaderboard import render

    if not any(results.glob(f"*/*/*/seed*-fold*/{RECORD}")):
        own = results.resolve() == PUBLISHED.parent.resolve()
        if not own or not PUBLISHED.is_dir():
            raise RequestError(f"{results}: no records there: run `make bench` first, or name a folder with --results")
        print(f"no records of this machine in {results}: rendering the published ones")
        results = results / PUBLISHED.name
    try:
        render(results, out, PUBLISHED if PUBLISHED.is_dir() else None)
    except OSError as error:
        raise RequestError(f"{error.filename}: the board cannot be written: {error.strerror}: use --out FILE") from None
    return out
