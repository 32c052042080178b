"""Frame store: every frame of a corpus decoded, cropped and resized once, then memory-mapped by all who read it.

On disk a store is a folder `<dataset>-<fingerprint>-<size>px` with `frames.npy` (M,S,S,3) uint8 RGB, `content.npy` and
`stand_in.npy` (both (N,), see `FrameStore`), and `index.json`. A corpus whose pixels would be larger than
`LARGEST_PIXELS` keeps compressed frames instead: `frames.bin`, one JPEG after the other, and `places.npy` (M,2), the
offset and length of each. Only the frames that the corpus uses have one of the M rows.

The folder appears in one rename, so a killed build leaves nothing half-valid; a changed source has another fingerprint
and so another folder. Opening a store reads no frame and does no work a frame.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.decoding import (
    FEWEST_FOR_PROCESSES,
    Kind,
    Share,
    content_hash,
    decode_into,
    decompress,
    shares_of,
)

VERSION = 2
LOOKED_AT = 32
"""Frames of a store that are compared with their hashes when it is opened."""
HASHED_WHOLE = 2**30
"""Bytes of a file up to which all of it is compared with its hash, once a process."""
LARGEST_PIXELS = 16 * 2**30
"""Bytes of pixels above which a store keeps compressed frames: what is read at random should fit into memory."""
Progress = Callable[[int, int], None]
"""Called with frames done and frames in all."""


class CompressedFrames:
    """Frames that are decoded when they are asked for: indexed as an array of (M,S,S,3) uint8 is."""

    def __init__(self, blob: NDArray[np.uint8], places: NDArray[np.int64], size: int) -> None:
        self.blob = blob
        self.places = places
        self.shape = (len(places), size, size, 3)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        rows = np.asarray(rows)
        faces = np.zeros((rows.size, *self.shape[1:]), dtype=np.uint8)
        for face, (begin, length) in zip(faces, self.places[rows.ravel()].tolist(), strict=True):
            if length:  # a frame that is missing, with no stand-in either, stays black
                face[:] = decompress(self.blob[begin : begin + length].data)
        return faces.reshape(*rows.shape, *self.shape[1:])


@dataclass(frozen=True)
class FrameStore:
    """Decoded frames of a corpus of N frames, of which M are kept."""

    frames: NDArray[np.uint8] | CompressedFrames
    """(M,S,S,3), RGB, memory-mapped: one row a frame that the corpus uses, in its order."""
    content: NDArray[np.uint64]
    """(N,) hash of each decoded frame; 0 where the frame is missing, or is not used."""
    stand_in: NDArray[np.int64]
    """(N,) which row to read for each frame: its own, or for a missing one that of the nearest earlier of its track;
    -1 for a frame that the corpus does not use."""

    def read(self, frames: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(...,S,S,3) what is shown for these frames of the corpus, in an array of its own.

        Raises:
            IndexError: the corpus does not use one of them.
        """
        rows = self.stand_in[frames]
        if rows.size and rows.min() < 0:
            raise IndexError(f"frame {np.ravel(frames)[np.ravel(rows) < 0][0]} is not in the store: no sample uses it")
        if isinstance(self.frames, CompressedFrames):
            return self.frames[rows]
        return np.take(self.frames, rows, axis=0)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(N,) whether a frame that is used is missing or could not be read."""
        return (self.content == 0) & (self.stand_in >= 0)

    @property
    def compressed(self) -> bool:
        """Whether its frames went through JPEG once more, as those of large corpora do."""
        return isinstance(self.frames, CompressedFrames)


def used_frames(corpus: Corpus) -> NDArray[np.int64] | None:
    """Frames that a view can ask for, ascending: those of every track that holds a sample or an enrolment frame.

    Whole tracks, because the frame that stands in for a missing one may be any earlier one. None: all are used.
    """
    used = np.zeros(len(corpus.track_start) - 1, dtype=bool)
    used[corpus.track] = True
    if corpus.track_neutral is not None:
        used[np.searchsorted(corpus.track_start, corpus.track_neutral[used], side="right") - 1] = True
    if used.all():
        return None
    return np.flatnonzero(np.repeat(used, np.diff(corpus.track_start)))


def open_store(
    corpus: Corpus,
    size: int,
    cache: Path,
    fingerprint: str,
    progress: Progress | None = None,
    processes: int = 1,
    kind: Kind | None = None,
) -> FrameStore:
    """The store of `corpus` at `size` pixels a side; built below `cache` when it is not there.

    One process may build a store at a time: whoever shares the cache holds a lock. Nothing is written where the store
    is there already. `kind` is chosen by size unless given.

    Raises:
        DataError: no frame at all can be read, or the cache cannot be written.
    """
    plan = _Plan.of(corpus, size, cache, fingerprint, kind)
    if not plan.is_built():
        try:
            _build(plan, progress, processes)
        except OSError as error:
            raise DataError(f"cannot write the frame store {plan.folder}: {error.strerror or error}: set "
                            "FERBENCH_CACHE to a folder with space that can be written") from error  # fmt: skip
    return plan.open()


def find_store(corpus: Corpus, size: int, cache: Path, fingerprint: str, kind: Kind | None = None) -> FrameStore | None:
    """The store that `open_store` would give, where it is built already; needs no lock and writes nothing."""
    plan = _Plan.of(corpus, size, cache, fingerprint, kind)
    return plan.open() if plan.is_built() else None


@dataclass(frozen=True)
class _Plan:
    """What a store is to hold, and where it lies."""

    corpus: Corpus
    size: int
    used: NDArray[np.int64] | None
    kind: Kind
    folder: Path

    @classmethod
    def of(cls, corpus: Corpus, size: int, cache: Path, fingerprint: str, kind: Kind | None) -> _Plan:
        used = used_frames(corpus)
        count = len(corpus.frames) if used is None else len(used)
        kind = kind or ("pixels" if count * size * size * 3 <= LARGEST_PIXELS else "jpeg")
        name = f"{corpus.name}-{fingerprint}"
        if used is not None:  # two protocols may use other frames of the same files
            name += f"-{hashlib.blake2b(used.tobytes(), digest_size=4).hexdigest()}"
        return cls(corpus, size, used, kind, cache / f"{name}-{size}px{'' if kind == 'pixels' else '-jpeg'}")

    @property
    def rows(self) -> int:
        return len(self.corpus.frames) if self.used is None else len(self.used)

    @property
    def index(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "kind": self.kind,
            "frames": len(self.corpus.frames),
            "rows": self.rows,
            "size": self.size,
        }

    def is_built(self) -> bool:
        """Whether a whole store of this version lies there: by its index, and the size and the bytes of its files. Of
        frames that are more than is read in a second some are looked at, here and there."""
        try:
            index = json.loads((self.folder / "index.json").read_text(encoding="utf-8"))
            sizes, digests = index.pop("bytes"), index.pop("digests")
            return bool(
                index == self.index
                and all((self.folder / name).stat().st_size == sizes[name] for name in sizes)
                and all(
                    _digest(self.folder / name, (self.folder / name).stat().st_mtime_ns) == digests[name]
                    for name in digests
                    if sizes[name] <= HASHED_WHOLE
                )
                and self._frames_are_right()
            )
        except Exception:  # a damaged file can raise anything
            return False

    def _frames_are_right(self) -> bool:
        store = self.open()
        used = np.flatnonzero((store.content != 0) & (store.stand_in >= 0))
        looked_at = used[np.linspace(0, len(used) - 1, min(LOOKED_AT, len(used))).astype(np.int64)]
        faces = store.read(looked_at)
        if store.compressed:  # whose pixels are not those that the hash is of
            return True
        wanted = store.content[looked_at].tolist()
        return all(content_hash(face) == want for face, want in zip(faces, wanted, strict=True))

    def open(self) -> FrameStore:
        frames: NDArray[np.uint8] | CompressedFrames
        if self.kind == "pixels":
            frames = _mapped(self.folder / "frames.npy")
        else:
            blob = np.asarray(np.memmap(self.folder / "frames.bin", dtype=np.uint8, mode="r"))
            frames = CompressedFrames(blob, _mapped(self.folder / "places.npy"), self.size)
        return FrameStore(frames, _mapped(self.folder / "content.npy"), _mapped(self.folder / "stand_in.npy"))


def _mapped(file: Path) -> NDArray[Any]:
    """The array in a file, mapped into memory; not as numpy's own class, which makes every small index slow."""
    return np.asarray(np.load(file, mmap_mode="r"))


