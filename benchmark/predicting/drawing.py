"""What was found, as pictures: the classes over time, and the medium with boxes and classes on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ferbench.benchmark.predicting.media import Medium
from ferbench.benchmark.records.atomic import drafted

WIDTH, HEIGHT = 9.0, 2.6
"""Inches of a face's panel."""
MOST_FACES = 8
"""Panels of one picture; the faces that are seen longest."""
INK = (255, 214, 10)
LONGEST = 1280
"""Pixels of the longer side of an overlay."""


def draw_timeline(table: pd.DataFrame, classes: Sequence[str], file: Path) -> None:
    """Probabilities over time, a panel a face, as PNG or SVG by the name of the file.

    table: of one video, as `timeline.answered` gives it.
    """
    faces = table["face"].value_counts().index[:MOST_FACES].sort_values()
    figure = Figure(figsize=(WIDTH, HEIGHT * max(1, len(faces)) + 0.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(max(1, len(faces)), 1, sharex=True))
    columns = [*classes] if "predicted" in table else ["value"]
    colours = matplotlib.color_sequences["tab10"]
    for panel, number in zip(axes, faces, strict=False):
        own = _with_gaps(table[table["face"] == number])
        for place, name in enumerate(columns):
            panel.plot(own["second"], own[name], label=name, color=colours[place % len(colours)], linewidth=1.6)
        panel.set_ylabel(f"face {number}")
        panel.set_ylim((0, 1) if "predicted" in table else (-1, 1))
        panel.grid(alpha=0.3)
    axes[-1].set_xlabel("seconds")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(columns), 8), frameon=False, fontsize=8)
    with drafted(file) as draft:
        figure.savefig(draft, format=file.suffix[1:] or "png", dpi=130)


def _with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a face, with empty ones where it was out of sight, so that no line leads across."""
    step = table["second"].diff()
    away = table[step > 1.5 * step.min()]
    empty = pd.DataFrame({"second": away["second"] - 1e-6})
    return pd.concat([table, empty]).sort_values("second")


def draw_overlay(medium: Medium, table: pd.DataFrame, file: Path) -> None:
    """The medium with a box, the face's number and its class: a PNG, or an MP4 of the frames that were looked at."""
    shown = (_marked(frame, _rows(medium, table, i)) for i, frame in enumerate(medium.frames()) if frame is not None)
    if not medium.is_video:
        for picture in shown:
            with drafted(file) as draft:
                Image.fromarray(picture).save(draft, format="PNG")
        return
    rate = (
        Fraction(1 / (medium.seconds[1] - medium.seconds[0])).limit_denominator(1000) if len(medium.seconds) > 1 else 1
    )
    with drafted(file) as draft:
        _write_video(shown, Fraction(rate), draft)


def _write_video(pictures: Iterator[NDArray[np.uint8]], rate: Fraction, file: Path) -> None:
    with av.open(str(file), "w", format="mp4") as out:
        stream, begun = out.add_stream("libx264", rate=rate, options={"crf": "23"}), False
        for picture in pictures:
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            if not begun:  # the stream has some size before it has one of its own
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt, begun = "yuv420p", True
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _rows(medium: Medium, table: pd.DataFrame, frame: int) -> pd.DataFrame:
    return table[table["second"] == medium.seconds[frame]] if medium.is_video else table


def _marked(picture: NDArray[np.uint8], rows: pd.DataFrame) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    scale = min(1.0, LONGEST / max(image.size))
    image = image.resize((max(2, round(image.width * scale)), max(2, round(image.height * scale))))
    points = max(11, image.height // 32)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(points)
    for row in rows.to_dict("records"):
        said = f"{row['predicted']} {row[row['predicted']]:.2f}" if "predicted" in row else f"{row['value']:+.2f}"
        x, y, width, height = (row[name] * scale for name in ("x", "y", "width", "height"))
        if not np.isfinite(x):
            draw.text((6, 6), said, INK, font, stroke_width=2, stroke_fill="black")
            continue
        draw.rectangle((x, y, x + width, y + height), outline=INK, width=max(2, image.height // 240))
        text = f"{row['face']}: {said}"
        draw.text((x, max(0.0, y - points - 6)), text, INK, font, stroke_width=2, stroke_fill="black")
    return np.asarray(image)
