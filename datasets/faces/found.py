"""Where the faces are in the frames of a corpus, for releases that come without crops: the protocol's `faces: found`.

Of a track it is one face: in a video the one that is seen longest, in pictures the largest, its square smoothed over
time as `predict` and `faces` smooth it, but not turned. A frame in which it is not found takes the square of the
nearest frame of its track; a track without any face, and a picture without one, keep their whole frames. All of it is
counted.

What is found is kept by parts of the corpus, so that a search that is killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.corpus import Corpus, divided
from ferbench.datasets.decoding import shown
from ferbench.datasets.faces.crops import crop_of, smoothed
from ferbench.datasets.faces.detector import Detector, Face, finder
from ferbench.datasets.faces.tracks import joined
from ferbench.datasets.video import read_frames

TRACKS_AT_ONCE = 50
"""Tracks after which what was found is kept."""
SECOND = 1 / 25
"""Between two frames that do not say when they were taken."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Found:
    """Squares of the faces of a corpus."""

    boxes: NDArray[np.float64]
    """(N,4) x, y, width and height in pixels of each frame's file; NaN: the whole frame."""
    seen: NDArray[np.bool_]
    """(N,) whether a face was found in the frame itself."""

    def notes(self, corpus: Corpus) -> tuple[str, ...]:
        """What a reader of the board must know."""
        whole = np.isnan(self.boxes[:, 0])
        tracks = int(np.logical_and.reduceat(whole, corpus.track_start[:-1]).sum())
        near = int((~self.seen & ~whole).sum())
        return (
            f"faces found by {finder()} in {int(self.seen.sum())} of {len(self.seen)} frames; {near} take the square "
            f"of the nearest frame, and {tracks} of {len(corpus.track_subject)} tracks show none: their whole "
            "frames are read",
        )


def with_found_faces(corpus: Corpus, folder: Path, progress: Progress | None = None) -> Corpus:
    """The corpus with the boxes of the faces that are found in it; tracks that no sample uses are not opened.

    folder: where what is found is kept; it belongs to these frames and this detector.

    Raises:
        DataError: what finds faces is not installed.
        OSError: the folder cannot be written.
    """
    tracks = len(corpus.track_start) - 1
    used = np.isin(np.arange(tracks), corpus.track)
    detector: Detector | None = None
    parts = []
    folder.mkdir(parents=True, exist_ok=True)
    for begin, end, file in _portions(corpus, folder):
        part = _kept(corpus, begin, end, file)
        if part is None:
            detector = detector or Detector()
            each = []
            for track in range(begin, end):
                each.append(found_in(corpus, track, detector) if used[track] else _nothing(corpus, track))
                if progress:
                    progress(track + 1, tracks)
            part = Found(np.concatenate([f.boxes for f in each]), np.concatenate([f.seen for f in each]))
            draft = file.with_suffix(".draft.npz")
            np.savez(draft, boxes=part.boxes, seen=part.seen)
            draft.replace(file)
        parts.append(part)
    return _boxed(corpus, parts)


def kept_faces(corpus: Corpus, folder: Path) -> Corpus | None:
    """The corpus with the boxes that were found before; None where some are still to be looked for. Writes nothing."""
    parts = []
    for portion in _portions(corpus, folder):
        if (part := _kept(corpus, *portion)) is None:
            return None
        parts.append(part)
    return _boxed(corpus, parts)


def _boxed(corpus: Corpus, parts: Sequence[Found]) -> Corpus:
    found = Found(np.concatenate([part.boxes for part in parts]), np.concatenate([part.seen for part in parts]))
    return replace(corpus, boxes=found.boxes, notes=(*corpus.notes, *found.notes(corpus)))


def _portions(corpus: Corpus, folder: Path) -> list[tuple[int, int, Path]]:
    """First track and end of what is kept in one file, and the file."""
    tracks = len(corpus.track_start) - 1
    begins = [*range(0, tracks, TRACKS_AT_ONCE), tracks]
    return [(begin, end, folder / f"{begin:07d}.npz") for begin, end in pairwise(begins)]


def _kept(corpus: Corpus, begin: int, end: int, file: Path) -> Found | None:
    frames = int(corpus.track_start[end] - corpus.track_start[begin])
    try:
        with np.load(file, allow_pickle=False) as kept:
            found = Found(kept["boxes"], kept["seen"])
    except Exception:  # none yet, or a damaged file, which can raise anything
        return None
    return found if found.boxes.shape == (frames, 4) and found.seen.shape == (frames,) else None


def _nothing(corpus: Corpus, track: int) -> Found:
    """Of a track that is not looked at."""
    frames = int(corpus.track_start[track + 1] - corpus.track_start[track])
    return Found(np.full((frames, 4), np.nan), np.zeros(frames, dtype=bool))


def found_in(corpus: Corpus, track: int, detector: Detector) -> Found:
    """The squares of the main face of a track."""
    begin, end = int(corpus.track_start[track]), int(corpus.track_start[track + 1])
    names = [corpus.frames[i] for i in range(begin, end)]
    boxes, seen = np.full((len(names), 4), np.nan), np.zeros(len(names), dtype=bool)
    times = [float(within[3:]) if (within := divided(name)[1]).startswith("#t=") else i * SECOND
             for i, name in enumerate(names)]  # fmt: skip
    moving = len(names) > 1
    faces = [
        [] if picture is None else detector.find(picture, turned=not moving) for picture in pictures(corpus.root, names)
    ]
    if moving:
        main = max(joined(zip(times, faces, strict=True)), key=lambda track: len(track.faces), default=None)
        shown_at, kept = ([], []) if main is None else (main.seconds, main.faces)
    else:
        shown_at, kept = ([times[0]], faces[0][:1]) if faces[0] else ([], [])
    if not kept:
        return Found(boxes, seen)
    squares = _squares(kept, shown_at)
    place = {second: i for i, second in enumerate(times)}
    for second, square in zip(shown_at, squares, strict=True):
        boxes[place[second]], seen[place[second]] = square, True
    known = np.flatnonzero(seen)
    nearest = known[np.abs(np.arange(len(names))[:, None] - known).argmin(axis=1)]
    return Found(boxes[nearest], seen)


def _squares(faces: Sequence[Face], seconds: Sequence[float]) -> list[tuple[float, float, float, float]]:
    """The upright squares of one face over time."""
    crops = smoothed([crop_of(face) for face in faces], seconds)
    return [(crop.x - crop.side / 2, crop.y - crop.side / 2, crop.side, crop.side) for crop in crops]


def pictures(root: Path, names: Sequence[str]) -> Iterator[NDArray[np.uint8] | None]:
    """(H,W,3) uint8 RGB of each frame of a track, upright; None where it cannot be read."""
    file, within = divided(names[0])
    if within.startswith("#t="):
        yield from read_frames(root / file, np.array([float(divided(name)[1][3:]) for name in names]))
        return
    for name in names:
        try:
            with Image.open(root / name) as image:
                yield np.asarray(shown(image))
        except Exception:  # a damaged file can raise anything
            yield None
