"""`export`: the board as CSV, JSON, LaTeX or a line to cite, or in the formats that others collect results in."""

from __future__ import annotations

from pathlib import Path

from ferbench.benchmark.board.exchange import every_eval_ever, hugging_face
from ferbench.benchmark.board.export import as_citation, as_csv, as_json, as_latex
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.sections import prepare, sections
from ferbench.benchmark.commands.leaderboard import folder_of
from ferbench.benchmark.errors import RequestError

FORMATS = {"csv": as_csv, "json": as_json, "latex": as_latex, "cite": as_citation}
FOLDERS = {"every-eval-ever": every_eval_ever, "huggingface": hugging_face}
"""Formats of one file a row."""


def export(results: Path, kind: str, out: Path | None) -> str:
    """Writes the export to `out`, and returns what there is to print.

    Raises:
        RequestError: an unknown format, no records, or a file that cannot be written.
    """
    if kind not in FORMATS and kind not in FOLDERS:
        raise RequestError(f"unknown format {kind!r}: use one of {', '.join([*FORMATS, *FOLDERS])}")
    if kind in FOLDERS and out is None:
        raise RequestError(f"the format {kind} is one file a row: name a folder for them: --out FOLDER")
    with all_records(folder_of(results)) as records:
        found = sections(records)
        prepare(found)
        content = FORMATS[kind](found) if kind in FORMATS else FOLDERS[kind](found)
    if out is None:
        return str(content).rstrip("\n")
    files = {out: content} if isinstance(content, str) else {out / name: text for name, text in content.items()}
    try:
        for file, text in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror}: use another --out") from None
    return f"{out} written" + (f": {len(files)} files" if kind in FOLDERS else "")
