"""What a twin shows, before it is rendered: shots of people, with the files that they become.

Made of numpy alone, so that a twin can be planned, counted and checked without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shot:
    """Consecutive frames of one person in one scene."""

    identity: int
    """Number of the person; all that is theirs is drawn from it."""
    units: NDArray[np.float32]
    """(T,A) action units on top of the resting face, channels as in `action_units.ACTION_UNITS`."""
    scene: int
    """Number of the scene: pose, light, background and camera are drawn from it."""
    files: tuple[str, ...]
    """Where each frame goes, below the twin's folder: a file of a picture, `video.mp4#t=SECONDS`, which is the picture
    of a video from that time on, or `table.csv#row=LINE`, which the film's `annotate` finds under `row_picture` and
    writes into the table. An empty text is a frame that the release lacks: time passes, nothing is written."""
    style: Literal["lab", "talk", "wild"] = "lab"
    modality: Literal["VL", "NI"] = "VL"
    light: Literal["Strong", "Weak", "Dark"] = "Strong"
    yaw: float = 0.0
    """How far the camera stands to the side, in radians: the head is turned by it (+: nose to the right)."""
    margin: tuple[int, int] = (0, 0)
    """Pixels that the file has beyond the rendered square, on either side and above and below."""
    grey: bool = False
    """Whether its pictures have no colour."""


def row_picture(folder: Path, table: str, line: int) -> Path:
    """Where the picture of a row waits until its table is written; whoever writes that removes it."""
    return folder / f".{table}" / f"{line}.png"


@dataclass(frozen=True)
class Film:
    """A whole twin: shots, and the annotation files that go with them."""

    dataset: str
    scale: float
    seed: int
    shots: tuple[Shot, ...]
    annotate: Callable[[Path], None]
    """Writes the label files of the official layout below a folder."""
    image_size: int = 64
    test_scale: float | None = None
    """Scale of the test part, where it has one of its own."""

    @property
    def num_frames(self) -> int:
        """Frames in all, without those that the release lacks."""
        return sum(bool(file) for shot in self.shots for file in shot.files)
