"""Records to `leaderboard.md`, its pages and its plots: the board's main story."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.board import pages, picks
from ferbench.benchmark.board.literature import Literature
from ferbench.benchmark.board.markdown import escape, link
from ferbench.benchmark.board.matrices import is_transfer
from ferbench.benchmark.board.pages import PLOTS, SUITE_PAGE, Shown, page_of
from ferbench.benchmark.board.plots import draw
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.sections import Section, sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.installation import advised
from ferbench.benchmark.records.record import read_records

_ABOUT_TWINS = (
    "A name that ends in `-twin` is a synthetic stand-in of a data set: its scores say nothing about real faces."
)

IN_FULL = 2
"""Suites whose tables of all data sets stand on the board itself; those of the others stand on their pages."""


class NoRecordsError(RequestError, ValueError):
    """There is nothing to render."""


def render(results: Path, out: Path, published: Path | None = None) -> dict[str, str]:
    """Writes the leaderboard of all records below `results` to `out`, and pages and plots of each suite to
    `<results>/<suite>` and `<results>/<suite>/plots`; returns what to pick as plain text, by suite.

    The same records give the same bytes. Pages and plots that an earlier board left in those folders are removed.

    published: a folder of records like `results`; each row then says whether it reproduces the one there. None, a
    folder without records, or `results` itself: no such column.

    Raises:
        NoRecordsError: there is not one record below `results`.
        RequestError: a record or its predictions cannot be read, or a file that the board did not write is in its way.
    """
    with all_records(results) as records:
        return _render(sections(records), results, out, published)


def _render(found: Sequence[Section], results: Path, out: Path, published: Path | None) -> dict[str, str]:
    literature = Literature()
    if not found:
        raise NoRecordsError(
            f"no records below {results}: run {advised('bench', 'run')} first, or name a folder with --results"
        )
    for section in found:
        names = [SUITE_PAGE, *(page_of(table.dataset) for table in section.tables)]
        pages.refuse_foreign(results / section.suite, names)
    reference = _published(results, published, found)
    drawn = draw(found, [results / section.suite / PLOTS for section in found])
    suites: dict[str, list[Shown]] = defaultdict(list)
    for section, plots in zip(found, drawn, strict=True):
        line = reference.line(section) if reference else ""
        suites[section.suite].append(Shown(section, plots, line))
    for suite, shown in suites.items():
        pages.write(results / suite, pages.pages(shown, reference, literature))
        _remove_stale(results / suite / PLOTS, {name for each in shown for name in each.plots.files()})
    out.parent.mkdir(parents=True, exist_ok=True)
    folders = {suite: Path(os.path.relpath(results / suite, out.parent)).as_posix() for suite in suites}
    every = [each for shown in suites.values() for each in shown]
    with drafted(out) as draft:
        draft.write_text(_board(every, folders), encoding="utf-8", newline="\n")
    return {
        suite: "\n\n".join(text for each in shown for text in (picks.words(each.section), each.reproduced) if text)
        for suite, shown in suites.items()
    }


def _published(results: Path, published: Path | None, found: Sequence[Section]) -> Published | None:
    if published is None or published.resolve() == results.resolve():
        return None
    records = read_records(published)
    return Published(records, found) if records else None


def _remove_stale(folder: Path, kept: set[str]) -> None:
    """Removes the plots that an earlier board left."""
    for plot in {*folder.glob("*.png"), *folder.glob("*.svg")} - {folder / name for name in kept}:
        plot.unlink()


def _board(every: Sequence[Shown], folders: dict[str, str]) -> str:
    """What to pick; then of each section the table of all data sets, and where everything else is.

    folders: of each suite, as seen from the board.
    """
    parts = ["# Leaderboard", "## What to pick"]
    parts += [_ABOUT_TWINS] if any(each.section.source == "twin" for each in every) else []
    for each in every:
        if is_transfer(each.section):
            continue
        parts += [_heading(each.section), picks.markdown(each.section, pages.linked(folders[each.section.suite]))]
        parts += [escape(each.reproduced)] if each.reproduced else []
    parts += [picks.HOW_TO_READ, "## All data sets"]
    shown = list(folders)[:IN_FULL]
    for each in every:
        parts += _section(each, folders[each.section.suite], each.section.suite in shown)
    return "\n\n".join([*parts, "## How to read this", pages.HOW_TO_READ]) + "\n"


def _section(shown: Shown, folder: str, in_full: bool) -> list[str]:
    """One heading with what can be said of all data sets, in full or where to find it, and links to what is known of
    each."""
    section = shown.section
    parts = [_heading(section), *(pages.all_data_sets(shown, f"{folder}/{PLOTS}") if in_full else [])]
    each = ", ".join(map(pages.linked(folder), section.tables))
    suite = link(f"suite {escape(section.suite)}", f"{folder}/{SUITE_PAGE}")
    return [
        *parts,
        f"Scores with intervals, costs, classes and people of each data set: {each}. "
        f"{'Learning curves' if in_full else 'All side by side'}, and where these figures come from: {suite}.",
    ]


def _heading(section: Section) -> str:
    return f"### Suite {escape(section.suite)}: {escape(section.title)}"
