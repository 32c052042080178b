"""What all plots share: one style, a colour and a marker for each architecture, and files whose bytes repeat.

The colours are those of Okabe and Ito, told apart by colour-blind readers; markers and line styles differ as well.
Sizes are chosen for a picture shown 450 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES = ("-", "--", ":", "-.")

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 14,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 14,
    "figure.dpi": 110,
    "font.size": 13,
    "grid.color": "#e4e4e4",
    "legend.fontsize": 13,
    "legend.frameon": False,
    "savefig.dpi": 110,
    "text.parse_math": False,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
}


@dataclass(frozen=True)
class Look:
    """How an architecture is drawn, the same in every plot of a section."""

    color: str
    marker: str
    line: str


def looks(architectures: Sequence[str]) -> dict[str, Look]:
    """Colours and markers have numbers of no common factor, so the first 56 architectures all look different."""
    return {
        name: Look(
            COLORS[index % len(COLORS)],
            _MARKERS[index % len(_MARKERS)],
            _LINES[index // len(COLORS) % len(_LINES)],
        )
        for index, name in enumerate(architectures)
    }


@contextmanager
def style() -> Iterator[None]:
    """The project's style over matplotlib's own defaults, whatever the reader's configuration says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def panels(number: int, width: float, height: float, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of panels of this size in inches, and its axes; cells of the grid that stay empty are gone."""
    columns = min(columns, number)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[number:]:
        figure.delaxes(unused)
    return figure, axes[:number]


def legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all panels, under them, where it hides nothing."""
    entries: dict[str, Any] = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(label, handle)
    names = sorted(entries, key=str.casefold)
    inches = float(figure.get_size_inches()[0])
    longest = max((len(name) for name in names), default=1)
    columns = max(1, min(len(names), int(inches / (0.115 * longest + 0.6))))
    figure.legend([entries[name] for name in names], names, loc="outside lower center", ncols=columns)


def save(figure: Figure, file: Path) -> None:
    """A PNG without date and version, so that the same figure is the same file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", metadata={"Software": None})
