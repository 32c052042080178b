"""Frames whose files bear their numbers: found in one listing of a folder, named only when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import DataError
from ferbench.datasets.spelling import PICTURES, files_in

FAR = 100_000
"""A frame of a higher number is taken for a stray file where there are few others."""
FEWEST = 0.01
"""Share of the numbers up to the highest that must be there then."""


@dataclass(frozen=True)
class NumberedFrames(Sequence[str]):
    """Paths `<folder>/00001.jpg`, `<folder>/00002.jpg`, ... of each track, counted from 1, whether they exist or not.

    Holds two texts and one number a track; a path is made when it is read.
    """

    folders: tuple[str, ...]
    """Folder of each track below the root."""
    track_start: NDArray[np.int64]
    """(tracks + 1,) place of each track's first frame, and the number of frames in all."""
    suffixes: tuple[str, ...]
    """Ending of the names of each track."""
    others: Mapping[int, str] = field(default_factory=dict)
    """Paths of the frames that are not named so, by their place."""

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
        return self._path(track, at - int(self.track_start[track]), at)

    def __iter__(self) -> Iterator[str]:
        counts = np.diff(self.track_start).tolist()
        for track, (first, count) in enumerate(zip(self.track_start.tolist(), counts, strict=False)):
            for i in range(count):
                yield self._path(track, i, first + i)

    def _path(self, track: int, i: int, place: int) -> str:
        return self.others.get(place) or f"{self.folders[track]}/{i + 1:05d}{self.suffixes[track]}"


def numbered_images(folder: Path, root: Path) -> dict[int, str]:
    """Names of the images of a folder by their numbers, ascending; other files are passed over.

    Raises:
        DataError: a name is no number, two files bear one number, a number is far from all others, or a link leads out
            of `root`.
    """
    found: dict[int, str] = {}
    for name, stem, ending in files_in(folder, root):
        if ending not in PICTURES:
            continue
        if not stem.isdecimal():
            raise DataError(f"{folder / name}: the name of an image is its frame number, as in 00001.jpg: rename it")
        number = int(stem[-18:])
        if number in found:
            raise DataError(f"{folder}: {min(found[number], name)} and {max(found[number], name)} both claim to be "
                            f"frame {number}: remove one of them")  # fmt: skip
        found[number] = name
    last = max(found, default=0)
    if last > FAR and len(found) < FEWEST * last:
        raise DataError(f"{folder / found[last]}: frame {last} among {len(found)} images: rename or remove it")
    return dict(sorted(found.items()))


def next_first_frames(subjects: Sequence[str], bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(tracks,) for each sequence the first frame of its subject's next one; the last takes the first.

    Args:
        subjects: (tracks,) who is seen in each.
        bounds: (tracks + 1,) where each begins.
    """
    tracks: dict[str, list[int]] = {}
    for track, subject in enumerate(subjects):
        tracks.setdefault(subject, []).append(track)
    following = {own: after for of in tracks.values() for own, after in zip(of, [*of[1:], of[0]], strict=True)}
    return bounds[[following[track] for track in range(len(subjects))]]
