"""The pages beside the records of a suite: one for each data set with all that is known of it, and one for the suite.

They lie in the folder of the suite and lead to each other and to their plots alone, so that they are the same wherever
the board itself is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferbench.benchmark.board import breakdowns, picks, tables
from ferbench.benchmark.board.literature import Literature
from ferbench.benchmark.board.markdown import escape, link
from ferbench.benchmark.board.matrices import is_transfer
from ferbench.benchmark.board.plots import Picture, Plots
from ferbench.benchmark.board.provenance import protocol, provenance
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.errors import RequestError

SUITE_PAGE = "README.md"
"""The page of a suite: GitHub shows it with the folder."""
PLOTS = "plots"
"""The folder of all plots of a suite, beside its pages."""
MARK = "<!-- A page of the leaderboard: it is written anew, or removed, with it. -->"
"""The first line of every page: what the board may write over and remove."""

HOW_TO_READ = """\
- **Data.** A name that ends in `-twin` is a synthetic stand-in, rendered by this project in the original's format: \
its scores compare architectures on that stand-in and say nothing about real faces. Twins and real data never share \
a table.
- **Score.** The headline is ABAW = 0.67 macro F1 + 0.33 accuracy, from 0 to 1. Read every row between the *floors* \
(always the most frequent class; a random draw; a linear SVM on HOG; a linear classifier on frozen features) \
and the *oracle*, which sees what the images were made from.
- **Interval.** In brackets: 95% bootstrap over subjects (over videos where subjects are unknown, over samples where \
every sample is a still of somebody unknown). The spread over seeds and over folds is another thing and has columns of \
its own (standard deviations).
- **Rank groups.** Rows of one data set that cannot be told apart on its samples share a letter; between \
them a rank is chance. `docs/statistics.md` says how all this is computed and how it was tested."""


@dataclass(frozen=True)
class Shown:
    """A section, and what was drawn for it."""

    section: Section
    plots: Plots
    reproduced: str = ""
    """One line on how it stands to what is published; empty where nothing is."""


def pages(suite: Sequence[Shown], published: Published | None, literature: Literature) -> dict[str, str]:
    """All pages of one suite, by the names of their files."""
    found = {SUITE_PAGE: _of_suite(suite)}
    for dataset in sorted({table.dataset for shown in suite for table in shown.section.tables}):
        parts = [
            part
            for shown in suite
            for table in shown.section.tables
            if table.dataset == dataset
            for part in _of_table(shown, table, published, literature)
        ]
        name = suite[0].section.suite
        title = [f"# {escape(dataset)}, suite {escape(name)}", f"{link(f'All of suite {escape(name)}', SUITE_PAGE)}."]
        found[page_of(dataset)] = _page([*title, *parts])
    return found


def page_of(dataset: str) -> str:
    return f"{dataset}.md"


def linked(folder: str = "") -> Callable[[DataTable], str]:
    """How a data set's name leads to its page in a folder."""
    return lambda data: link(escape(data.name), Path(folder, page_of(data.dataset)).as_posix())


def write(folder: Path, written: Mapping[str, str]) -> None:
    """Writes pages into the folder of their suite, and removes those that an earlier board left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for file in folder.glob("*.md"):
        if file.name not in written and is_page(file):
            file.unlink()


def refuse_foreign(folder: Path, names: Sequence[str]) -> None:
    """Raises RequestError where a page would be written over a file that is none."""
    for file in (folder / name for name in names):
        if file.exists() and not is_page(file):
            raise RequestError(f"{file}: the board has a page of that name, and this is none of it: move it elsewhere")


def is_page(file: Path) -> bool:
    """Whether the board wrote this file."""
    mark = f"{MARK}\n".encode()
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(mark)) == mark


def pictures(folder: str, drawn: Sequence[Picture]) -> list[str]:
    """Each picture, which leads to the one that can be enlarged."""
    found = []
    for picture in drawn:
        path = f"{folder}/{picture.name}"
        found.append(link(f"!{link(escape(picture.title), f'{path}.png')}", f"{path}.svg"))
    return found


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join([MARK, *parts]) + "\n"


def _of_suite(suite: Sequence[Shown]) -> str:
    parts = [f"# Suite {escape(suite[0].section.suite)}"]
    for shown in suite:
        section = shown.section
        parts += [f"## {_capital(section.title)}"]
        parts += [] if is_transfer(section) else [picks.markdown(section, linked())]
        parts += ["### All data sets", *all_data_sets(shown, PLOTS)]
        curves = pictures(PLOTS, shown.plots.training)
        parts += ["### Learning curves and throughput", *curves] if curves else []
        parts += ["### Where these figures come from", provenance(section)]
    return _page([*parts, "## How to read this", picks.HOW_TO_READ, HOW_TO_READ])


def all_data_sets(shown: Shown, plots: str) -> list[str]:
    """The table of all data sets of a section, and what can be said of them together; `plots` is their folder."""
    section = shown.section
    if is_transfer(section):  # its pairs share their models and their samples
        return [tables.all_datasets(section)]
    return [tables.all_datasets(section), tables.across(section), *pictures(plots, shown.plots.across)]


def _of_table(shown: Shown, table: DataTable, published: Published | None, literature: Literature) -> list[str]:
    variant = f", protocol {table.variant}" if table.variant else ""
    parts = [f"## {_capital(shown.section.title)}{variant}", *_in_words(table)]
    parts += ["### Scores", tables.scores(table, published, literature)]
    parts += [field] if (field := breakdowns.field(table)) else []
    parts += pictures(PLOTS, shown.plots.ranks.get(table.name, []))
    parts += [words] if (words := literature.words(table)) else []
    parts += _headed("Ablation", breakdowns.ablation(table))
    parts += _headed("What it costs", tables.costs(table))
    classes = [*pictures(PLOTS, shown.plots.classes.get(table.name, [])), breakdowns.classes(table)]
    units = pictures(PLOTS, shown.plots.people.get(table.name, []))
    units += [breakdowns.units(table, kind) for kind in ("subject", "video")]
    parts += _headed("Calibration", breakdowns.calibration(table))
    parts += _headed("Where they look", breakdowns.localisation(table))
    attributes = sorted({name for row in table.rows for name in row.figures.by_group})
    groups = [breakdowns.groups(table, attribute) for attribute in attributes]
    return (
        parts
        + _headed("Classes", *classes)
        + _headed("Subjects and videos", *units)
        + _headed("Groups that the release tells apart", *groups)
    )


def _in_words(table: DataTable) -> list[str]:
    """What to pick of this data set, and what was asked."""
    pick = picks.Pick(table)
    lines = [*picks.sentences(pick), picks.decided(pick), f"protocol: {protocol(table)}"]
    return ["\n".join(f"- {_capital(escape(line))}" for line in lines)]


def _headed(title: str, *parts: str) -> list[str]:
    """Parts below a heading; nothing when all are empty."""
    shown = [part for part in parts if part]
    return [f"### {title}", *shown] if shown else []


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
