"""Faces joined over time: whoever overlaps most with where a face was last is that face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ferbench.datasets.faces.detector import Face

OVERLAP = 0.25
"""Least intersection over union with the last box."""
GAP = 1.0
"""Seconds that a face may be out of sight."""
FEWEST = 3
"""Frames below which a track of a video is taken for a false find."""


@dataclass
class Track:
    """One face over time."""

    number: int
    seconds: list[float] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)

    def add(self, second: float, face: Face) -> None:
        self.seconds.append(second)
        self.faces.append(face)


def joined(frames: Iterable[tuple[float, Sequence[Face]]]) -> list[Track]:
    """Tracks of faces found at times that ascend, in the order in which they began; short ones are left out.

    Of several faces and tracks the pair that overlaps most is joined first; each has one partner at most.
    """
    tracks: list[Track] = []
    for second, faces in frames:
        alive = [track for track in tracks if second - track.seconds[-1] <= GAP]
        pairs = sorted(
            ((overlap(track.faces[-1], face), i, j) for i, track in enumerate(alive) for j, face in enumerate(faces)),
            reverse=True,
        )
        taken: set[int] = set()
        followed: set[int] = set()
        for value, i, j in pairs:
            if value >= OVERLAP and i not in followed and j not in taken:
                alive[i].add(second, faces[j])
                followed.add(i)
                taken.add(j)
        for j, face in enumerate(faces):
            if j not in taken:
                tracks.append(Track(0))
                tracks[-1].add(second, face)
    kept = [track for track in tracks if len(track.faces) >= FEWEST]
    for number, track in enumerate(kept, start=1):
        track.number = number
    return kept


def overlap(one: Face, other: Face) -> float:
    """Intersection over union of two boxes."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = one.box, other.box
    width = min(ax + aw, bx + bw) - max(ax, bx)
    height = min(ay + ah, by + bh) - max(ay, by)
    inside = max(0.0, width) * max(0.0, height)
    return inside / (aw * ah + bw * bh - inside)
