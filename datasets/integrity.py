"""Whether the files that a corpus names are there and whole: every picture decoded, every video opened.

A copy that stopped half-way leaves files that are absent, empty, or end before their end; damage leaves files of full
length with wrong bytes. The two ask for different things: copy the rest, or look for a broken disk. A wrong byte that
still gives a picture cannot be seen without checksums, which no release has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.corpus import Corpus
from ferbench.datasets.decoding import content_hash, face_of

SIZE = 32
"""Pixels a side at which faces are compared."""
FEWEST_FOR_PROCESSES = 2000
RUN = 500
"""Pictures a task of the process pool."""
Fault = Literal["missing", "cut short", "damaged"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Integrity:
    """What was found of the files of a corpus."""

    content: NDArray[np.uint64]
    """(N,) hash of each face at 32 pixels a side (of a video's bytes and the second); 0 where it cannot be read."""
    faults: dict[str, Fault]
    """What is wrong, by file, in the order of the corpus."""

    def files(self, fault: Fault) -> list[str]:
        """Files with this fault."""
        return [file for file, found in self.faults.items() if found == fault]


def examine(corpus: Corpus, processes: int = 1, progress: Progress | None = None) -> Integrity:
    """Reads every file of a corpus; `progress` hears of files done and files in all."""
    content = np.zeros(len(corpus.frames), dtype=np.uint64)
    tasks = _tasks(corpus)
    total, done = sum(task.files for task in tasks), 0
    for task, hashes in _carried_out(tasks, processes if len(corpus.frames) >= FEWEST_FOR_PROCESSES else 1):
        content[task.places] = hashes
        done += task.files
        if progress:
            progress(done, total)
    faults: dict[str, Fault] = {}
    for i in np.flatnonzero(content == 0).tolist():
        file = corpus.frames[i].partition("#t=")[0]
        if file not in faults:
            faults[file] = fault_of(corpus.root / file)
    return Integrity(content, faults)


@dataclass(frozen=True)
class _Task:
    """A run of pictures, or a video with the seconds that are asked of it."""

    root: Path
    places: list[int]
    names: list[str]
    boxes: NDArray[np.float64] | None
    video: str = ""
    seconds: tuple[float, ...] = ()

    @property
    def files(self) -> int:
        return 1 if self.video else len(self.names)

    def hashes(self) -> list[int]:
        """Of each place; 0 where nothing can be read."""
        if not self.video:
            boxes = [None] * len(self.names) if self.boxes is None else self.boxes
            return [picture_hash(self.root / name, box) for name, box in zip(self.names, boxes, strict=True)]
        whole = video_hash(self.root / self.video, self.seconds)
        if not whole:
            return [0] * len(self.places)
        cuts = [b""] * len(self.places) if self.boxes is None else [box.tobytes() for box in self.boxes]
        return [_hash_of(f"{whole} {second}".encode() + cut) for second, cut in zip(self.seconds, cuts, strict=True)]


def _tasks(corpus: Corpus) -> list[_Task]:
    """Every file of a corpus, the videos first: they take longest."""
    pictures: list[int] = []
    videos: dict[str, list[tuple[float, int]]] = {}
    for i, frame in enumerate(corpus.frames):
        file, _, second = frame.partition("#t=")
        if second:
            videos.setdefault(file, []).append((float(second), i))
        else:
            pictures.append(i)

    def boxes(places: list[int]) -> NDArray[np.float64] | None:
        return None if corpus.boxes is None else corpus.boxes[places]

    tasks = []
    for video, wanted in videos.items():
        places = [place for _, place in sorted(wanted)]
        seconds = tuple(second for second, _ in sorted(wanted))
        tasks.append(_Task(corpus.root, places, [], boxes(places), video, seconds))
    for begin in range(0, len(pictures), RUN):
        places = pictures[begin : begin + RUN]
        tasks.append(_Task(corpus.root, places, [corpus.frames[i] for i in places], boxes(places)))
    return tasks


def _carried_out(tasks: list[_Task], processes: int) -> Iterator[tuple[_Task, list[int]]]:
    if processes == 1:
        for task in tasks:
            yield task, task.hashes()
        return
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        yield from zip(tasks, pool.map(_Task.hashes, tasks), strict=True)


def picture_hash(file: Path, box: NDArray[np.float64] | None = None) -> int:
    """Hash of the face in a picture; 0 where it cannot be read.

    A JPEG is decoded whole but straight to a small size (2 to 5 times as fast), which shows where it breaks off too.
    """
    try:
        with Image.open(file) as image:
            width, height = image.size
            side = min(width, height) if box is None else max(1.0, min(float(box[2]), float(box[3])))
            if side > SIZE:
                image.draft("RGB", (int(width * SIZE / side), int(height * SIZE / side)))
            if box is not None:
                box = box * np.tile([image.width / width, image.height / height], 2)
            face = face_of(image, SIZE, box)
    except (OSError, ValueError, SyntaxError):
        return 0
    return 0 if face is None else content_hash(face)


def video_hash(file: Path, seconds: tuple[float, ...]) -> int:
    """Hash of a video's bytes; 0 where its first or its last wanted picture cannot be decoded.

    What lies between is not decoded: that would take as long as building a store does.
    """
    from ferbench.datasets.video import read_frames

    ends = np.array([seconds[0], seconds[-1]])
    if any(picture is None for picture in read_frames(file, ends)):
        return 0
    with file.open("rb") as opened:
        return _int_of(hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=8)).digest())


def _hash_of(data: bytes) -> int:
    return _int_of(hashlib.blake2b(data, digest_size=8).digest())


def _int_of(digest: bytes) -> int:
    return int.from_bytes(digest, "little") or 1


def fault_of(file: Path) -> Fault:
    """Why a file cannot be read: it is not there, it ends before its end, or its bytes are wrong."""
    if not file.is_file():
        return "missing"
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = opened.read(12)
        opened.seek(max(0, size - 64))
        tail = opened.read()
    if not tail.strip(b"\0"):  # empty, or its place was taken and never written
        return "cut short"
    if head.startswith(b"\xff\xd8"):
        return "damaged" if b"\xff\xd9" in tail else "cut short"
    if head.startswith(b"\x89PNG"):
        return "damaged" if b"IEND" in tail else "cut short"
    if head[4:8] == b"ftyp":
        return "cut short" if _boxes_overrun(file, size) else "damaged"
    if head.startswith(b"RIFF"):  # AVI says after its mark how long it is
        return "cut short" if int.from_bytes(head[4:8], "little") + 8 > size else "damaged"
    return "damaged"


def _boxes_overrun(file: Path, size: int) -> bool:
    """Whether an MP4 file is shorter than its boxes say, or has no index of its frames (written last by a camera)."""
    begin, kinds = 0, []
    with file.open("rb") as opened:
        while begin + 8 <= size:
            opened.seek(begin)
            header = opened.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the length follows in 8 bytes
                length = int.from_bytes(header[8:], "big")
            kinds.append(header[4:8])
            if length == 0:  # up to the end of the file
                return b"moov" not in kinds
            if length < 8:
                return False
            begin += length
    return begin != size or b"moov" not in kinds
