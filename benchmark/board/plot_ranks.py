"""Who is better than whom: scores with their rank groups, the critical-difference diagram, the heat map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ferbench.benchmark.board.figures import COLORS, lowest, short
from ferbench.benchmark.board.heat import heat_lines
from ferbench.benchmark.board.markdown import count
from ferbench.benchmark.board.plot_classes import heat
from ferbench.benchmark.board.sections import Across, DataTable, Section
from ferbench.benchmark.board.tables import HEADLINES

_LETTER = 0.108
"""Width of a letter of a title, in inches."""
_LINE = 0.3
"""Inches of height that a name takes."""


def forest(table: DataTable) -> Figure | None:
    """The ranked rows, the best above: score and 95% interval, and a bar for each rank group."""
    rows = table.ranked
    if not rows:
        return None
    left = 0.1 * max(len(short(row.title)) for row in rows) + 0.8
    bars = 0.18 * len(table.comparison.groups) + 0.3
    size = (left + 5.2 + bars, _LINE * len(rows) + 1.3)
    figure = Figure(figsize=size)
    height = _LINE * len(rows) / size[1]
    axis = figure.add_axes((left / size[0], 0.7 / size[1], 5.0 / size[0], height))
    places = range(len(rows))
    intervals = [table.comparison.intervals[row.architecture] for row in rows]
    axis.hlines(places, [i.low for i in intervals], [i.high for i in intervals], color=COLORS[0], lw=2.2, alpha=0.45)
    axis.plot([row.score or 0.0 for row in rows], places, "o", color=COLORS[0], ms=5.5)
    axis.set_yticks([])
    for place, row in enumerate(rows):  # as texts they are drawn in half the time of ticks
        name = f"{short(row.title)}  {table.ranks[row.architecture]}"
        axis.text(-0.02, place, name, ha="right", va="center_baseline", transform=axis.get_yaxis_transform())
    axis.hlines(places, 0, 1, color="#e4e4e4", lw=0.8, zorder=0.5, transform=axis.get_yaxis_transform())
    axis.set_ylim(len(rows) - 0.5, -0.5)
    lows = [*(i.low for i in intervals), *(row.score for row in table.rows if row.score is not None)]
    axis.set_xlim(lowest(table.headline, lows), 1)
    axis.set_xlabel(f"{HEADLINES[table.headline]} and its 95% interval over {_units(table)}")
    _references(axis, table)
    _groups(figure, table, (left + 5.15) / size[0], 0.7 / size[1], bars / size[0], height)
    return figure


LETTER, LINE = 6.2, 12.0
"""Points that a letter of a floor's name is wide, and a line of them high."""


def _units(table: DataTable) -> str:
    """What was resampled, and how many there are where that is known."""
    unit, figures = table.comparison.unit, table.ranked[0].figures
    known = {"subject": figures.by_subject, "video": figures.by_video}.get(unit)
    return count(len(known), unit) if known else f"{unit}s"


def _references(axis: Axes, table: DataTable) -> None:
    """Floors and oracle as lines, with their names above: right of a line or left of it, where no other name is, else a
    line of text higher."""
    references = sorted(
        (row.score, short(row.title), row.kind) for row in table.rows if not row.competes and row.score is not None
    )
    low, high = axis.get_xlim()
    points = axis.bbox.width / axis.figure.dpi * 72 / (high - low)
    taken: list[tuple[float, float, int]] = []
    for i, (score, title, kind) in enumerate(references):
        name = "oracle" if kind == "oracle" else title.split()[0].lower()
        width, at = LETTER * len(name), score * points
        sides = {"left": (at + 2, at + 2 + width), "right": (at - width, at)}  # by how the text is aligned
        order = ("right", "left") if i == 0 or kind == "oracle" else ("left", "right")
        level, side = next(
            (level, side)
            for level in range(len(references))
            for side in order
            if sides[side][1] <= high * points
            and all(level != there or sides[side][1] < start or stop < sides[side][0] for start, stop, there in taken)
        )
        taken.append((*sides[side], level))
        axis.axvline(score, color="#666666", linestyle=(0, (4, 3)), lw=1.1, zorder=1)
        axis.annotate(
            name, (score, 1), (2 if side == "left" else 0, 3 + LINE * level),
            xycoords=("data", "axes fraction"), textcoords="offset points", ha=side, fontsize=11, color="#555555",
        )  # fmt: skip