def _build(plan: _Plan, progress: Progress | None, processes: int) -> None:
    folder, corpus = plan.folder, plan.corpus
    for left in folder.parent.glob(f"{folder.name}.building-*"):  # by builds that were killed
        shutil.rmtree(left, ignore_errors=True)
    building = folder.with_name(f"{folder.name}.building-{os.getpid()}")
    building.mkdir(parents=True)
    try:
        np.save(building / "content.npy", np.zeros(plan.rows, dtype=np.uint64))
        if plan.kind == "pixels":
            reserve(building / "frames.npy", (plan.rows, plan.size, plan.size, 3), np.uint8)
        shares = _shares(plan, building, processes)
        done = 0

        def tell(count: int) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, plan.rows)

        decode_into(shares, tell)
        content = np.load(building / "content.npy")
        if not content.any():
            raise DataError(
                f"{corpus.name}: none of the {plan.rows} images below {corpus.root} can be read: is it complete?"
            )
        if plan.kind == "jpeg":
            _join(shares, building, plan.rows)
        _write_index(plan, building, content)
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def reserve(file: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of zeros on disk, mapped into memory, its space taken now: a full disk is an error here, not a crash
    later."""
    array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    with file.open("r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)
    return array


def _shares(plan: _Plan, building: Path, processes: int) -> list[Share]:
    corpus = plan.corpus
    used = np.arange(len(corpus.frames)) if plan.used is None else plan.used
    entries = [corpus.frames[i] for i in used.tolist()]
    dealt = shares_of(entries, processes if len(entries) >= FEWEST_FOR_PROCESSES else 1)
    return [
        Share(
            folder=building, kind=plan.kind, number=number, root=corpus.root, size=plan.size, rows=rows,
            entries=[entries[row] for row in rows.tolist()],
            boxes=None if corpus.boxes is None else corpus.boxes[used[rows]],
        )
        for number, rows in enumerate(dealt)
    ]  # fmt: skip


def _join(shares: list[Share], building: Path, rows: int) -> None:
    """Makes one blob of the shares' blobs, with the place of each row in it."""
    places = np.zeros((rows, 2), dtype=np.int64)
    with (building / "frames.bin").open("wb") as blob:
        for share in shares:
            part = np.load(share.places)
            places[part[:, 0]] = part[:, 1:] + [blob.tell(), 0]
            with share.blob.open("rb") as own:
                shutil.copyfileobj(own, blob, 2**20)
            share.blob.unlink()
            share.places.unlink()
    np.save(building / "places.npy", places)


def _write_index(plan: _Plan, building: Path, content_of_row: NDArray[np.uint64]) -> None:
    """Writes what is known of each frame of the corpus, and last the index that makes the store valid."""
    count = len(plan.corpus.frames)
    used = np.arange(count) if plan.used is None else plan.used
    content = np.zeros(count, dtype=np.uint64)
    content[used] = content_of_row
    row = np.full(count, -1, dtype=np.int64)
    row[used] = np.arange(len(used))
    np.save(building / "content.npy", content)
    np.save(building / "stand_in.npy", np.where(row < 0, -1, row[stand_ins(plan.corpus, content != 0)]))
    files = sorted(building.iterdir())
    about = {
        "bytes": {file.name: file.stat().st_size for file in files},
        "digests": {file.name: _digest(file, file.stat().st_mtime_ns) for file in files},
    }
    (building / "index.json").write_text(json.dumps({**plan.index, **about}), encoding="utf-8")


@lru_cache(maxsize=1024)  # a worker opens one store for many cells
def _digest(file: Path, changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


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
