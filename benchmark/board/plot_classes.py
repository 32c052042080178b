"""Confusion matrices and F1 of each class, of all architectures on one data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ferbench.benchmark.board.figures import HEAT, Label, Labels, ink
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
    width, height = columns * inches + 1.9, lines * inches * step / (size + gap) + 1.3
    figure = Figure(figsize=(width, height))
    # Margins in inches: the class names stand left of the first column and below the last line.
    axis = figure.add_axes((1.4 / width, 1.2 / height, 1 - 1.9 / width, 1 - 1.25 / height))
    numbers: list[Label] = []
    for index, row in enumerate(rows):
        top, left = index // columns * step + gap, index % columns * step
        mosaic[top : top + size, left : left + size] = _shares(row)
        numbers += _matrix(axis, row, mosaic[top : top + size, left : left + size], left, top)
    Labels(axis, numbers, 10)
    axis.imshow(mosaic, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axis.set(xlim=(-0.5, mosaic.shape[1] - 0.5), ylim=(len(mosaic) - 0.5, -0.5))
    axis.axis("off")  # names as texts are drawn in half the time of ticks
    for number, name in enumerate(classes):
        for line in range(lines):
            axis.text(-0.7, line * step + gap + number, name, fontsize=11, ha="right", va="center_baseline")
        for column in range(columns):
            under: Any = {"rotation": 45, "rotation_mode": "anchor", "ha": "right", "va": "top"}
            axis.text(column * step + number, len(mosaic) - 0.3, name, fontsize=11, **under)
    return figure


def _shares(row: Row) -> NDArray[Any]:
    counts: Any = row.confusion
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def _matrix(axis: Axes, row: Row, shares: NDArray[Any], left: int, top: int) -> list[Label]:
    """Title and frame of a matrix; its numbers are drawn with those of all."""
    size = len(shares)
    axis.text(left - 0.4, top - 0.75, _short(f"{row.title}  {row.score:.3f}"), fontsize=11, va="bottom", ha="left")
    corners = np.array(_CORNERS) * size - 0.5
    axis.plot(left + corners[:, 0], top + corners[:, 1], color="#bbbbbb", lw=0.7, clip_on=False)
    recalls = [(true, shares[true, true]) for true in np.flatnonzero(np.isfinite(shares[:, 0])).tolist()]
    return [Label(left + true, top + true, f"{100 * recall:.0f}", ink(recall)) for true, recall in recalls]


_CORNERS = ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))


def _short(title: str, most: int = 32) -> str:
    return title if len(title) <= most else f"{title[: most - 11]}…{title[-7:]}"


def class_scores(table: DataTable) -> Figure | None:
    """F1 of each class (columns) of each architecture (lines), the best first."""
    rows = [row for row in table.rows if row.competes and row.figures.f1_per_class and not table.base(row)]
    if not rows:
        return None
    values = np.array([[np.nan if f1 is None else f1 for f1 in row.figures.f1_per_class] for row in rows])
    return heat(values, [row.title for row in rows], table.classes, 2)


def heat(values: NDArray[Any], lines: Sequence[str], columns: Sequence[str], digits: int) -> Figure:
    """Numbers (L, C) on a colour for each, 0 to 1; a cell without a value stays white."""
    longest = max(len(line) for line in lines)
    left, width = 0.105 * longest + 0.3, 1.0
    size = (left + width * len(columns) + 1.1, 0.34 * len(lines) + 1.5)
    figure = Figure(figsize=size)
    axis = figure.add_axes((left / size[0], 0.1 / size[1], width * len(columns) / size[0], 1 - 1.5 / size[1]))
    axis.imshow(values, cmap=HEAT, vmin=0, vmax=1, aspect="auto", interpolation="none")
    axis.axis("off")  # names as texts are drawn in half the time of ticks
    for row, line in enumerate(lines):
        axis.text(-0.55, row, line, ha="right", va="center_baseline")
    for column, name in enumerate(columns):
        axis.text(column, -0.65, name, rotation=35, rotation_mode="anchor", ha="left")
    numbers = [
        Label(column, row, f"{value:.{digits}f}", ink(value))
        for (row, column), value in np.ndenumerate(values)
        if np.isfinite(value)
    ]
    Labels(axis, numbers, 12)
    return figure
