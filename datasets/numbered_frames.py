"""Frames whose files bear their numbers: found in one listing of a folder, named only when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import DataError

SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class NumberedFrames(Sequence[str]):
    """Paths `<folder>/00001.jpg`, `<folder>/00002.jpg`, ... of each track, counted from 1, whether they exist or not.

    Holds one text and one number a track; a path is made when it is read.
    """

    folders: tuple[str, ...]
    """Folder of each track below the root."""
    track_start: NDArray[np.int64]
    """(tracks + 1,) place of each track's first frame, and the number of frames in all."""
    suffix: str = ".jpg"

    def __len__(self) -> int:
        return int(self.track_start[-1])

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(len(self))))
        at = place + len(self) if place < 0 else place
        if not 0 <= at < len(self):
            raise IndexError(f"frame {place} of {len(self)}")
        track = int(np.searchsorted(self.track_start, at, side="right")) - 1
        return self._path(track, at - int(self.track_start[track]))

    def __iter__(self) -> Iterator[str]:
        for track, count in enumerate(np.diff(self.track_start).tolist()):
            for i in range(count):
                yield self._path(track, i)

    def _path(self, track: int, i: int) -> str:
        return f"{self.folders[track]}/{i + 1:05d}{self.suffix}"


def numbered_images(folder: Path, root: Path) -> dict[int, str]:
    """Names of the images of a folder by their numbers, ascending; other files are passed over.

    Raises:
        DataError: a name is no number, two files bear one number, or a link leads out of `root`.
    """
    found: dict[int, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() not in SUFFIXES or stem.startswith("."):
                continue
            if not stem.isdecimal():
                raise DataError(f"{entry.path}: the name of an image is its frame number, as in 00001.jpg: rename it")
            if entry.is_symlink():
                refuse_link_outside(root, Path(entry.path))
            number = int(stem)
            if number in found:
                raise DataError(f"{folder}: {min(found[number], entry.name)} and {max(found[number], entry.name)} "
                                f"both claim to be frame {number}: remove one of them")  # fmt: skip
            found[number] = entry.name
    return dict(sorted(found.items()))
