"""Score against cost with the Pareto front, and throughput against batch size."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator

from ferbench.benchmark.board.costs import Cost, cost, pareto
from ferbench.benchmark.board.figures import (
    COLORS,
    Label,
    Labels,
    inside,
    key_below,
    legend_below,
    lines,
    panels,
    spread,
)
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.measures.metrics import Array

Point = tuple[Row, Cost]

_QUIET = "#8a8a8a"
_PANEL = (5.4, 4.6)
"""Inches of a panel."""


def macs_front(section: Section) -> Figure | None:
    return _fronts(section, "macs", "GMACs an input", 1e9)


def params_front(section: Section) -> Figure | None:
    return _fronts(section, "params", "parameters, millions", 1e6)


def latency_front(section: Section) -> Figure | None:
    """A panel holds one hardware: latencies of two must not be compared."""
    return _fronts(section, "latency_ms_p50", "latency at batch 1, ms (median)", 1)


def _fronts(section: Section, name: str, label: str, unit: float) -> Figure | None:
    shown: list[tuple[str, DataTable, list[Point]]] = []
    for table in section.tables:
        points = _points(table, name)
        by_device = name == "latency_ms_p50"
        devices = sorted({measured.hardware for _, measured in points}) if by_device else [""]
        for device in devices:
            title = f"{table.name}\n{device}" if len(devices) > 1 else table.name
            own = [point for point in points if not by_device or point[1].hardware == device]
            shown += [(title, table, own)] if own else []
    if not shown:
        return None
    figure, axes = panels(len(shown), *_PANEL)
    for axis, (title, table, points) in zip(axes, shown, strict=True):
        _front(axis, section, table, points, name, unit)
        axis.set(title=title, xlabel=label, ylabel=HEADLINES[table.headline])
    key_below(figure, {_number(section, row): row.title for _, _, points in shown for row, _ in points})
    return figure


def _points(table: DataTable, name: str) -> list[Point]:
    found = [(row, measured) for row in table.ranked if (measured := cost(row)) is not None]
    return [(row, measured) for row, measured in found if getattr(measured, name)]


def _number(section: Section, row: Row) -> int:
    """What stands for an architecture in the plots of a section."""
    return section.order.index(row.architecture) + 1


def _front(axis: Axes, section: Section, table: DataTable, points: list[Point], name: str, unit: float) -> None:
    """Each architecture as its number; those that none undercuts are dark and joined by a step line."""
    places = np.array([(getattr(measured, name) / unit, row.score or 0.0) for row, measured in points])
    intervals = [table.comparison.intervals[row.architecture] for row, _ in points]
    numbers = [str(_number(section, row)) for row, _ in points]
    axis.set_xscale("log")
    low, high = places[:, 0].min(), places[:, 0].max()
    wide = max((high / low) ** 0.08, (12 * low / high) ** 0.5, 1.1)
    axis.set_xlim(low / wide, high * wide)
    discs = _beside_each_other(places, low / wide, high * wide)
    bars = np.array([[(v, i.low), (v, i.high)] for (v, _), i in zip(places, intervals, strict=True)])
    front = pareto(table)
    beaten = np.array([name not in front[row.architecture] for row, _ in points])
    for own, color, filling, ink, order in (
        (beaten, _QUIET, "white", "#444444", 3),
        (~beaten, COLORS[0], COLORS[0], "white", 4),
    ):
        axis.add_collection(LineCollection(list(bars[own]), color=color, lw=1.2, alpha=0.55, zorder=order - 2))
        to_discs = np.stack([places, discs], axis=1)[own]
        axis.add_collection(LineCollection(list(to_discs), color=color, lw=0.8, zorder=order - 2))
        axis.plot(*places[own].T, "o", ms=4, color=color, zorder=2.5)  # the point itself, where its disc is not
        axis.plot(*discs[own].T, "o", ms=14, mfc=filling, mec=color, mew=1.1, zorder=order)
        named = zip(discs[own].tolist(), np.array(numbers)[own].tolist(), strict=True)
        Labels(axis, [Label(x, y, number, ink) for (x, y), number in named], 9, order)
    best = places[~beaten]
    axis.step(*best[np.lexsort(best.T[::-1])].T, where="post", color=COLORS[0], lw=1.4, alpha=0.6, zorder=1.8)
    _log_ticks(axis)
    _levels(axis, table)


def _beside_each_other(places: Array, low: float, high: float) -> Array:
    """Where the discs of points (N, 2) go so that none hides another, each as near its point as the others let it."""
    across, up = inside(*_PANEL)
    scale = np.array([across / np.log(high / low), up / 1.05])
    x, y = (spread(np.stack([np.log(places[:, 0] / low), places[:, 1]], axis=1) * scale, 0.2) / scale).T
    return np.stack([low * np.exp(x), y], axis=1)


def _log_ticks(axis: Axes) -> None:
    """Labelled with plain numbers."""
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 2000 else (1.0,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0").rstrip(".")))
    axis.minorticks_off()  # they would not be seen, and are half of the work of drawing an axis


def _levels(axis: Axes, table: DataTable) -> None:
    """Floors and oracle as lines across the panel, each with its name: two floors have theirs on opposite sides, the
    lower one below its line where there is room, so that neither line crosses a name."""
    low = -0.2 if table.headline == "ccc" else 0.0
    axis.set(ylim=(low, 1.05), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
    references = [row for row in table.rows if not row.competes and row.score is not None]
    floors = [row for row in references if row.kind == "floor"]
    for row in references:
        score = row.score or 0.0
        axis.axhline(score, color="#666666", linestyle=(0, (4, 3)), linewidth=1.1, zorder=1)
        right = row.kind == "floor" and floors.index(row) % 2 == 1
        below = row.kind == "floor" and row is not floors[0] and score - low > 0.05
        axis.text(
            0.99 if right else 0.01,
            score + (-0.012 if below else 0.012),
            row.title,
            transform=axis.get_yaxis_transform(),
            ha="right" if right else "left",
            va="top" if below else "bottom",
            fontsize=11,
            color="#555555",
            zorder=1.5,
        )


def throughput(section: Section) -> Figure | None:
    """Inputs a second against batch size; a panel holds one hardware, and the median over the data sets."""
    found: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for table in section.tables:
        for row in table.ranked:
            measured = cost(row)
            for batch, speed in (measured.throughput_by_batch if measured else {}).items():
                assert measured is not None
                found[measured.hardware][row.architecture][batch].append(speed)
    if not found:
        return None
    titles = {row.architecture: row.title for row in section.architectures}
    figure, axes = panels(len(found), 9.0, 5.6, columns=1)
    for axis, hardware in zip(axes, sorted(found), strict=True):
        speeds = found[hardware]
        lines(
            axis,
            [
                (section.order.index(name), titles[name], sorted(each), [median(each[batch]) for batch in sorted(each)])
                for name, each in speeds.items()
            ],
        )
        batches = sorted({batch for each in speeds.values() for batch in each})
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(batches, [str(batch) for batch in batches])
        axis.set(title=hardware, xlabel="batch size", ylabel="inputs a second")
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axis.yaxis.set_major_formatter(EngFormatter(sep=""))  # 30k: there is no room for 30,000
    legend_below(figure, axes, [titles[name] for name in section.order])
    return figure
