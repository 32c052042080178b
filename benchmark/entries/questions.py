"""What a test part asks: its samples without their labels, as a template that anybody can fill in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ferbench.benchmark.entries.classes import REGRESSION, meaning
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, Report, locate, open_data
from ferbench.benchmark.planning.leaks import copies_of, parted
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell, cells_of, load_suite
from ferbench.benchmark.records.provenance import hash_of
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.frames import stand_ins
from ferbench.datasets.splits import Split, stable_rank
from ferbench.datasets.views import neutral_frames

SPLIT = "split"
"""Column of the template with the fingerprint of the test part, the same in every line."""
SAMPLE, FOLD = "sample", "fold"
FACE = ("face_x", "face_y", "face_width", "face_height")
GIVEN = (SPLIT, FOLD, "file", "first_frame", "last_frame", "neutral_frame", *FACE)
"""Columns of a template that need not come back."""


@dataclass(frozen=True)
class Question:
    """The test part of a data set under the protocol, folds and twin of a suite."""

    cell: Cell
    location: Location
    corpus: Corpus
    parts: dict[int, Split]
    """By fold."""
    shown: NDArray[np.int64]
    """(N,) for each frame the one that is shown: itself, or what stands in for it where it is missing."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What is to be answered: names of classes, or of the value."""
        return self.corpus.classes if self.corpus.target is None else (REGRESSION,)

    @property
    def is_value(self) -> bool:
        """Whether a value is asked, not a class."""
        return self.corpus.target is not None

    @cached_property
    def samples(self) -> dict[int, NDArray[np.int64]]:
        """The samples of each fold, in an order that tells nothing of their labels."""
        return {
            fold: parts.test[stable_rank([self.corpus.sample_id[i] for i in parts.test], salt="template")]
            for fold, parts in self.parts.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what is asked: the data set, its classes, and the names of the samples of each fold."""
        ids = {fold: sorted(self.corpus.sample_id[i] for i in parts.test) for fold, parts in self.parts.items()}
        return hash_of((self.location.name, self.classes, sorted(ids.items())))

    @cached_property
    def ids(self) -> list[str]:
        """Names of the samples, fold after fold."""
        return [self.corpus.sample_id[i] for samples in self.samples.values() for i in samples.tolist()]

    def hashed(self, name: str) -> str:
        """What stands for the name of a sample where a licence does not let names out."""
        return hashlib.sha256(f"{self.fingerprint} {name}".encode()).hexdigest()[:24]

    def template(self, hash_ids: bool = False) -> pd.DataFrame:
        """One line a sample with empty columns to be filled in, one a class; no labels.

        hash_ids: hashes instead of names, and no files.
        """
        if hash_ids:
            folds = [fold for fold, samples in self.samples.items() for _ in samples]
            names = [self.hashed(name) for name in self.ids]
            order = np.argsort(names)  # else the order would tell which is which
            table = pd.DataFrame(
                {SAMPLE: names, FOLD: folds, SPLIT: self.fingerprint, **dict.fromkeys(self.classes, np.nan)}
            )
            return table.iloc[order].reset_index(drop=True)
        corpus, lines = self.corpus, []
        for fold, samples in self.samples.items():
            neutral = self._neutral(samples, self.parts[fold].train)
            for place, i in enumerate(samples.tolist()):
                first, last = (self._frame(int(frame)) for frame in (corpus.start[i], corpus.stop[i] - 1))
                lines.append(
                    {
                        SAMPLE: corpus.sample_id[i],
                        FOLD: fold,
                        SPLIT: self.fingerprint,
                        "file": corpus.track_name(int(corpus.track[i])),
                        "first_frame": first,
                        "last_frame": last,
                        **({} if neutral is None else {"neutral_frame": self._frame(int(neutral[place]))}),
                        **self._face(int(self.shown[corpus.stop[i] - 1])),
                        **dict.fromkeys(self.classes, np.nan),
                    }
                )
        return pd.DataFrame(lines)

    def _frame(self, frame: int) -> str:
        """Where it lies below the root of the data set, or what stands in for it."""
        return self.corpus.frames[int(self.shown[frame])]

    def _face(self, frame: int) -> dict[str, float]:
        """Where the face is in a frame, in pixels of its file; nothing where the whole picture is the face."""
        boxes = self.corpus.boxes
        return {} if boxes is None else dict(zip(FACE, boxes[frame].round(2).tolist(), strict=True))

    def _neutral(self, samples: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The neutral reference of each sample, by the protocol's rule; None where there is none."""
        try:
            return neutral_frames(self.corpus, self.cell.protocol, samples, training)
        except DataError:
            return None


def question_of(
    dataset: str, suite: str, data: Path | None, report: Report, only: Sequence[str] | None = None
) -> Question:
    """What a suite asks of a data set.

    only: the classes of a view: the samples of the others are left out, for tools that do not know them.

    Raises:
        RequestError: an unknown data set or suite; the folder is not what its name says.
        DataError: parts that share pictures or people.
    """
    data_sets.get(dataset)
    cells = cells_of(*load_suite(suite), ["majority"], [dataset], data)
    opened: dict[int, Split] = {}
    for cell in cells:
        location = locate(cell, data)
        corpus, store = open_data(location, cell.image_size, report)
        opened[cell.fold], _ = parted(corpus, cell.protocol, cell.fold, store.content, copies_of(location, report))
    shown = stand_ins(corpus, np.asarray(store.content) != 0)
    question = Question(cells[0], location, corpus, opened, shown)
    return question if only is None else _of_classes(question, only)


def _of_classes(question: Question, only: Sequence[str]) -> Question:
    """The question about some classes alone. Its protocol says so: no table has it beside rows of all classes.

    Raises:
        RequestError: a class that is not there, or fewer than two.
    """
    corpus = question.corpus
    known = {meaning(name): code for code, name in enumerate(corpus.classes)}
    wanted = {meaning(name) for name in only}
    if unknown := [name for name in only if meaning(name) not in known]:
        raise RequestError(f"--classes: {unknown[0]!r} is no class of {corpus.name}: use some of "
                           f"{', '.join(corpus.classes)}")  # fmt: skip
    if len(wanted) < 2 or corpus.target is not None:
        raise RequestError(f"--classes: name two classes or more of {corpus.name}: {', '.join(corpus.classes)}")
    kept = [code for code, name in enumerate(corpus.classes) if meaning(name) in wanted]
    classes = tuple(corpus.classes[code] for code in kept)
    code_of = np.full(len(corpus.classes), -1, dtype=np.int64)
    code_of[kept] = np.arange(len(kept))
    inside = code_of[corpus.label] >= 0
    neutral = None if corpus.neutral_class is None else int(code_of[corpus.neutral_class])
    viewed = replace(
        corpus,
        classes=classes,
        label=code_of[corpus.label],
        neutral_class=neutral if neutral is not None and neutral >= 0 else None,
        notes=(*corpus.notes, f"a view of {len(classes)} of {len(corpus.classes)} classes: other samples are left out"),
    )
    parts = {
        fold: replace(parts, test=parts.test[inside[parts.test]], train=parts.train[inside[parts.train]])
        for fold, parts in question.parts.items()
    }
    protocol = question.cell.protocol
    cell = replace(
        question.cell, protocol=replace(protocol, options={**protocol.options, "classes": " ".join(classes)})
    )
    return replace(question, cell=cell, corpus=viewed, parts=parts)
