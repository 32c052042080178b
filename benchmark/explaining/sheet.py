"""What counts for an answer, as a picture: each frame, and below it the frame under its relevance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ferbench.benchmark.explaining.relevance import Relevance
from ferbench.benchmark.records.atomic import drafted

SIDE = 112
"""Pixels of a frame on the sheet."""
MOST_FRAMES = 8
HEAD, GAP, WIDEST_TITLE = 22, 6, 420
BRIGHT = 0.98
"""Quantile of the relevance that is shown brightest: a single pixel must not darken all others."""


def overlaid(frame: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(S,S,3) a grey frame under a heat map (S,S) of 0 to 1."""
    grey = np.repeat(frame.mean(axis=2, keepdims=True), 3, axis=2)
    colour = mpl.colormaps["inferno"](heat)[..., :3] * 255
    share = 0.25 + 0.55 * heat[..., None]
    return np.asarray(np.clip((1 - share) * grey + share * colour, 0, 255).astype(np.uint8))


def write_sheet(file: Path, rows: Sequence[tuple[str, NDArray[np.uint8], Relevance]], classes: Sequence[str]) -> None:
    """A PNG with two lines a face: its frames, and the frames under their relevance; of a clip the share of each frame.

    Args:
        rows: name, frames (K,S,S,3) and relevance of each.

    Raises:
        OSError: it cannot be written.
    """
    shown = max(min(MOST_FRAMES, len(frames)) for _, frames, _ in rows)
    block = HEAD + 2 * SIDE + HEAD + GAP
    width = max(shown * (SIDE + GAP) + GAP, WIDEST_TITLE)
    sheet = Image.new("RGB", (width, len(rows) * block + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (name, frames, found) in enumerate(rows):
        top = number * block + GAP
        answer = classes[found.answer] if len(classes) > 1 else "value"
        pen.text((GAP, top), f"{name}: {answer} {found.probability:.2f} ({found.method})", fill="black")
        picked = np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).round().astype(int)
        highest = np.quantile(found.maps, BRIGHT) or found.maps.max() or 1.0
        for column, k in enumerate(picked.tolist()):
            left = GAP + column * (SIDE + GAP)
            heat = np.minimum(found.maps[k] / highest, 1)
            for line, picture in enumerate((frames[k], overlaid(frames[k], heat))):
                face = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                sheet.paste(face, (left, top + HEAD + line * SIDE))
            if len(frames) > 1:
                pen.text((left, top + HEAD + 2 * SIDE + 2), f"{found.of_time[k]:.0%} of it", fill="black")
    with drafted(file) as draft:
        sheet.save(draft, format="PNG")
