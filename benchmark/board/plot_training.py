"""Learning curves: the headline measure on the validation part, and the training loss, over epochs."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferbench.benchmark.board.figures import legend_below, lines, lowest, panels, short
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import Section
from ferbench.benchmark.board.tables import HEADLINES

_SAID = "Training losses are each architecture's own: their heights cannot be compared."


def curves(section: Section) -> Figure | None:
    """A line of two panels a data set."""
    learned = [
        (table, [row for row in table.rows if any(record.data["history"] for record in row.finished)])
        for table in section.tables
    ]
    shown = [(table, rows) for table, rows in learned if rows]
    if not shown:
        return None
    figure, axes = panels(2 * len(shown), 5.4, 3.6)
    for (table, rows), scores, losses in zip(shown, axes[::2], axes[1::2], strict=True):
        named = f"validation {HEADLINES[table.headline]}"
        for axis, key, label in ((scores, f"val_{table.headline}", named), (losses, "train_loss", "training loss")):
            lines(axis, [(section.order.index(row.architecture), short(row.title), *_curve(row, key)) for row in rows])
            axis.set(title=table.name, xlabel="epoch (stages joined)", ylabel=label)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
        scores.set_ylim(lowest(table.headline, [np.nanmin(line.get_ydata()) for line in scores.lines]), 1)
    titles = {row.architecture: short(row.title) for row in section.architectures}
    legend_below(figure, axes, [titles[name] for name in section.order], _SAID)
    return figure


def _curve(row: Row, key: str) -> tuple[list[float], list[float]]:
    """The mean over the cells, epoch by epoch; a gap between two stages, whose step is not learning."""
    histories = [record.data["history"] for record in row.finished]
    epochs = [[entry for entry in epoch if entry is not None] for epoch in zip_longest(*histories)]
    stages: dict[str, list[tuple[float, float]]] = {}
    for number, entries in enumerate(epochs, start=1):
        values = [value for entry in entries if (value := entry.get(key)) is not None]
        if values:
            stages.setdefault(entries[0]["stage"], []).append((number, float(np.mean(values))))
    points = [point for stage in stages.values() for point in [*stage, (np.nan, np.nan)]][:-1]
    return [x for x, _ in points], [y for _, y in points]
