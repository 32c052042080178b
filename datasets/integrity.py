"""What is wrong with the files that a corpus names, and how much may be before nothing is to be done with it.

A copy that stopped half-way leaves files that are absent, empty, or end before their end; damage leaves files of full
length with wrong bytes. The two ask for different things: copy the rest, or look for a broken disk. A wrong byte that
still gives a picture cannot be seen without checksums, which no release has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, DataError, divided

MOST_FRAMES = 0.01
"""Share of the frames that may be lost."""
FEW_FILES = 3
"""So many files may be lost whatever share they are: one bad clip of 28 costs one clip."""
Fault = Literal["missing", "cut short", "damaged"]


class ItemError(DataError):
    """One item of a release, among many, that cannot be used: a row, an annotation, a recording."""


@dataclass
class Skipped:
    """Items that a reader passes over, named and counted, until there are too many for chance: more than `FEW_FILES`
    and more than `MOST_FRAMES` of all, or more than half."""

    what: str
    """What the items are, in the plural: `rows`, `label files`."""
    faults: list[str] = field(default_factory=list)

    def add(self, fault: ItemError | str) -> None:
        """Counts an item that cannot be used."""
        self.faults.append(str(fault))

    def notes(self, used: int, root: Path) -> tuple[str, ...]:
        """What a reader of the board must know of them.

        used: how many items can be used.

        Raises:
            DataError: they are too many.
        """
        count, first = len(self.faults), (self.faults or [""])[0]
        if count > max(FEW_FILES, MOST_FRAMES * (used + count)) or count > used:
            raise DataError(f"{first} ({count} of {used + count} {self.what} cannot be used: too many to go on)")
        return (
            (f"{count} {self.what} cannot be used and are left out: {first.replace(f'{root}/', '')}",) if count else ()
        )


def faults_of(corpus: Corpus, lost: NDArray[np.bool_]) -> dict[str, Fault]:
    """What is wrong, by file, in the order of the corpus.

    lost: (N,) whether each frame cannot be read.
    """
    files = dict.fromkeys(divided(corpus.frames[i])[0] for i in np.flatnonzero(lost).tolist())
    return {file: fault_of(corpus.root / file) for file in files}


def copy_state(faults: dict[str, Fault], sparse: bool) -> str:
    """What is wrong with the files as a whole, and what to do about it.

    sparse: the release itself lacks frames, so that a missing file is no fault.
    """
    found = list(faults.values())
    absent = 0 if sparse else found.count("missing")
    short, wrong = found.count("cut short"), found.count("damaged")
    states = []
    if absent or short:
        states.append(f"half-copied ({absent} missing, {short} cut short): copy the rest")
    if wrong:
        states.append(f"damaged ({wrong} with wrong bytes): copy these again and look at the disk")
    return "; ".join(states) or "whole"


def too_much_lost(corpus: Corpus, lost: NDArray[np.bool_], sparse: bool) -> str | None:
    """Why these data are not to be used, where more frames are lost than the rule for missing frames is meant for.

    A sparse release lacks frames by nature; there only those of tracks without any frame are lost.
    """
    if lost.sum() <= MOST_FRAMES * len(lost):
        return None
    faults = faults_of(corpus, lost)
    if sparse:
        there = np.array([faults.get(divided(frame)[0]) != "missing" for frame in corpus.frames])
        empty = np.logical_and.reduceat(lost, corpus.track_start[:-1])
        lost = lost & (there | np.repeat(empty, np.diff(corpus.track_start)))
    files = dict.fromkeys(divided(corpus.frames[i])[0] for i in np.flatnonzero(lost).tolist())
    if lost.sum() <= MOST_FRAMES * len(lost) or len(files) <= FEW_FILES:
        return None
    return (
        f"{lost.sum()} of {len(lost)} frames cannot be read, {next(iter(files))} first, more than {MOST_FRAMES:.0%} "
        f"and in more than {FEW_FILES} files: {copy_state(faults, sparse)}"
    )


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