def _groups(figure: Figure, table: DataTable, left: float, bottom: float, width: float, height: float) -> None:
    """A vertical bar for each group, with its letter, beside the rows that are in it."""
    axis = figure.add_axes((left, bottom, width, height), sharey=figure.axes[0])
    axis.axis("off")
    place = {row.architecture: index for index, row in enumerate(table.ranked)}
    for index, group in enumerate(table.comparison.groups):
        members = sorted(place[name] for name in group)
        axis.plot(
            [index, index], [members[0] - 0.25, members[-1] + 0.25], color="#222222", lw=3.2, solid_capstyle="butt"
        )
        letter = table.comparison.name(index)
        axis.text(index, members[0] - 0.35, letter, ha="center", va="bottom", fontsize=11)
    axis.set_xlim(-1, max(1, len(table.comparison.groups)))


def heat_map(section: Section) -> Figure | None:
    """The headline measure of each architecture on each data set; floors and oracle stand apart."""
    if len(section.tables) < 2 or not section.order:
        return None
    lines = heat_lines(section)
    scores = [[None if row is None else row.score for row in line.rows] for line in lines]
    titles = [short(line.title) + ("" if line.place is None else f"  {line.place}") for line in lines]
    columns = [t.name if t.headline == "abaw" else f"{t.name} ({HEADLINES[t.headline]})" for t in section.tables]
    apart = sum(not line.competes for line in lines)
    return heat(np.array(scores, dtype=float), titles, columns, 3, "ABAW (place by mean rank)", apart)


def critical_difference(section: Section) -> Figure | None:
    """Mean ranks over all data sets on a line, the best left; a bar joins those that the test cannot tell apart."""
    across = section.across
    if across is None or len(section.tables) < 2:
        return None
    titles = {row.architecture: short(row.title) for row in section.architectures}
    names, ranks = across.names, across.test.mean_ranks
    half = (len(names) + 1) // 2
    bars = across.groups if across.test.decides else []
    top = 1.15 + 0.13 * len(bars)
    first = 0.6 + _LETTER * max(len(titles[name]) for name in names[:half])
    last = first + 2.8
    size = (last + 0.8 + _LETTER * max(len(titles[name]) for name in names[half:]), top + _LINE * half + 0.4)
    figure = Figure(figsize=size)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.axis("off")
    axis.set(xlim=(0, size[0]), ylim=(size[1], 0))  # in inches, down from the top
    last_rank = len(names)

    def at(rank: float) -> float:
        return first + (rank - 1) / max(1, last_rank - 1) * (last - first)

    axis.plot([at(1), at(last_rank)], [0.95, 0.95], color="#222222", lw=1.4)
    for rank in _ticks(last_rank):
        axis.plot([at(rank)] * 2, [0.87, 0.95], color="#222222", lw=1.2)
        axis.text(at(rank), 0.83, str(rank), ha="center", va="bottom", fontsize=12)
    for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        is_left = place < half
        y = top + _LINE * (place if is_left else len(names) - 1 - place) + 0.2
        edge = first - 0.2 if is_left else last + 0.2
        axis.plot([at(rank), at(rank), edge], [0.95, y, y], color="#555555", lw=0.9, solid_joinstyle="miter")
        label = f"{titles[name]}  {rank:.1f}" if is_left else f"{rank:.1f}  {titles[name]}"
        axis.text(
            edge + (-0.06 if is_left else 0.06), y, label, ha="right" if is_left else "left", va="center_baseline"
        )
    for index, group in enumerate(bars):
        ends = [ranks[names.index(group[0])], ranks[names.index(group[-1])]]
        axis.plot([at(ends[0]) - 0.04, at(ends[1]) + 0.04], [1.08 + 0.13 * index] * 2, color=COLORS[1], lw=4)
    _critical(axis, across, at)
    return figure


_LETTERS = 128
"""Letters of one point that stand in an inch: a picture of few rows is narrower than what is said above it."""


def _critical(axis: Axes, across: Across, at: Callable[[float], float]) -> None:
    """The critical difference in words and as a length, and what follows where no two can be told apart."""
    test = across.test
    said = f"critical difference {test.critical_difference:.1f} (Nemenyi, 5%, {test.data_sets} data sets)"
    if test.too_few:
        said += ": too few to tell any two apart"
    elif not test.decides:
        said += ", but by Friedman's test no two differ"
    inches = axis.get_xlim()[1]
    axis.text(inches / 2, 0.22, said, ha="center", va="center", fontsize=min(13.0, _LETTERS * inches / len(said)))
    if not test.too_few:
        ends = [at(1), at(1 + test.critical_difference)]
        axis.plot(ends, [0.48] * 2, color=COLORS[1], lw=1.6, marker="|", ms=8, mew=1.6)


def _ticks(last: int) -> list[int]:
    """Rank 1, and about five round ranks up to the last."""
    step = next((step for step in (1, 2, 5, 10, 20, 50) if last <= 6 * step + 1), 100)
    return [1, *range(step if step > 1 else 2, last + 1, step)]
