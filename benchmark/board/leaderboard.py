"""Records to `leaderboard.md` and its plots: the board's main story."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.board import breakdowns, tables
from ferbench.benchmark.board.literature import Literature
from ferbench.benchmark.board.markdown import escape
from ferbench.benchmark.board.plots import Picture, Plots, draw
from ferbench.benchmark.board.provenance import provenance
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.sections import DataTable, Section, sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.installation import advised
from ferbench.benchmark.records.record import read_records

_HOW_TO_READ = """\
# Leaderboard

- **Data.** A name that ends in `-twin` is a synthetic stand-in, rendered by this project in the original's format: \
its scores compare architectures on that stand-in and say nothing about real faces. Twins and real data never share \
a table.
- **Score.** The headline is ABAW = 0.67 macro F1 + 0.33 accuracy, from 0 to 1. Read every row between the *floors* \
(always the most frequent class; a random draw) and the *oracle*, which sees what the images were made from.
- **Interval.** In brackets: 95% bootstrap over subjects (over videos where subjects are unknown, over samples where \
every sample is a still of somebody unknown). The spread over seeds and over folds is another thing and has columns of \
its own (standard deviations).
- **Rank groups.** Rows of one data set that cannot be told apart on its samples share a letter; between \
them a rank is chance. `docs/statistics.md` says how all this is computed and how it was tested."""


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
    with all_records(results) as records:
        _render(sections(records), results, out, published)


def _render(found: Sequence[Section], results: Path, out: Path, published: Path | None) -> None:
    literature = Literature()
    if not found:
        raise NoRecordsError(
            f"no records below {results}: run {advised('bench', 'run')} first, or name a folder with --results"
        )
    reference = _published(results, published, found)
    folders = [results / section.suite / "plots" for section in found]
    drawn = draw(found, folders)
    kept: dict[Path, set[str]] = {}
    parts = [_HOW_TO_READ]
    for index, (section, folder, plots) in enumerate(zip(found, folders, drawn, strict=True)):
        if index == 0 or found[index - 1].suite != section.suite:
            parts.append(f"## Suite {escape(section.suite)}")
        kept.setdefault(folder, set()).update(plots.files())
        parts.append(_section(section, plots, os.path.relpath(folder, out.parent), reference, literature))
    for folder, names in kept.items():
        for stale in {*folder.glob("*.png"), *folder.glob("*.svg")} - {folder / name for name in names}:
            stale.unlink()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8", newline="\n")


def _published(results: Path, published: Path | None, found: Sequence[Section]) -> Published | None:
    if published is None or published.resolve() == results.resolve():
        return None
    records = read_records(published)
    return Published(records, found) if records else None


def _section(section: Section, plots: Plots, folder: str, published: Published | None, literature: Literature) -> str:
    """One heading with its tables and plots."""
    kind = "Twins: synthetic data" if section.source == "twin" else "Real data"
    schema = f", record schema {section.schema}" if section.schema != 1 else ""
    parts = [f"### {kind}, size {escape(section.size)}{schema}"]
    parts += [escape(line)] if published and (line := published.line(section)) else []
    parts += ["#### All data sets", tables.all_datasets(section)]
    parts += [tables.across(section), *_pictures(folder, plots.across)]
    for table in section.tables:
        parts += _table(table, plots, folder, published, literature)
    curves = _pictures(folder, plots.training)
    parts += ["#### Learning curves and throughput", *curves] if curves else []
    return "\n\n".join([*parts, "#### Where these figures come from", provenance(section)])


def _table(
    table: DataTable, plots: Plots, folder: str, published: Published | None, literature: Literature
) -> list[str]:
    parts = [f"#### {escape(table.name)}", tables.scores(table, published, literature)]
    parts += _pictures(folder, plots.ranks.get(table.name, []))
    parts += [words] if (words := literature.words(table)) else []
    parts += [ablation] if (ablation := breakdowns.ablation(table)) else []
    parts += breakdowns.folded("What it costs", tables.costs(table))
    each = [breakdowns.classes(table), breakdowns.units(table, "subject"), breakdowns.units(table, "video")]
    return parts + breakdowns.folded(
        "Classes, subjects and videos", *_pictures(folder, plots.classes.get(table.name, [])), *each
    )


def _pictures(folder: str, drawn: Sequence[Picture]) -> list[str]:
    """Each picture, which leads to the one that can be enlarged."""
    parts = []
    for picture in drawn:
        path = Path(folder, picture.name).as_posix().replace(" ", "%20")
        parts.append(f"[![{escape(picture.title)}]({path}.png)]({path}.svg)")
    return parts
