"""A data set opened from a folder: its frames, tracks, samples and subjects, in columns.

Columns, not objects: a corpus of millions of frames stays a few arrays.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Source = Literal["real", "twin"]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WITHIN = re.compile(r"#(?:t=\d+(\.\d+)?|row=\d+)")
_MARK = re.compile("#(?:t|row)=")
TWIN_FILE = "twin.json"
"""The file at the top of a folder that says that what lies there is a twin."""


class DataError(Exception):
    """Data that cannot be used: one line with what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Corpus:
    """Frames lie in track order; a track is the frames `track_start[t]` up to `track_start[t + 1]`.

    A sample is the frames `start` up to `stop` (not included), all of one track, with one label.
    """

    dataset: str
    """Name of the data set, without `-twin`."""
    root: Path
    classes: tuple[str, ...]
    """Classes of the labels, in code order: those of the official map that the data hold."""
    frames: Sequence[str]
    """Path of every frame below `root`, with forward slashes. `path/to/video.mp4#t=SECONDS` lies in a video and
    `path/to/table.csv#row=LINE` in a table of pixels."""
    track_start: NDArray[np.int64]
    track_subject: tuple[str | None, ...]
    """Who is seen in each track; None where the release does not say."""
    sample_id: tuple[str, ...]
    track: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    label: NDArray[np.int64]
    part: tuple[str, ...]
    """Official part of each sample (`train`, `test`, and `validation` where the release has one beside a test part),
    or an empty text where folds are drawn."""
    boxes: NDArray[np.float64] | None = None
    """Face box of each frame in pixels of its file (x, y, width, height; NaN: none); None: all are crops already."""
    absent_classes: tuple[str, ...] = ()
    """Classes of the official map that the data lack."""
    notes: tuple[str, ...] = ()
    """What a reader of the board must know of these data."""
    neutral_class: int | None = None
    """Code of the neutral class, if there is one."""
    track_neutral: NDArray[np.int64] | None = None
    """Enrolment frame of each track's subject, for the neutral rule `enrolment_frame`."""
    target: NDArray[np.float64] | None = None
    """A value a sample, where the task is regression; `classes` then has one entry and every label is 0."""
    split_group: tuple[str | None, ...] | None = None
    """What must stay in one part with each track where that is more than the subject: both people of one video."""
    fold: NDArray[np.int64] | None = None
    """Official fold that tests each sample, where the release divides its samples into folds; `part` is empty then."""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the release says of each sample beside its label (scene, sex, age...), for results by group. An empty text
    is unknown."""
    votes: NDArray[np.float64] | None = None
    """(S,C) share of the people asked who chose each class, where the release publishes their votes; a row of zeros
    where nobody chose any of these classes."""

    def __post_init__(self) -> None:
        # Frames that bear numbers are not listed: the folders that they lie in are.
        refuse_names(getattr(self.frames, "folders", self.frames), self.root)
        refuse_names([*self.classes, *self.sample_id, *(name for name in set(self.track_subject) if name)], self.root)
        if len(set(self.sample_id)) < len(self.sample_id):
            twice = Counter(self.sample_id).most_common(1)[0][0]
            raise DataError(f"{self.dataset} in {self.root}: two samples claim to be {twice!r}: remove one of them")

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def source(self) -> Source:
        """`twin` where the folder says so, else `real`."""
        return "twin" if (self.root / TWIN_FILE).is_file() else "real"

    @property
    def name(self) -> str:
        """Name on the board: `<dataset>` or `<dataset>-twin`."""
        return self.dataset if self.source == "real" else f"{self.dataset}-twin"

    @property
    def subject(self) -> list[str | None]:
        """Subject of each sample."""
        return [self.track_subject[t] for t in self.track]

    @property
    def group(self) -> list[str | None]:
        """What each sample must stay in one part with: the group of its track, else its subject."""
        groups = self.split_group or self.track_subject
        return [groups[t] for t in self.track]

    def track_name(self, track: int) -> str:
        """Where a track lies: its video, its folder of frames, or its only frame."""
        first = self.frames[int(self.track_start[track])]
        file, within = divided(first)
        if within.startswith("#row="):  # a table of pictures is no recording
            return first
        if within or self.track_start[track + 1] - self.track_start[track] == 1:
            return file
        return first.rpartition("/")[0]

    @property
    def subjects_known(self) -> bool:
        """Whether every track names its subject."""
        return all(s is not None for s in self.track_subject)

    def fingerprint(self) -> str:
        """Hash of what is in the folder: frames with their sizes and times on disk, boxes, samples, labels, subjects.

        A frame that is missing counts too, so that filling a gap in a copy changes the fingerprint.
        """
        digest = hashlib.sha256()
        video, state = "", None
        for frame in self.frames:
            file, within = divided(frame)
            if not within or file != video:  # the many frames of a video are one file
                video, state = file, _state(self.root / file)
            digest.update(f"{frame}\0{state}\n".encode())
        columns: list[Sequence[object] | NDArray[np.int64]] = [
            self.classes,
            self.track_subject,
            self.sample_id,
            self.part,
        ]
        for column in [*columns, self.track_start, self.track, self.start, self.stop, self.label]:
            digest.update("\0".join(map(str, column)).encode() + b"\n")
        for values in (self.boxes, self.target, self.track_neutral, self.fold, self.votes):
            if values is not None:
                digest.update(np.ascontiguousarray(values).tobytes())
        digest.update("\0".join(map(str, self.split_group or ())).encode())
        digest.update(repr(sorted(self.attributes.items())).encode())
        return digest.hexdigest()[:16]


def refuse_names(names: Sequence[str], root: Path) -> None:
    """Raises DataError for a name that cannot be written down, or that means something else to this project."""
    together = "".join(names)
    try:
        together.encode()
    except UnicodeEncodeError:
        name = next(name for name in names if not name.isprintable())
        raise DataError(f"{root}: the name {name!a} is not UTF-8 text: rename it") from None
    if _CONTROL.search(together):
        name = next(name for name in names if _CONTROL.search(name))
        raise DataError(f"{root}: the name {name!a} has a control character in it: rename it")
    if _MARK.search(together):
        for name in names:
            within = divided(name)[1]
            if within and not _WITHIN.fullmatch(within):
                raise DataError(f"{root}: the name {name!a} has #t= or #row= in it, which marks a second of a video or "
                                "a row of a table: rename it")  # fmt: skip


def divided(frame: str) -> tuple[str, str]:
    """The file that a frame lies in, and where in it: `#t=SECONDS`, `#row=LINE`, or nothing."""
    mark = _MARK.search(frame) if "#" in frame else None
    return (frame[: mark.start()], frame[mark.start() :]) if mark else (frame, "")


def _state(file: Path) -> tuple[int, int] | None:
    """Size and time of a file; None where it is missing."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def keep_present_classes(corpus: Corpus) -> Corpus:
    """The corpus with its class map cut to the classes that it holds; the others are named in `absent_classes`.

    A class without a sample is not learned and cannot be scored: it is reported, never invented.
    """
    present = np.unique(corpus.label)
    if len(present) == len(corpus.classes) or corpus.target is not None:
        return corpus
    code = np.full(len(corpus.classes), -1)
    code[present] = np.arange(len(present))
    neutral = corpus.neutral_class
    return replace(
        corpus,
        classes=tuple(corpus.classes[c] for c in present),
        absent_classes=tuple(name for c, name in enumerate(corpus.classes) if c not in present),
        label=code[corpus.label],
        votes=None if corpus.votes is None else corpus.votes[:, present],
        neutral_class=None if neutral is None or code[neutral] < 0 else int(code[neutral]),
    )
