"""The plots of a section: which there are, where they go, and that none is drawn twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmark.board.figures import save, style
from benchmark.board.forked import on_all_cores
from benchmark.board.memory import keep_files, key_of, restored
from benchmark.board.plot_classes import class_scores, confusions
from benchmark.board.plot_costs import latency_front, macs_front, params_front, throughput
from benchmark.board.plot_ranks import critical_difference, forest, heat_map
from benchmark.board.plot_training import curves
from benchmark.board.sections import DataTable, Section


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
    """By table name, as the next one."""
    classes: dict[str, list[Picture]] = field(default_factory=dict)

    def files(self) -> set[str]:
        """Names of all files."""
        of_tables = [picture for found in (self.ranks, self.classes) for each in found.values() for picture in each]
        return {
            f"{picture.name}.{kind}"
            for picture in (*self.across, *self.training, *of_tables)
            for kind in ("png", "svg")
        }


@dataclass(frozen=True)
class Job:
    """One plot: what draws it (None where there is nothing to draw), and where it goes."""

    draw: Callable[[], Figure | None]
    digest: str
    file: Path

    @property
    def files(self) -> list[Path]:
        return [self.file.with_name(f"{self.file.name}.{kind}") for kind in ("png", "svg")]

    @property
    def key(self) -> str:
        return key_of("plot", self.file.name, self.digest)

    def restored(self) -> bool:
        """Whether it was drawn before; its files are in their places then."""
        return restored(self.key, self.files)

    def __call__(self) -> bool:
        """Draws it; whether there was something to draw."""
        with style():
            figure = self.draw()
            if figure is None:
                return False
            save(figure, self.file)
        keep_files(self.key, self.files)
        return True


def draw(section: Section, folder: Path) -> Plots:
    """Draws all plots of a section into `folder`."""
    of_section = [
        ("rank-differences", "Mean ranks and their critical difference", critical_difference, "across"),
        ("heat-map", "Architectures and data sets", heat_map, "across"),
        ("front-macs", "Score against multiply-adds", macs_front, "across"),
        ("front-params", "Score against parameters", params_front, "across"),
        ("front-latency", "Score against latency", latency_front, "across"),
        ("curves", "Learning curves", curves, "training"),
        ("throughput", "Throughput against batch size", throughput, "training"),
    ]
    of_table = [
        ("ranks", "Scores, intervals and rank groups", forest, "ranks"),
        ("confusion", "Confusion matrices", confusions, "classes"),
        ("classes", "F1 of each class", class_scores, "classes"),
    ]
    jobs: list[tuple[Job, Picture, str, str]] = []
    for name, title, function, place in of_section:
        picture = Picture(f"{name}-{_slug(section.slug)}", title)
        job = Job(_bound(function, section), _digest(section.tables), folder / picture.name)
        jobs.append((job, picture, place, ""))
    for table in section.tables:
        for name, title, of_this, place in of_table:
            variant = f"-{table.variant}" if table.variant else ""
            picture = Picture(f"{name}-{_slug(f'{table.dataset}{variant}-{section.size}')}", f"{title}: {table.name}")
            jobs.append(
                (Job(_bound(of_this, table), _digest([table]), folder / picture.name), picture, place, table.name)
            )
    drawn = _all([job for job, *_ in jobs])
    plots = Plots()
    for there, (_, picture, place, table_name) in zip(drawn, jobs, strict=True):
        if there:
            found = getattr(plots, place)
            (found.setdefault(table_name, []) if table_name else found).append(picture)
    return plots


FEW = 4
"""Plots that are sooner drawn than a process is started."""


def _all(jobs: list[Job]) -> list[bool]:
    """Runs all jobs, those that were not drawn before on all cores; whether there was something to draw of each."""
    drawn = [job.restored() for job in jobs]
    waiting = [index for index, there in enumerate(drawn) if not there]
    new = [jobs[index] for index in waiting]
    found = on_all_cores(Job.__call__, new) if len(new) > FEW else [job() for job in new]
    for index, there in zip(waiting, found, strict=True):
        drawn[index] = there
    return drawn


def _bound(function: Callable[[Any], Figure | None], shown: Section | DataTable) -> Callable[[], Figure | None]:
    return lambda: function(shown)


def _digest(tables: Sequence[DataTable]) -> str:
    return key_of([(table.name, [(row.architecture, row.title, row.digest) for row in table.rows]) for table in tables])


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
