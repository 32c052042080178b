"""What a frozen part makes of each frame: computed once, and kept on disk for every cell that reads the same.

A part that a stage `reads` gives a frame the same vector in every epoch, and in every cell that freezes the same
weights on the same data: seven rows share the features of one `cnn`, and starting weights that stay frozen are the same
under every seed and fold. A file is named by the hash of the part, of what it answers and of the frames; the shelf that
it lies on is named by whoever opens it, by what else decides the numbers: the code and the machine.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.records.atomic import drafted
from ferbench.datasets.frames import FrameStore, Progress, reserve

BATCH = 64
"""Frames that are read together. Which of them are is fixed by the data alone, since sums are rounded differently in
other batches: whichever cell comes first, the numbers are the same."""
PROBE = 2
"""Frames whose features stand in the name of a file: they tell apart what the weights do not, the code above all."""

Encode = Callable[[NDArray[np.int64]], Tensor]
"""Features (n,F) of n frames."""


@dataclass(frozen=True)
class Features:
    """What a frozen part made of frames."""

    frames: NDArray[np.int64]
    """(N,) ascending."""
    values: NDArray[np.float32]
    """(N,F), mapped into memory where they are kept."""
    seconds: float
    """That it took to make them, whenever that was."""

    def of(self, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        """(...,F) for any of the frames, in an array of its own.

        Raises:
            IndexError: one of them was not read.
        """
        place = np.searchsorted(self.frames, frames)
        if not np.array_equal(self.frames[np.minimum(place, len(self.frames) - 1)], frames):
            raise IndexError("the features of a frame are asked for that was not read")
        return np.take(self.values, place, axis=0)


@dataclass(frozen=True)
class Shelf:
    """Where features are kept."""

    folder: Path
    """One for each code and machine: what is in it is never checked against them."""
    alone: Callable[[str], AbstractContextManager[None]] = lambda name: nullcontext()
    """Holds the lock of a name while something is made under it."""


def features(
    encoder: nn.Module, encode: Encode, frames: NDArray[np.int64], store: FrameStore, shelf: Shelf | None, axes: object,
    progress: Progress | None = None,
) -> Features:  # fmt: skip
    """Features of frames of a store, from the shelf where they are kept there, else computed and kept.

    Args:
        encoder: what `encode` sends the frames through, in evaluation mode.
        frames: ascending; all that the cells on these data ask for, whatever their part.
        shelf: where features are kept; None: in memory alone, as where the shelf cannot be written.
        axes: what else tells them apart, by its text.
        progress: is told how many frames are read, and of how many, while they are computed.
    """
    probe = encode(frames[:PROBE]).cpu().numpy()
    shape = (len(frames), probe.shape[1])

    def fill(values: NDArray[np.float32]) -> float:
        began = time.perf_counter()
        for rows in np.array_split(np.arange(len(frames)), math.ceil(len(frames) / BATCH)):
            values[rows] = encode(frames[rows]).cpu().numpy()
            if progress:
                progress(int(rows[-1]) + 1, len(frames))
        return time.perf_counter() - began

    if shelf is None:
        values = np.empty(shape, dtype=np.float32)
        return Features(frames, values, fill(values))
    name = _name(encoder, probe, frames, store, axes)
    file = shelf.folder / f"{name}.npy"
    known = _kept(file, shape)
    if known is None:
        with shelf.alone(f"features-{name}"):  # another cell may be at it
            known = _kept(file, shape) or _make(file, shape, fill)
    return Features(frames, *known)


def _name(
    encoder: nn.Module, probe: NDArray[np.float32], frames: NDArray[np.int64], store: FrameStore, axes: object
) -> str:
    """Hash of what features come from: the part's weights and what it does, the frames and their content."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in encoder.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    for array in (probe, frames, store.content, store.stand_in):
        digest.update(np.ascontiguousarray(array).data)
    digest.update(repr((axes, store.frames.shape, store.compressed, torch.__version__)).encode())
    return digest.hexdigest()


def _about(file: Path) -> Path:
    return file.with_suffix(".json")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _kept(file: Path, shape: tuple[int, int]) -> tuple[NDArray[np.float32], float] | None:
    """Values and seconds of a file that is whole."""
    try:
        about = json.loads(_about(file).read_text(encoding="utf-8"))
        seconds = float(about["seconds"])
        if about["sha256"] != _digest(file):
            return None
        values = np.asarray(np.load(file, mmap_mode="r"))
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return (values, seconds) if values.shape == shape and values.dtype == np.float32 else None


def _make(
    file: Path, shape: tuple[int, int], fill: Callable[[NDArray[np.float32]], float]
) -> tuple[NDArray[np.float32], float]:
    """Values, written to where `_kept` finds them, or in memory where that cannot be; and seconds."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft:
            values = reserve(draft, shape, np.float32)
            seconds = fill(values)
            values.flush()  # type: ignore[attr-defined]
            with draft.open("rb") as written:
                os.fsync(written.fileno())
        with drafted(_about(file)) as draft:  # last: where it is there, both are
            draft.write_text(json.dumps({"seconds": seconds, "sha256": _digest(file)}), encoding="utf-8")
        return np.asarray(values), seconds
    except OSError:
        values = np.empty(shape, dtype=np.float32)
        return values, fill(values)
