"""The plots of a section: score against cost, confusion matrices, learning curves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from benchmark.board.costs import Cost, cost
from benchmark.board.figures import Look, legend_below, looks, panels, save, style
from benchmark.board.rows import Row
from benchmark.board.sections import DataTable, Section

Point = tuple[Row, Cost]


@dataclass(frozen=True)
class Plots:
    """File names within the section's folder; an empty name where there was nothing to draw."""

    macs: str
    latency: str
    curves: str
    confusions: dict[str, str]
    """By table name."""

    def files(self) -> set[str]:
        return {name for name in (self.macs, self.latency, self.curves, *self.confusions.values()) if name}


def draw(section: Section, folder: Path) -> Plots:
    """Draws all plots of a section into `folder`."""
    drawn = looks([row.architecture for row in section.architectures if row.kind == "architecture"])
    with style():
        return Plots(
            macs=_macs(section, drawn, folder),
            latency=_latency(section, drawn, folder),
            curves=_curves(section, drawn, folder),
            confusions={name: file for table in section.tables for name, file in _confusions(section, table, folder)},
        )


def _macs(section: Section, drawn: dict[str, Look], folder: Path) -> str:
    shown = [(table.name, table, points) for table in section.tables if (points := _points(table, "macs"))]
    file = f"abaw-macs-{_slug(section.slug)}.png"
    return _scatter(shown, drawn, "macs", "GMACs an input", folder / file) if shown else ""


def _latency(section: Section, drawn: dict[str, Look], folder: Path) -> str:
    """A panel holds one hardware: latencies of two must not be compared."""
    shown = []
    for table in section.tables:
        points = _points(table, "latency_ms_p50")
        devices = sorted({measured.hardware for _, measured in points})
        for device in devices:
            title = f"{table.name}\n{device}" if len(devices) > 1 else table.name
            shown.append((title, table, [point for point in points if point[1].hardware == device]))
    file = f"abaw-latency-{_slug(section.slug)}.png"
    label = "latency at batch 1, ms (p50 to p95)"
    return _scatter(shown, drawn, "latency_ms_p50", label, folder / file) if shown else ""


def _points(table: DataTable, figure: str) -> list[Point]:
    found = [(row, measured) for row in table.rows if row.scores and (measured := cost(row)) is not None]
    return [(row, measured) for row, measured in found if getattr(measured, figure)]


def _scatter(
    shown: Sequence[tuple[str, DataTable, list[Point]]], drawn: dict[str, Look], figure: str, label: str, file: Path
) -> str:
    picture, axes = panels(len(shown), 5.0, 4.2)
    for axis, (title, table, points) in zip(axes, shown, strict=True):
        for row, measured in points:
            _point(axis, row, measured, figure, drawn[row.architecture])
        axis.set_xscale("log")
        _log_ticks(axis)
        axis.set(title=title, xlabel=label, ylabel="ABAW", ylim=(0, 1.05), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
        _levels(axis, table)
    legend_below(picture, axes)
    save(picture, file)
    return file.name


def _point(axis: Axes, row: Row, measured: Cost, figure: str, look: Look) -> None:
    value, score = getattr(measured, figure), row.scores["abaw"]
    if figure == "macs":
        value /= 1e9
    across = None
    if figure == "latency_ms_p50" and measured.latency_ms_p95:
        across = [[0.0], [max(0.0, measured.latency_ms_p95 - value)]]
    assert row.interval is not None
    # A percentile interval may lie beside its score.
    along = [[max(0.0, score - row.interval.low)], [max(0.0, row.interval.high - score)]]
    axis.errorbar(
        [value],
        [score],
        xerr=across,
        yerr=along,
        color=look.color,
        marker=look.marker,
        markersize=9,
        markeredgecolor="white",
        markeredgewidth=0.5,
        linestyle="none",
        elinewidth=1.6,
        label=row.title,
    )


def _log_ticks(axis: Axes) -> None:
    """At least a decade on the axis, labelled with plain numbers."""
    low, high = axis.get_xlim()
    if high / low < 12:
        middle = (low * high) ** 0.5
        axis.set_xlim(middle / 12**0.5, middle * 12**0.5)
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0").rstrip(".")))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", which="minor", length=0)


