"""The cells of one architecture on one data set, pooled into one row of the board.

The folds of one seed test different samples, so their predictions are pooled and scored once; the seeds test the same
samples, so their scores are averaged. The interval draws whole subjects, the same ones for every seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.errors import RequestError
from benchmark.metrics import METRICS, Metric, confusion_matrix
from benchmark.records import Record
from benchmark.statistics import NOT_PREDICTED, Interval, bootstrap_interval, score


@dataclass(frozen=True)
class Samples:
    """What a row was scored on: labels (N,), predictions (P, N) of P seeds, subjects (N,) or None if unknown."""

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    subjects: NDArray[Any] | None


@dataclass(frozen=True)
class Row:
    """One architecture, floor or oracle on one data set under one protocol."""

    architecture: str
    kind: str
    title: str
    view: str
    num_classes: int
    finished: tuple[Record, ...]
    failed: tuple[Record, ...]
    samples: Samples | None
    """None when no cell has finished."""

    @cached_property
    def scores(self) -> dict[Metric, float]:
        """Each measure, averaged over the seeds; empty when no cell has finished."""
        if self.samples is None:
            return {}
        labels, predicted = self.samples.labels, self.samples.predicted
        return {metric: float(score(labels, predicted, self.num_classes, metric).mean()) for metric in METRICS}

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval of the ABAW measure."""
        if self.samples is None:
            return None
        return bootstrap_interval(
            self.samples.labels, self.samples.predicted, self.samples.subjects, self.num_classes, "abaw"
        )

    @cached_property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts (C, C), truth in rows, summed over all seeds and folds."""
        if self.samples is None:
            return None
        pairs = [(self.samples.labels[run >= 0], run[run >= 0]) for run in self.samples.predicted]
        return np.sum([confusion_matrix(*pair, self.num_classes) for pair in pairs], axis=0)

    @property
    def records(self) -> tuple[Record, ...]:
        return self.finished + self.failed

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({record.data["seed"] for record in self.finished}))

    @property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({record.data["fold"] for record in self.finished}))

    def covers(self, folds: Sequence[int]) -> bool:
        """Whether every seed finished on each of these folds."""
        done = {(record.data["seed"], record.data["fold"]) for record in self.finished}
        return bool(done) and all((seed, fold) in done for seed in self.seeds for fold in folds)


def pool(records: Sequence[Record], described: Record | None = None) -> Row:
    """The row of these records: one architecture, one data set, one size and one protocol, any seeds and folds.

    described: a record of that architecture to take title and view from when none of these has finished.
    """
    ordered = sorted(records, key=lambda record: (record.data["seed"], record.data["fold"]))
    for before, after in pairwise(ordered):
        if all(before.data[axis] == after.data[axis] for axis in ("seed", "fold")):
            raise RequestError(f"two records of the same cell: {before.path} and {after.path}: delete one of them")
    finished = tuple(record for record in ordered if record.data["status"] == "ok")
    about = (finished[0] if finished else described or ordered[0]).data
    return Row(
        architecture=about["architecture"],
        kind=about["kind"],
        title=about["title"],
        view=about["view"],
        num_classes=len(about["classes"]),
        finished=finished,
        failed=tuple(record for record in ordered if record.data["status"] != "ok"),
        samples=_samples(finished) if finished else None,
    )


def _samples(records: Sequence[Record]) -> Samples:
    """The predictions of all cells, one line a seed, aligned by (fold, sample)."""
    frames = [
        _predictions(record).assign(seed=record.data["seed"], fold=record.data["fold"], cell=index)
        for index, record in enumerate(records)
    ]
    every = pd.concat(frames, ignore_index=True)
    twice = every.duplicated(["cell", "sample"])
    if twice.any():
        first = every[twice].iloc[0]
        raise RequestError(f"{records[first['cell']].path}: sample {first['sample']!r} is predicted twice")
    place = every.groupby(["fold", "sample"], sort=True).ngroup().to_numpy()
    seeds = np.unique(every["seed"], return_inverse=True)[1]
    labels = np.zeros(place.max() + 1, dtype=np.int64)
    labels[place[::-1]] = every["label"].to_numpy()[::-1]
    unlike = labels[place] != every["label"]
    if unlike.any():
        first = every[unlike].iloc[0]
        raise RequestError(
            f"{records[first['cell']].path}: sample {first['sample']!r} has another label than elsewhere"
        )
    predicted = np.full((seeds.max() + 1, len(labels)), NOT_PREDICTED, dtype=np.int64)
    predicted[seeds, place] = every["predicted"]
    known = all(record.data["subjects_known"] for record in records) and not every["subject"].isna().any()
    if not known:
        return Samples(labels, predicted, None)
    subjects = np.empty(len(labels), dtype=object)
    subjects[place] = every["subject"].to_numpy(dtype=object)
    return Samples(labels, predicted, subjects)


def _predictions(record: Record) -> pd.DataFrame:
    columns = ["sample", "subject", "label", "predicted"]
    predictions = record.predictions()
    missing = [column for column in columns if column not in predictions]
    if missing:
        raise RequestError(
            f"{record.path}: its predictions have no column {', '.join(missing)}: delete the folder and run again"
        )
    return predictions[columns]
