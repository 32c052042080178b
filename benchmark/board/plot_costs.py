"""Score against cost with the Pareto front, and throughput against batch size."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator
from numpy.typing import NDArray

from ferbench.benchmark.board.costs import Cost, cost, pareto
from ferbench.benchmark.board.figures import (
    COLORS,
    Label,
    Labels,
    inside,
    key_below,
    legend_below,
    lines,
    lowest,
    panels,
    short,
)
from ferbench.benchmark.board.plot_labels import RADIUS, beside, meet
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.measures.metrics import Array

Point = tuple[Row, Cost]

_QUIET = "#8a8a8a"
_LEADER = "#9a9a9a"
_SAID = "Filled: no other has at least its score for less.\nBars: 95% intervals. Thin lines: from a number to its mark."
_PANEL = (5.4, 4.6)
"""Inches of a panel."""
_NAME = 0.16
"""Inches that the name of a floor or an oracle is high."""


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
    key_below(figure, {_number(section, row): short(row.title) for _, _, points in shown for row, _ in points}, _SAID)
    return figure


def _points(table: DataTable, name: str) -> list[Point]:
    found = [(row, measured) for row in table.ranked if (measured := cost(row)) is not None]
    return [(row, measured) for row, measured in found if getattr(measured, name)]


def _number(section: Section, row: Row) -> int:
    """What stands for an architecture in the plots of a section."""
    return section.order.index(row.architecture) + 1


def _front(axis: Axes, section: Section, table: DataTable, points: list[Point], name: str, unit: float) -> None:
    """A mark where each architecture is and its number beside it; those that none undercuts are filled and joined."""
    places = np.array([(getattr(measured, name) / unit, row.score or 0.0) for row, measured in points])
    intervals = [table.comparison.intervals[row.architecture] for row, _ in points]
    bars = np.array([[(v, i.low), (v, i.high)] for (v, _), i in zip(places, intervals, strict=True)])
    front = pareto(table)
    best = np.array([name in front[row.architecture] for row, _ in points])
    steps = _steps(places[best])
    _limits(axis, table, places[:, 0], bars[:, 0, 1])
    _marks(axis, places, bars, best)
    axis.plot(*steps.T, color=COLORS[0], lw=1.4, alpha=0.6, zorder=1.8)
    paper = _Paper(axis)
    lines = paper.boxes(np.concatenate([bars, np.stack([steps[:-1], steps[1:]], axis=1)]))
    names, levels = _levels(axis, table, paper, paper.inches(places), lines)
    numbers = [str(_number(section, row)) for row, _ in points]
    _numbers(axis, paper, numbers, best, places, names, np.concatenate([lines, levels]))


def _steps(best: Array) -> Array:
    """The corners (M, 2) of the line that joins points (N, 2): level until the next one is reached."""
    best = best[np.lexsort(best.T[::-1])]
    joined = np.repeat(best, 2, axis=0)[:-1]
    joined[1::2, 0] = best[1:, 0]
    return joined


def _limits(axis: Axes, table: DataTable, costs: Array, lows: Array) -> None:
    """The range of the measure, and of the costs (N,) with some room for the labels. lows: where intervals begin."""
    bottom = lowest(table.headline, [*lows.tolist(), *(row.score for row in table.rows if row.score is not None)])
    low, high = costs.min(), costs.max()
    wide = max((high / low) ** 0.08, (12 * low / high) ** 0.5, 1.1)
    axis.set_xscale("log")
    axis.set(xlim=(low / wide, high * wide), ylim=(bottom, 1.05), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
    _log_ticks(axis)


def _marks(axis: Axes, places: Array, bars: Array, best: NDArray[np.bool_]) -> None:
    """The points (N, 2), nothing but exactly there, and their intervals."""
    beaten: Any = {"ms": 6.5, "mfc": "white", "mec": _QUIET, "mew": 1.2}
    front: Any = {"ms": 8, "mfc": COLORS[0], "mec": "white", "mew": 0.7}  # the edge parts two that meet
    for own, color, look, order in ((~best, _QUIET, beaten, 3.0), (best, COLORS[0], front, 3.2)):
        axis.add_collection(LineCollection(list(bars[own]), color=color, lw=1.2, alpha=0.55, zorder=order - 1))
        axis.plot(*places[own].T, "o", zorder=order, **look)


def _numbers(
    axis: Axes, paper: _Paper, numbers: list[str], best: NDArray[np.bool_], places: Array, names: Array, lines: Array
) -> None:
    """Plain numbers beside the marks; a thin line leads to one that does not touch its mark."""
    sizes = np.array([(0.088 * len(number) + 0.02, 0.13) for number in numbers])
    placed = beside(paper.inches(places), sizes, names, lines, paper.size)
    axis.add_collection(LineCollection(list(paper.data(placed.leaders)), color=_LEADER, lw=0.7, zorder=2.6))
    named = zip(paper.data(placed.centres).tolist(), numbers, best.tolist(), strict=True)
    Labels(axis, [Label(x, y, number, COLORS[0] if filled else "#333333") for (x, y), number, filled in named], 10, 4)


class _Paper:
    """Inches from the lower left corner of an axes of `_PANEL` whose costs are logarithmic."""

    def __init__(self, axis: Axes) -> None:
        self.size = inside(*_PANEL)
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        self._corner = np.array([np.log(left), bottom])
        self._scale = np.array(self.size) / (np.array([np.log(right), top]) - self._corner)

    def inches(self, places: Array) -> Array:
        """(..., 2) of data."""
        return np.asarray((np.stack([np.log(places[..., 0]), places[..., 1]], axis=-1) - self._corner) * self._scale)

    def boxes(self, segments: Array) -> Array:
        """(N, 4) of segments (N, 2, 2) along an axis."""
        ends = self.inches(segments)
        return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)

    def data(self, inches: Array) -> Array:
        """(..., 2) of inches."""
        x, y = np.moveaxis(inches / self._scale + self._corner, -1, 0)
        return np.stack([np.exp(x), y], axis=-1)


def _log_ticks(axis: Axes) -> None:
    """Labelled with plain numbers."""
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low < 2000 else (1.0,)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.10f}".rstrip("0").rstrip(".")))
    axis.minorticks_off()  # they would not be seen, and are half of the work of drawing an axis


def _levels(axis: Axes, table: DataTable, paper: _Paper, marks: Array, lines: Array) -> tuple[Array, Array]:
    """Floors and oracle as lines across the panel, each with its name below or above it, left or right: where it hides
    the fewest marks (N, 2) and lines (L, 4).

    Returns the boxes (K, 4) of the names, and those of their lines.
    """
    references = [(short(row.title), row.score) for row in table.rows if not row.competes and row.score is not None]
    heights = paper.inches(np.array([(1.0, score) for _, score in references]).reshape(-1, 2))[:, 1]
    levels = np.stack([0 * heights, heights, 0 * heights + paper.size[0], heights], axis=1)
    taken, lines = np.concatenate([marks - RADIUS, marks + RADIUS], axis=1), np.concatenate([lines, levels])
    for (title, score), height in zip(references, heights.tolist(), strict=True):
        axis.axhline(score, color="#666666", linestyle=(0, (4, 3)), linewidth=1.1, zorder=1)
        boxes = _beside(height, 0.094 * len(title), paper.size)
        box = boxes[(10 * meet(boxes, taken).sum(axis=1) + meet(boxes, lines).sum(axis=1)).argmin()]
        (x, y), _ = paper.data(box.reshape(2, 2)).tolist()
        axis.text(x, y, title, ha="left", va="bottom", fontsize=11, color="#555555", zorder=1.5)
        taken = np.concatenate([taken, box[None]])
    return taken[len(marks) :], levels


def _beside(level: float, width: float, size: tuple[float, float]) -> Array:
    """Boxes within `size` that a name of this width may take beside a line at this height."""
    lows = [low for low in (level + 0.01, level - 0.01 - _NAME) if 0 <= low <= size[1] - _NAME]
    return np.array([(x, low, x + width, low + _NAME) for low in lows for x in (0.05, size[0] - 0.05 - width)])


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
    titles = {row.architecture: short(row.title) for row in section.architectures}
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