def _levels(axis: Axes, table: DataTable) -> None:
    """Floors and oracle as lines across the panel, each with its name; two floors have theirs on opposite sides."""
    references = [row for row in table.rows if row.kind != "architecture" and row.scores]
    floors = [row for row in references if row.kind == "floor"]
    for row in references:
        score = row.scores["abaw"]
        axis.axhline(score, color="#666666", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        right = row.kind == "floor" and floors.index(row) % 2 == 1
        top = score > 0.98
        axis.text(
            0.99 if right else 0.01,
            score + (-0.01 if top else 0.01),
            row.title,
            transform=axis.get_yaxis_transform(),
            ha="right" if right else "left",
            va="top" if top else "bottom",
            fontsize=11,
            color="#555555",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6},
            zorder=1.5,
        )


def _curves(section: Section, drawn: dict[str, Look], folder: Path) -> str:
    """A line of two panels a data set: ABAW on the validation part, and the training loss."""
    learned = {
        table.name: [row for row in table.rows if any(record.data["history"] for record in row.finished)]
        for table in section.tables
    }
    shown = {name: rows for name, rows in learned.items() if rows}
    if not shown:
        return ""
    picture, axes = panels(2 * len(shown), 5.0, 3.8)
    for (name, rows), scores, losses in zip(shown.items(), axes[::2], axes[1::2], strict=True):
        for axis, key, label in ((scores, "val_abaw", "validation ABAW"), (losses, "train_loss", "training loss")):
            for row in rows:
                _curve(axis, row, key, drawn[row.architecture])
            axis.set(title=name, xlabel="epoch (stages joined)", ylabel=label)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_ylim(bottom=0)
        scores.set_ylim(0, 1)
    legend_below(picture, axes)
    file = f"curves-{_slug(section.slug)}.png"
    save(picture, folder / file)
    return file


def _curve(axis: Axes, row: Row, key: str, look: Look) -> None:
    """The mean over the cells, a line for each stage, so that the step between two stages is not drawn as learning."""
    histories = [record.data["history"] for record in row.finished]
    epochs = [[entry for entry in epoch if entry is not None] for epoch in zip_longest(*histories)]
    stages: dict[str, tuple[list[int], list[float]]] = {}
    for number, entries in enumerate(epochs, start=1):
        values = [entry[key] for entry in entries if entry[key] is not None]
        if values:
            xs, ys = stages.setdefault(entries[0]["stage"], ([], []))
            xs.append(number)
            ys.append(float(np.mean(values)))
    label: str | None = row.title
    for xs, ys in stages.values():
        every = max(1, len(xs) // 6)
        axis.plot(
            xs, ys, look.line, color=look.color, marker=look.marker, markersize=6, markevery=every, lw=2, label=label
        )
        label = None


def _confusions(section: Section, table: DataTable, folder: Path) -> list[tuple[str, str]]:
    """A panel for each architecture: of each true class, the percentage predicted as each class."""
    rows = [row for row in table.rows if row.kind == "architecture" and row.confusion is not None]
    if not rows:
        return []
    picture, axes = panels(len(rows), 5.0, 4.9)
    for axis, row in zip(axes, rows, strict=True):
        _confusion(axis, row, table.classes)
    variant = f"-{table.variant}" if table.variant else ""
    file = f"confusion-{_slug(f'{table.dataset}{variant}-{section.size}')}.png"
    save(picture, folder / file)
    return [(table.name, file)]


def _confusion(axis: Axes, row: Row, classes: Sequence[str]) -> None:
    counts: Any = row.confusion
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axis.grid(False)
    axis.set_title(fill(f"{row.title}, ABAW {row.scores['abaw']:.3f}", 38), fontsize=13)
    axis.set(xlabel="predicted", ylabel="true")
    places = range(len(classes))
    axis.set_xticks(places, classes, rotation=45, ha="right", rotation_mode="anchor", fontsize=11)
    axis.set_yticks(places, classes, fontsize=11)
    for true in places:
        for said in places:
            if total[true, 0] and share[true, said] >= 0.005:
                color = "white" if share[true, said] > 0.55 else "#222222"
                percent = f"{100 * share[true, said]:.0f}"
                axis.text(said, true, percent, ha="center", va="center", fontsize=11, color=color)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
