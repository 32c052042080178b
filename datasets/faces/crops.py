"""What is cut out of a picture for a face, and how that follows the face over time without trembling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.faces.detector import Face

AROUND = 1.25
"""Side of what is cut out against the longer side of the face's box."""
SMOOTH = 0.15
"""Seconds: deviation of the bell curve that each face is averaged under with those around it in time."""
MOST_OVERSAMPLED = 4


@dataclass(frozen=True)
class Crop:
    """A square in a picture, turned so that the eyes are level."""

    x: float
    y: float
    """Of its middle, in pixels."""
    side: float
    angle: float
    """Radians by which the face is turned clockwise."""

    def of(self, picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """(size,size,3): what the square shows; the picture's edge is repeated beyond it."""
        over = int(np.clip(math.ceil(self.side / size), 1, MOST_OVERSAMPLED))
        wide = size * over
        step, cos, sin = self.side / wide, math.cos(self.angle), math.sin(self.angle)
        reach = self.side * (abs(cos) + abs(sin)) / 2 + 2
        height, width = picture.shape[:2]
        left, top = math.floor(self.x - reach), math.floor(self.y - reach)
        right, bottom = math.ceil(self.x + reach), math.ceil(self.y + reach)
        rows, columns = np.clip(np.arange(top, bottom), 0, height - 1), np.clip(np.arange(left, right), 0, width - 1)
        around = Image.fromarray(picture[np.ix_(rows, columns)])
        a, b, d, e = cos * step, -sin * step, sin * step, cos * step
        c = self.x - left - (a + b) * wide / 2  # Pillow counts from the edge of the first pixel
        f = self.y - top - (d + e) * wide / 2
        turned = around.transform((wide, wide), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
        return np.asarray(turned if over == 1 else turned.resize((size, size), Image.Resampling.BOX))


def crop_of(face: Face) -> Crop:
    """The square around a face."""
    x, y, width, height = face.box
    (left_x, left_y), (right_x, right_y) = face.points[0], face.points[1]
    return Crop(x + width / 2, y + height / 2, AROUND * face.side, math.atan2(right_y - left_y, right_x - left_x))


def whole(picture: NDArray[np.uint8]) -> Crop:
    """The centred square of a picture, as readers take it where a release is cropped."""
    height, width = picture.shape[:2]
    return Crop(width / 2, height / 2, min(width, height), 0.0)


def smoothed(crops: Sequence[Crop], seconds: Sequence[float]) -> list[Crop]:
    """The crops of one face at these times, each averaged with those around it."""
    values = np.array([(c.x, c.y, c.side, math.cos(c.angle), math.sin(c.angle)) for c in crops])
    times = np.array(seconds)
    found = []
    for now in times:
        near = np.abs(times - now) < 4 * SMOOTH
        weight = np.exp(-0.5 * ((times[near] - now) / SMOOTH) ** 2)
        x, y, side, cos, sin = (weight / weight.sum()) @ values[near]
        found.append(Crop(float(x), float(y), float(side), math.atan2(sin, cos)))
    return found
