"""Records to `leaderboard.md` and its plots: the board's main story."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.board import tables
from benchmark.board.markdown import escape
from benchmark.board.plots import Plots, draw
from benchmark.board.provenance import provenance
from benchmark.board.reproduction import Published
from benchmark.board.sections import DataTable, Section, sections
from benchmark.errors import RequestError
from benchmark.records import read_records

_HOW_TO_READ = """\
# Leaderboard

- **Data.** A name that ends in `-twin` is a synthetic stand-in, rendered by this project in the original's format: \
its scores compare architectures on that stand-in and say nothing about real faces. Twins and real data never share \
a table.
- **Score.** The headline is ABAW = 0.67 macro F1 + 0.33 accuracy, from 0 to 1. Read every row between the *floors* \
(always the most frequent class; a random draw) and the *oracle*, which sees what the images were made from.
- **Interval.** In brackets: 95% bootstrap over subjects (over samples where subjects are unknown). Where intervals \
overlap, a rank may be chance."""


class NoRecordsError(RequestError, ValueError):
    """There is nothing to render."""


def render(results: Path, out: Path, published: Path | None = None) -> None:
    """Writes the leaderboard of all records below `results` to `out`, and plots to `<results>/<suite>/plots`.

    The same records give the same bytes. Plots that an earlier board left in those folders are removed.

    published: a folder of records like `results`; each row then says whether it reproduces the one there. None, a
    folder without records, or `results` itself: no such column.

    Raises:
        NoRecordsError: there is not one record below `results`.
        RequestError: a record or its predictions cannot be read.
    """
    found = sections(read_records(results))
    if not found:
        raise NoRecordsError(f"no records below {results}: run `make bench` first, or name a folder with --results")
    reference = _published(results, published)
    kept: dict[Path, set[str]] = {}
    parts = [_HOW_TO_READ]
    for index, section in enumerate(found):
        if index == 0 or found[index - 1].suite != section.suite:
            parts.append(f"## Suite {escape(section.suite)}")
        folder = results / section.suite / "plots"
        plots = draw(section, folder)
        kept.setdefault(folder, set()).update(plots.files())
        parts.append(_section(section, plots, os.path.relpath(folder, out.parent), reference))
    for folder, names in kept.items():
        for stale in set(folder.glob("*.png")) - {folder / name for name in names}:
            stale.unlink()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def _published(results: Path, published: Path | None) -> Published | None:
    if published is None or published.resolve() == results.resolve():
        return None
    records = read_records(published)
    return Published(records) if records else None


def _section(section: Section, plots: Plots, folder: str, published: Published | None) -> str:
    """One heading with its tables and plots."""
    kind = "Twins: synthetic data" if section.source == "twin" else "Real data"
    schema = f", record schema {section.schema}" if section.schema != 1 else ""
    parts = [f"### {kind}, size {escape(section.size)}{schema}", "#### All data sets", tables.all_datasets(section)]
    parts += [_picture(folder, plots.macs, "ABAW against multiply-adds")] if plots.macs else []
    parts += [_picture(folder, plots.latency, "ABAW against latency")] if plots.latency else []
    for table in section.tables:
        parts += _table(table, plots, folder, published)
    if plots.curves:
        parts += ["#### Learning curves", _picture(folder, plots.curves, "ABAW and loss over epochs")]
    return "\n\n".join([*parts, "#### Where these figures come from", provenance(section)])


def _table(table: DataTable, plots: Plots, folder: str, published: Published | None) -> list[str]:
    parts = [f"#### {escape(table.name)}", tables.scores(table, published)]
    costs = tables.costs(table)
    parts += [costs] if costs else []
    confusion = plots.confusions.get(table.name)
    return parts + ([_picture(folder, confusion, f"Confusion matrices on {table.name}")] if confusion else [])


def _picture(folder: str, file: str, title: str) -> str:
    path = Path(folder, file).as_posix().replace(" ", "%20")
    return f"![{escape(title)}]({path})"
