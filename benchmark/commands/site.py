"""`site`: records -> web pages that open from disk."""

from __future__ import annotations

from pathlib import Path

from ferbench.benchmark.commands.leaderboard import PUBLISHED, folder_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records


def site(results: Path, out: Path) -> str:
    """Writes the site of the records below `results`, or of the published ones where there are none; returns what
    there is to print.

    Raises:
        RequestError: there are no records, `out` holds something else, or it cannot be written.
    """
    from ferbench.benchmark.board.reading import all_records
    from ferbench.benchmark.board.site.write import write_site

    folder = folder_of(results)
    same = folder.resolve() == PUBLISHED.resolve()
    published = [] if same or not PUBLISHED.is_dir() else read_records(PUBLISHED)
    try:
        with all_records(folder) as records:
            pages = write_site(records, out, published)
    except OSError as error:
        raise RequestError(f"{error.filename}: the site cannot be written: {error.strerror}: use --out DIR") from None
    return f"{pages} pages written: open {out / 'index.html'}"
