"""The plots of a section: which there are, where they go, and that none is drawn twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from ferbench.benchmark.board.figures import save, style
from ferbench.benchmark.board.forked import Job, on_all_cores
from ferbench.benchmark.board.matrices import is_transfer
from ferbench.benchmark.board.memory import keep_files, key_of, restored
from ferbench.benchmark.board.plot_classes import class_scores, confusions
from ferbench.benchmark.board.plot_costs import latency_front, macs_front, params_front, throughput
from ferbench.benchmark.board.plot_people import people
from ferbench.benchmark.board.plot_ranks import critical_difference, forest, heat_map
from ferbench.benchmark.board.plot_training import curves
from ferbench.benchmark.board.sections import DataTable, Section, compute, few, prepare, tables_of


@dataclass(frozen=True)
class Picture:
    """A drawn plot: its file name without `.png` or `.svg`, and its title."""

    name: str
    title: str


@dataclass(frozen=True)
class Plots:
    """The pictures of a section that there was something to draw for."""

    across: list[Picture] = field(default_factory=list)
    training: list[Picture] = field(default_factory=list)
    ranks: dict[str, list[Picture]] = field(default_factory=dict)
    """By table name, as the next two."""
    classes: dict[str, list[Picture]] = field(default_factory=dict)
    people: dict[str, list[Picture]] = field(default_factory=dict)

    def files(self) -> set[str]:
        """Names of all files."""
        of_tables = [
            picture for found in (self.ranks, self.classes, self.people) for each in found.values() for picture in each
        ]
        return {
            f"{picture.name}.{kind}"
            for picture in (*self.across, *self.training, *of_tables)
            for kind in ("png", "svg")
        }


@dataclass(frozen=True)
class Plot:
    """One plot that there may be something to draw for, and where it goes."""

    picture: Picture
    place: str
    """The field of `Plots` that it goes to."""
    tables: tuple[DataTable, ...]
    """What it is drawn of."""
    draw: Callable[[], Figure | None]
    folder: Path

    @property
    def files(self) -> list[Path]:
        return [self.folder / f"{self.picture.name}.{kind}" for kind in ("png", "svg")]

    @property
    def key(self) -> str:
        shown = [(t.name, [(row.architecture, row.title, row.digest) for row in t.unsorted]) for t in self.tables]
        return key_of("plot", self.picture.name, shown)

    def restored(self) -> bool:
        """Whether it was drawn before; its files are in their places then."""
        return restored(self.key, self.files)

    def drawn(self) -> bool:
        """Draws it; whether there was something to draw."""
        with style():
            figure = self.draw()
            if figure is None:
                return False
            save(figure, self.folder / self.picture.name)
        keep_files(self.key, self.files)
        return True


_OF_SECTION = (
    ("curves", "Learning curves", curves, "training"),  # the first, for it takes longest
    ("rank-differences", "Mean ranks and their critical difference", critical_difference, "across"),
    ("heat-map", "Architectures and data sets", heat_map, "across"),
    ("front-macs", "Score against multiply-adds", macs_front, "across"),
    ("front-params", "Score against parameters", params_front, "across"),
    ("front-latency", "Score against latency", latency_front, "across"),
    ("throughput", "Throughput against batch size", throughput, "training"),
)
_OF_TABLE = (
    ("ranks", "Scores, intervals and rank groups", forest, "ranks"),
    ("confusion", "Confusion matrices", confusions, "classes"),
    ("classes", "F1 of each class", class_scores, "classes"),
    ("people", "Scores of each subject", people, "people"),
)
_FEW = 4
"""Plots that are sooner drawn than a process is started."""


def draw(found: Sequence[Section], folders: Sequence[Path]) -> list[Plots]:
    """Draws all plots of each section into its folder: those that were not drawn before, on all cores.

    Of many records the tables are computed there as well, and plots are drawn while others are still computed.
    """
    wanted = [_plots(section, folder) for section, folder in zip(found, folders, strict=True)]
    every = [plot for plots in wanted for plot in plots]
    there = {plot for plot in every if plot.restored()}
    new = [plot for plot in every if plot not in there]
    if few(found):
        prepare(found)
        jobs = [Job(plot.drawn) for plot in new]
        done = on_all_cores(jobs) if len(jobs) > _FEW else [job.do() for job in jobs]
    else:
        tables = [table for table in tables_of(found) if any(table in plot.tables for plot in new)]
        place = {table: number for number, table in enumerate(tables)}
        jobs = [Job(partial(compute, table)) for table in tables]
        jobs += [Job(plot.drawn, tuple(place[table] for table in plot.tables)) for plot in new]
        done = on_all_cores(jobs)[len(tables) :]
    there |= {plot for plot, drawn in zip(new, done, strict=True) if drawn}
    return [_those_of([plot for plot in plots if plot in there]) for plots in wanted]


def _plots(section: Section, folder: Path) -> list[Plot]:
    """All that there may be something to draw for."""
    plots = []
    for name, title, function, place in _OF_SECTION:
        if place == "across" and is_transfer(section):  # its pages show none: the pairs share models and samples
            continue
        picture = Picture(f"{name}-{_slug(section.slug)}", title)
        plots.append(Plot(picture, place, section.tables, partial(function, section), folder))
    for table in section.tables:
        variant = f"-{table.variant}" if table.variant else ""
        for name, title, of_table, place in _OF_TABLE:
            picture = Picture(f"{name}-{_slug(f'{table.dataset}{variant}-{section.size}')}", f"{title}: {table.name}")
            plots.append(Plot(picture, place, (table,), partial(of_table, table), folder))
    return plots


def _those_of(plots: Sequence[Plot]) -> Plots:
    """The pictures of plots that were drawn, each in its place."""
    drawn = Plots()
    for plot in plots:
        found = getattr(drawn, plot.place)
        (found if isinstance(found, list) else found.setdefault(plot.tables[0].name, [])).append(plot.picture)
    return drawn


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
