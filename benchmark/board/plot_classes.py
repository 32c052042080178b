"""Confusion matrices and F1 of each class, of all architectures on one data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferbench.benchmark.board.figures import HEAT, Label, Labels, ink, short
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable

_COLUMNS = 3
_TITLE = 1.4
"""Room for a title and for what lies between two matrices, in cells of a matrix of 6 classes."""


def confusions(table: DataTable) -> Figure | None:
    """A matrix for each architecture, the best first: of each true class (a line), the share predicted as each class.

    All are one image: a hundred axes with their labels would take a hundred times as long to draw. The number on the
    diagonal is the recall in percent.
    """
    rows = [row for row in table.rows if row.competes and row.confusion is not None and not table.base(row)]
    if not rows:
        return None
    classes, size = table.classes, len(table.classes)
    columns, gap = min(_COLUMNS, len(rows)), math.ceil(_TITLE * size / 6)
    lines, step = math.ceil(len(rows) / columns), size + gap
    mosaic: NDArray[Any] = np.full((lines * step, columns * step - gap), np.nan)
    inches = 2.75
    width = columns * inches + 1.9
    read = wrap(_READ, int(width / 0.09))
    height = lines * inches * step / (size + gap) + 1.35 + 0.18 * len(read)
    figure = Figure(figsize=(width, height))
    # Margins in inches: the class names stand left of the first column and below the last matrix of each.
    axis = figure.add_axes((1.4 / width, 1.2 / height, 1 - 1.9 / width, 1 - (1.3 + 0.18 * len(read)) / height))
    numbers: list[Label] = []
    for index, row in enumerate(rows):
        top, left = index // columns * step + gap, index % columns * step
        mosaic[top : top + size, left : left + size] = _shares(row)
        numbers += _matrix(axis, row, mosaic[top : top + size, left : left + size], left, top, 0.07 * step / inches)
        if index + columns >= len(rows):
            _names_below(axis, classes, left, top + size)
    Labels(axis, numbers, 10)
    axis.imshow(mosaic, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axis.set(xlim=(-0.5, mosaic.shape[1] - 0.5), ylim=(len(mosaic) - 0.5, -0.5))
    axis.axis("off")  # names as texts are drawn in half the time of ticks
    for number, name in enumerate(classes):
        for line in range(lines):
            axis.text(-0.7, line * step + gap + number, name, fontsize=11, ha="right", va="center_baseline")
    figure.text(0.15 / width, 1 - 0.12 / height, "\n".join(read), fontsize=11, va="top", color="#444444")
    return figure


_READ = "Line: true class. Column: predicted class. Number: recall in percent. Beside the name: the headline score."


def _names_below(axis: Axes, classes: Sequence[str], left: int, below: int) -> None:
    for number, name in enumerate(classes):
        under: Any = {"rotation": 45, "rotation_mode": "anchor", "ha": "right", "va": "top"}
        axis.text(left + number, below - 0.3, name, fontsize=11, **under)


def _counts(row: Row) -> NDArray[np.int64]:
    counts = row.confusion
    assert counts is not None, "of a classification"
    return counts


def _shares(row: Row) -> NDArray[Any]:
    counts = _counts(row)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def _matrix(axis: Axes, row: Row, shares: NDArray[Any], left: int, top: int, lift: float) -> list[Label]:
    """Title, `lift` above it, and frame of a matrix; its numbers are drawn with those of all."""
    size = len(shares)
    axis.text(
        left - 0.4, top - 0.5 - lift, _in_two(f"{row.title}  {row.score:.3f}"), fontsize=11, va="bottom", ha="left"
    )
    corners = np.array(_CORNERS) * size - 0.5
    axis.plot(left + corners[:, 0], top + corners[:, 1], color="#bbbbbb", lw=0.7, clip_on=False)
    recalls = [(true, shares[true, true]) for true in np.flatnonzero(np.isfinite(shares[:, 0])).tolist()]
    return [Label(left + true, top + true, f"{100 * recall:.0f}", ink(recall)) for true, recall in recalls]


_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))


def _in_two(title: str, most: int = 29) -> str:
    """In two lines where it is long, so that two titles which begin alike stay apart."""
    lines = wrap(title, most, break_on_hyphens=False)
    return "\n".join(lines if len(lines) <= 2 else [lines[0], f"…{title[1 - most :]}"])


def class_scores(table: DataTable) -> Figure | None:
    """F1 of each class (columns) of each architecture (lines), the best first."""
    rows = [row for row in table.rows if row.competes and row.figures.f1_per_class and not table.base(row)]
    if not rows:
        return None
    values = np.array([[np.nan if f1 is None else f1 for f1 in row.figures.f1_per_class] for row in rows])
    names = [f"{name} ({number})" for name, number in zip(table.classes, _tested(rows), strict=True)]
    return heat(values, [short(row.title) for row in rows], names, 2, "F1 (test samples)")


def _tested(rows: Sequence[Row]) -> list[int]:
    """Test samples of each class, of a row that lacks none."""
    found: list[int] = np.max([_counts(row).sum(axis=1) // len(row.seeds) for row in rows], axis=0).tolist()
    return found


def heat(
    values: NDArray[Any], lines: Sequence[str], columns: Sequence[str], digits: int, said: str, apart: int = 0
) -> Figure:
    """Numbers (L, C) on a colour for each, 0 to 1; a cell without a value stays white.

    said: what the numbers are. apart: lines at the end that stand apart from the others.
    """
    left, gap = 0.105 * max(len(line) for line in (*lines, said)) + 0.3, 0.5 if apart else 0.0
    up = 0.065 * max(map(len, columns)) + 0.4  # names of columns lean to the right
    right = max(0.1, *(0.095 * len(name) + column - len(columns) + 0.7 for column, name in enumerate(columns)))
    size = (left + len(columns) + right, 0.34 * (len(lines) + gap) + up + 0.1)
    figure = Figure(figsize=size)
    axis = figure.add_axes((left / size[0], 0.1 / size[1], len(columns) / size[0], 1 - (up + 0.1) / size[1]))
    first = len(lines) - apart
    places = [place + gap * (place >= first) for place in range(len(lines))]
    for top, part in ((0.0, values[:first]), (first + gap, values[first:])):
        if len(part):
            extent = (-0.5, len(columns) - 0.5, top + len(part) - 0.5, top - 0.5)
            axis.imshow(part, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="none", extent=extent)
    axis.set(xlim=(-0.5, len(columns) - 0.5), ylim=(places[-1] + 0.5, -0.5))
    axis.axis("off")  # names as texts are drawn in half the time of ticks
    axis.text(-0.55, -0.65, said, ha="right", color="#555555")
    for place, line in zip(places, lines, strict=True):
        axis.text(-0.55, place, line, ha="right", va="center_baseline")
    for column, name in enumerate(columns):
        axis.text(column, -0.65, name, rotation=35, rotation_mode="anchor", ha="left")
    numbers = [
        Label(column, places[row], f"{value:.{digits}f}", ink(value))
        for (row, column), value in np.ndenumerate(values)
        if np.isfinite(value)
    ]
    Labels(axis, numbers, 12)
    return figure
