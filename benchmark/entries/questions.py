"""What a test part asks: its samples without their labels, as a template that anybody can fill in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ferbench.benchmark.entries.classes import REGRESSION
from ferbench.benchmark.planning.data import Location, Report, locate, open_data
from ferbench.benchmark.planning.leaks import copies_of, parted
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell, cells_of, load_suite
from ferbench.benchmark.records.provenance import hash_of
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.splits import Split, stable_rank
from ferbench.datasets.views import neutral_frames

SPLIT = "split"
"""Column of the template with the fingerprint of the test part, the same in every line."""
SAMPLE, FOLD = "sample", "fold"
GIVEN = (SPLIT, FOLD, "file", "first_frame", "last_frame", "neutral_frame")
"""Columns of a template that need not come back."""


@dataclass(frozen=True)
class Question:
    """The test part of a data set under the protocol, folds and twin of a suite."""

    cell: Cell
    location: Location
    corpus: Corpus
    parts: dict[int, Split]
    """By fold."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What is to be answered: names of classes, or of the value."""
        return self.corpus.classes if self.corpus.target is None else (REGRESSION,)

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

    def template(self) -> pd.DataFrame:
        """One line a sample with empty columns to be filled in, one a class; no labels."""
        corpus, lines = self.corpus, []
        for fold, samples in self.samples.items():
            neutral = self._neutral(samples, self.parts[fold].train)
            for place, i in enumerate(samples.tolist()):
                first, last = corpus.frames[int(corpus.start[i])], corpus.frames[int(corpus.stop[i]) - 1]
                lines.append(
                    {
                        SAMPLE: corpus.sample_id[i],
                        FOLD: fold,
                        SPLIT: self.fingerprint,
                        "file": corpus.track_name(int(corpus.track[i])),
                        "first_frame": first,
                        "last_frame": last,
                        **({} if neutral is None else {"neutral_frame": corpus.frames[int(neutral[place])]}),
                        **dict.fromkeys(self.classes, np.nan),
                    }
                )
        return pd.DataFrame(lines)

    def _neutral(self, samples: NDArray[np.int64], training: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """The neutral reference of each sample, by the protocol's rule; None where there is none."""
        try:
            return neutral_frames(self.corpus, self.cell.protocol, samples, training)
        except DataError:
            return None


def question_of(dataset: str, suite: str, data: Path | None, report: Report) -> Question:
    """What a suite asks of a data set.

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
    return Question(cells[0], location, corpus, opened)
