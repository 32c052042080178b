"""Frame store: every frame of a corpus decoded, cropped and resized once, then memory-mapped by all who read it.

On disk a store is a folder `<dataset>-<fingerprint>-<size>px` with `frames.npy` (N,S,S,3) uint8 RGB, `content.npy`
(N,) uint64 hash of each decoded frame (0: missing), and `index.json`. The folder appears in one rename, so a killed
build leaves nothing half-valid; a changed source has another fingerprint and so another folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.corpus import Corpus, DataError

VERSION = 1
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


@dataclass(frozen=True)
class FrameStore:
    """Decoded frames of a corpus."""

    frames: NDArray[np.uint8]
    """(N,S,S,3), RGB, memory-mapped."""
    content: NDArray[np.uint64]
    """(N,) hash of each decoded frame; 0 where the frame is missing."""
    stand_in: NDArray[np.int64]
    """(N,) which frame to read for each: itself, or for a missing one the nearest earlier of its track."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(N,) whether a frame is missing or could not be read."""
        return self.content == 0


def open_store(
    corpus: Corpus, size: int, cache: Path, fingerprint: str, progress: Progress | None = None, threads: int = 1
) -> FrameStore:
    """The store of `corpus` at `size` pixels a side; built below `cache` when it is not there.

    One process may build a store at a time: whoever shares the cache holds a lock.

    Raises:
        DataError: no frame at all can be read, or the cache cannot be written.
    """
    folder = cache / f"{corpus.name}-{fingerprint}-{size}px"
    if not _is_valid(folder, corpus, size):
        try:
            _build(corpus, size, folder, progress, threads)
        except OSError as error:
            raise DataError(f"cannot write the frame store {folder}: {error.strerror or error}: set FERBENCH_CACHE "
                            "to a folder with space that can be written") from error  # fmt: skip
    content = np.load(folder / "content.npy")
    return FrameStore(
        frames=np.load(folder / "frames.npy", mmap_mode="r"), content=content, stand_in=stand_ins(corpus, content != 0)
    )


def _is_valid(folder: Path, corpus: Corpus, size: int) -> bool:
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(index == {"version": VERSION, "frames": len(corpus.frames), "size": size})


def _build(corpus: Corpus, size: int, folder: Path, progress: Progress | None, threads: int) -> None:
    for left in folder.parent.glob(f"{folder.name}.building-*"):  # by builds that were killed
        shutil.rmtree(left, ignore_errors=True)
    building = folder.with_name(f"{folder.name}.building-{os.getpid()}")
    building.mkdir(parents=True)
    try:
        count = len(corpus.frames)
        frames = np.lib.format.open_memmap(
            building / "frames.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
        )
        with (building / "frames.npy").open("r+b") as file:  # a full disk is an error here, not a crash later
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        content = np.zeros(count, dtype=np.uint64)

        def decode(i: int) -> None:
            box = None if corpus.boxes is None else corpus.boxes[i]
            image = read_frame(corpus.root / corpus.frames[i], size, box)
            if image is not None:
                frames[i] = image
                content[i] = content_hash(image)

        with ThreadPoolExecutor(threads) as pool:
            for done, _ in enumerate(pool.map(decode, range(count)), start=1):
                if progress and (done % 256 == 0 or done == count):
                    progress(done, count)
        if not content.any():
            raise DataError(
                f"{corpus.name}: none of the {count} images below {corpus.root} can be read: is it complete?"
            )
        frames.flush()
        np.save(building / "content.npy", content)
        index = {"version": VERSION, "frames": count, "size": size}
        (building / "index.json").write_text(json.dumps(index), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def read_frame(file: Path, size: int, box: NDArray[np.float64] | None = None) -> NDArray[np.uint8] | None:
    """One face as (S,S,3) uint8 RGB, or None when the file is missing or damaged.

    The face box (x, y, width, height in pixels), or else the largest centred square, is resized with Pillow's
    antialiased bilinear filter. Colour order and filter are part of what makes two numbers comparable.
    """
    try:
        with Image.open(file) as image:
            if box is None:
                side = min(image.size)
                left, top = (image.width - side) / 2, (image.height - side) / 2
                crop = (left, top, left + side, top + side)
            else:
                crop = (
                    max(0.0, float(box[0])),
                    max(0.0, float(box[1])),
                    min(float(image.width), float(box[0] + box[2])),
                    min(float(image.height), float(box[1] + box[3])),
                )
            rgb = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box=crop)
            return np.asarray(rgb)
    except (OSError, ValueError, SyntaxError):
        return None


def content_hash(image: NDArray[np.uint8]) -> int:
    """64-bit hash of a decoded frame; never 0, which means missing."""
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8).digest(), "little") or 1


def stand_ins(corpus: Corpus, present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(N,) for each frame the one to read: itself, else the nearest earlier of its track, else the nearest later.

    A track of which nothing can be read keeps its own (black) frames: its sample is scored all the same.
    """
    count = len(present)
    track = np.repeat(np.arange(len(corpus.track_start) - 1), np.diff(corpus.track_start))
    own = np.arange(count)
    earlier = np.maximum.accumulate(np.where(present, own, -1))
    later = np.minimum.accumulate(np.where(present, own, count)[::-1])[::-1]
    has_earlier = (earlier >= 0) & (track[earlier] == track)
    has_later = (later < count) & (track[np.minimum(later, count - 1)] == track)
    return np.where(has_earlier, earlier, np.where(has_later, later, own))
