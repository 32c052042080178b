"""What all plots share: one style, panels, legends, and files whose bytes repeat.

The colours are those of Okabe and Ito, told apart by colour-blind readers; markers differ as well, and in plots of
points an architecture is its number. Thirty colours nobody can tell apart, so only the first places have one.
Sizes are chosen for a picture shown 450 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

HEAT = "Blues"
"""Colour map of all heat maps: lightness alone carries the value."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
_LONGEST = 60
"""Letters of a title; those of the variants that files in `models/` have are shorter."""
_MARKERS = ("o", "s", "^", "D", "v", "P")
OTHERS = "the others"

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 14,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 14,
    "axes.titley": 1.0,  # otherwise each title is tried against all labels of its axes
    "figure.dpi": 110,
    "font.size": 13,
    "grid.color": "#e4e4e4",
    "legend.fontsize": 13,
    "legend.frameon": False,
    "savefig.dpi": 110,
    "svg.fonttype": "none",
    "svg.hashsalt": "ferbench",
    "text.parse_math": False,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
}


@contextmanager
def style() -> Iterator[None]:
    """The project's style over matplotlib's own defaults, whatever the reader's configuration says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


_MARGINS = {"left": 0.95, "right": 0.15, "bottom": 0.7, "top": 0.55}
"""Inches of a panel around its axes: labels, and a title of two lines. A layout that is found by trial would take a
fifth of the time of drawing."""


def panels(number: int, width: float, height: float, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """A figure of panels of this size in inches, in so many columns, and their axes."""
    columns = min(columns, number)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(width * columns, height * rows))
    across, up = inside(width, height)
    axes = []
    for index in range(number):
        row, column = divmod(index, columns)
        left = (column + _MARGINS["left"] / width) / columns
        bottom = (rows - 1 - row + _MARGINS["bottom"] / height) / rows
        axes.append(figure.add_axes((left, bottom, across / width / columns, up / height / rows)))
    return figure, axes


def short(title: str) -> str:
    """A title that leaves room for what is drawn: of a long one, as of a row with many changes, its two ends."""
    return title if len(title) <= _LONGEST else f"{title[: _LONGEST - 17]}…{title[-16:]}"


def inside(width: float, height: float) -> tuple[float, float]:
    """Inches that the axes take of a panel of this size."""
    return width - _MARGINS["left"] - _MARGINS["right"], height - _MARGINS["bottom"] - _MARGINS["top"]


def lines(axis: Axes, drawn: Sequence[tuple[int, str, Sequence[float], Sequence[float]]]) -> None:
    """Lines of architectures: those of the first places have a colour and a marker each, the others are one grey.

    drawn: place, counted from 0, title and the points of each; a point that is not a number is a gap.
    """
    grey: tuple[list[float], list[float]] = [], []
    for place, title, xs, ys in drawn:
        if not len(xs):
            continue
        if place < len(_MARKERS):
            each: Any = {"color": COLORS[place], "marker": _MARKERS[place], "markevery": _marked(ys, place)}
            axis.plot(xs, ys, ms=7, lw=2, label=title, zorder=3 + 1 / (2 + place), **each)
        else:  # all in one, which is much sooner drawn than a line each
            grey[0].extend([*xs, np.nan])
            grey[1].extend([*ys, np.nan])
    if grey[0]:
        axis.plot(*grey, color="#c4c4c4", lw=1.1, zorder=2, label=OTHERS)


def _marked(ys: Sequence[float], place: int) -> list[int]:
    """Which points have a marker: about six in all, those of two lines not above each other, so that lines which lie
    on one another are seen; and the first after every gap, for one point alone is no line."""
    step = max(1, len(ys) // 6)
    begins = [index for index, y in enumerate(ys) if not np.isnan(y) and (index == 0 or np.isnan(ys[index - 1]))]
    later = [index for index, y in enumerate(ys) if not np.isnan(y) and index % step == place % step]
    return sorted({*begins, *later})


def legend_below(figure: Figure, axes: Sequence[Axes], order: Sequence[str], said: str = "") -> None:
    """One legend of all lines, under the panels, where it hides nothing; titles in this order, the others last.

    Above it, which lines have a colour where not all have, and what else is `said` of all panels.
    """
    entries: dict[str, Any] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    names = sorted(entries, key=lambda name: order.index(name) if name in order else len(order))
    if names:
        colored = f"In colour: the first {len(_MARKERS)} places over all data sets." if OTHERS in names else ""
        _legend(figure, [entries[name] for name in names], names, "\n".join(filter(None, (colored, said))))


def key_below(figure: Figure, titles: Mapping[int, str], said: str) -> None:
    """Which number stands for which architecture, under a line that is said of all panels."""
    names = [f"{number}  {title}" for number, title in sorted(titles.items())]
    nothing = [Line2D([], [], linestyle="none") for _ in names]
    _legend(figure, nothing, names, said, handlelength=0, handletextpad=0)


def _legend(figure: Figure, handles: Sequence[Any], names: Sequence[str], title: str = "", **options: Any) -> None:
    """The figure grows by what the legend takes."""
    width, height = map(float, figure.get_size_inches())
    longest = max(len(name) for name in names)
    columns = max(1, min(len(names), int(width / (0.098 * longest + 0.45))))
    below = 0.275 * (math.ceil(len(names) / columns) + title.count("\n") + bool(title)) + 0.15
    grown = height + below
    for axis in figure.axes:
        left, bottom, across, up = axis.get_position().bounds
        axis.set_position((left, (bottom * height + below) / grown, across, up * height / grown))
    figure.set_size_inches(width, grown)
    figure.legend(handles, names, loc="lower center", ncols=columns, title=title or None, **options)


def lowest(headline: str, values: Iterable[float]) -> float:
    """Where an axis of this measure begins that shows these values: at zero, and below it for a CCC."""
    return min(-0.2, math.floor(5 * min(values, default=0.0)) / 5) if headline == "ccc" else 0.0


@dataclass(frozen=True)
class Label:
    """A short text centred on a point of an axes."""

    x: float
    y: float
    text: str
    color: str


class Labels(Artist):
    """Many labels as one artist, their baselines where a `Text` with `va="center_baseline"` has its own; one without a
    place is left out.

    A `Text` each would make the drawing of a heat map a third longer: it lays every one out anew, and most are a number
    that stands there already.
    """

    def __init__(self, axis: Axes, labels: Sequence[Label], size: float, zorder: float = 3) -> None:
        super().__init__()
        self.labels, self._model = labels, Text(fontsize=size, ha="center")
        self.set_zorder(zorder)
        axis.add_artist(self)

    def draw(self, renderer: RendererBase) -> None:
        if not self.get_visible() or not self.labels or self.axes is None:
            return
        model, font = self._model, self._model.get_fontproperties()

        def size(text: str) -> tuple[float, float, float]:
            return renderer.get_text_width_height_descent(text, font, ismath=False)

        widths = {text: size(text)[0] for text in {label.text for label in self.labels}}
        _, tall, below = size("lp")
        drop, top = (tall - below) / 2, renderer.get_canvas_width_height()[1]
        places = self.axes.transData.transform([(label.x, label.y) for label in self.labels])
        gc = renderer.new_gc()
        for (x, y), label in zip(places.tolist(), self.labels, strict=True):
            if not np.isfinite((x, y)).all():
                continue
            gc.set_foreground(label.color)
            model.set_position((x, y - drop))  # an SVG keeps it, for fonts of another width
            renderer.draw_text(gc, x - widths[label.text] / 2, top - y + drop, label.text, font, 0, mtext=model)
        gc.restore()


def ink(share: float) -> str:
    """A colour of text that can be read on `share` of the colour map that all heat maps use: the one of more contrast,
    which is at least 4.3."""
    return "white" if share > 0.69 else "#111111"


def save(figure: Figure, file: Path) -> None:
    """`file` as PNG and as SVG without date and version, so that the same figure is the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # nothing is transparent
    # Level 3 takes two thirds of the time of the usual 6, for 2% more bytes.
    Image.fromarray(pixels).save(file.with_name(f"{file.name}.png"), compress_level=3, dpi=(figure.dpi, figure.dpi))
    figure.savefig(file.with_name(f"{file.name}.svg"), format="svg", metadata={"Date": None, "Creator": None})
