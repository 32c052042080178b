"""How evenly each architecture does over the people of a data set."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ferbench.benchmark.board.breakdowns import worst_tenth
from ferbench.benchmark.board.figures import COLORS, short
from ferbench.benchmark.board.sections import DataTable

_LINE = 0.34
"""Inches of a row."""
_SPREAD = 0.26
"""How far dots lie above and below the middle of their row, so that those of one score are seen apart."""
_READ = "Dot: a person. Bar: the middle half. Line: the median. Triangle: the mean of the worst tenth."


def people(table: DataTable) -> Figure | None:
    """The score of each subject as a dot, a line an architecture, the best first; None where nobody is known."""
    rows = [row for row in table.rows if row.competes and not table.base(row) and len(row.figures.by_subject) > 1]
    if not rows:
        return None
    width, height = 9.4, _LINE * len(rows) + 1.25
    figure = Figure(figsize=(width, height))
    left = 0.112 * max(len(short(row.title)) for row in rows) + 0.2
    axis = figure.add_axes((left / width, 0.6 / height, 1 - (left + 0.2) / width, _LINE * len(rows) / height))
    for place, row in enumerate(rows):
        values = np.array([row.figures.by_subject[name] for name in sorted(row.figures.by_subject)])
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        axis.plot([low, high], [place, place], color=COLORS[5], lw=9, alpha=0.5, solid_capstyle="butt", zorder=1)
        axis.plot([middle, middle], [place - 0.3, place + 0.3], color=COLORS[0], lw=2, zorder=3)
        lift = _SPREAD * (2 * (np.arange(len(values)) * 0.618034 % 1) - 1)  # even, and the same each time
        axis.plot(values, place + lift, "o", ms=3.2, color=COLORS[6], alpha=0.45, mew=0, zorder=2)
        axis.plot([worst_tenth(values)], [place], "^", ms=8, color=COLORS[1], zorder=4)
        axis.text(
            -0.012, place, short(row.title), ha="right", va="center_baseline", transform=axis.get_yaxis_transform()
        )
    measure = "CCC" if table.headline == "ccc" else "accuracy"
    axis.set(ylim=(len(rows) - 0.5, -0.5), xlabel=f"{measure} of each subject", yticks=[])
    axis.grid(axis="y", visible=False)
    figure.text(0.15 / width, 1 - 0.12 / height, _READ, fontsize=11, va="top", color="#444444")
    return figure
