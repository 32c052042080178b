"""`export`: the board as CSV, JSON, LaTeX or a line to cite."""

from __future__ import annotations

from pathlib import Path

from ferbench.benchmark.board.export import as_citation, as_csv, as_json, as_latex
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.sections import prepare, sections
from ferbench.benchmark.commands.leaderboard import folder_of
from ferbench.benchmark.errors import RequestError

FORMATS = {"csv": as_csv, "json": as_json, "latex": as_latex, "cite": as_citation}


def export(results: Path, kind: str, out: Path | None) -> str:
    """Writes the export to `out`, and returns what there is to print.

    Raises:
        RequestError: an unknown format, no records, or a file that cannot be written.
    """
    if kind not in FORMATS:
        raise RequestError(f"unknown format {kind!r}: use one of {', '.join(FORMATS)}")
    with all_records(folder_of(results)) as records:
        found = sections(records)
        prepare(found)
        text = FORMATS[kind](found)
    if out is None:
        return text.rstrip("\n")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror}: use --out FILE") from None
    return f"{out} written"
