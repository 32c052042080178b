"""Pictures and videos that a person names, frame by frame, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferbench.benchmark.errors import RequestError
from ferbench.datasets.corpus import DataError
from ferbench.datasets.decoding import shown
from ferbench.datasets.spelling import is_shown
from ferbench.datasets.video import is_video, read_duration, read_frames, sample_times

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
MOST_PIXELS = 500_000_000
"""Of a picture: one of 20,000 x 20,000 is read, smaller; more is taken for a file that lies."""
LONGEST = 4096
"""Pixels of a picture's longer side above which it is made smaller when it is read."""


@dataclass(frozen=True)
class Medium:
    """A picture or a video."""

    file: Path
    seconds: tuple[float, ...]
    """Times that are looked at; of a picture none."""

    @property
    def is_video(self) -> bool:
        return bool(self.seconds)

    def frames(self) -> Iterator[NDArray[np.uint8] | None]:
        """(H,W,3) RGB at each time, upright; None where nothing can be decoded. A picture has one frame."""
        if self.is_video:
            yield from read_frames(self.file, np.array(self.seconds))
        else:
            yield read_picture(self.file)


def read_picture(file: Path) -> NDArray[np.uint8] | None:
    """A picture as a viewer shows it, (H,W,3) RGB; None where it cannot be read."""
    before = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = MOST_PIXELS
        with Image.open(file) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            with suppress(Exception):  # JPEG alone can be read smaller
                image.draft("RGB", (LONGEST, LONGEST))
            found = shown(image)
            found.thumbnail((LONGEST, LONGEST))
            return np.asarray(found)
    except Exception:  # a damaged file can raise anything
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = before


def media_of(inputs: Sequence[Path], rate: float) -> list[Medium]:
    """Every picture and video that is named, or lies below a folder that is, in order.

    rate: frames of a video that are looked at in a second.

    Raises:
        RequestError: there is nothing there, or a file that is named cannot be used.
    """
    found: list[Medium] = []
    for place in inputs:
        if place.is_dir():
            files = sorted(file for file in place.rglob("*") if file.is_file() and _is_medium(file) and is_shown(file))
            if not files:
                raise RequestError(f"{place}: no picture and no video in it ({', '.join(PICTURES)}, .mp4, ...)")
            found += [medium for file in files if (medium := _medium(file, rate, named=False))]
        elif not place.is_file():
            raise RequestError(f"{place}: no such file or folder")
        elif not _is_medium(place):
            raise RequestError(f"{place}: neither a picture nor a video by its name")
        else:
            found += [medium for medium in [_medium(place, rate, named=True)] if medium]
    return found


def _is_medium(file: Path) -> bool:
    return is_video(file) or file.suffix.lower() in PICTURES


def _medium(file: Path, rate: float, named: bool) -> Medium | None:
    if not is_video(file):
        return Medium(file, ())
    try:
        return Medium(file, tuple(sample_times(read_duration(file), rate).tolist()))
    except DataError as error:
        if named:
            raise RequestError(str(error)) from None
        print(f"{file}: left out: {error}")
        return None
