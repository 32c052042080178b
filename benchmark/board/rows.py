"""The cells of one architecture on one data set, pooled into one row of the board.

The folds of one seed test different samples, so their predictions are pooled and scored once; the seeds test the same
samples, so their scores are averaged. Cells of two versions of the code, the weights or the data are never averaged:
a row is made of the newest, and says how many others it leaves out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import RequestError
from benchmark.metrics import METRICS, Array, concordance, confusion_matrix
from benchmark.records import Record
from benchmark.statistics import NOT_PREDICTED, Unit, score

VERSION = ("code", "training_code", "recipe", "starting_weights", "epochs", "data")
"""Parts of a cell's key that must be equal for the cells of a row to be averaged."""


@dataclass(frozen=True)
class Samples:
    """What a row was scored on, in the order of (fold, sample).

    labels: (N,) classes, or values of a regression. predicted: (P, N) of P seeds, `NOT_PREDICTED` (NaN of a
    regression) where a seed lacks a sample. names and folds: (N,). clusters: (N,) who or which video each sample is
    of, or None where neither is known. videos: (N,), None where the predictions do not name them.
    """

    labels: NDArray[Any]
    predicted: NDArray[Any]
    names: NDArray[Any]
    folds: NDArray[np.int64]
    clusters: NDArray[Any] | None
    unit: Unit
    videos: NDArray[Any] | None

    def same_as(self, other: Samples) -> bool:
        """Whether both hold the same samples, every one predicted, so that they can be compared pairwise."""
        same = np.array_equal(self.folds, other.folds) and np.array_equal(self.names, other.names)
        return same and self.unit == other.unit and self.complete and other.complete

    @cached_property
    def complete(self) -> bool:
        if self.predicted.dtype.kind == "f":
            return bool(np.isfinite(self.predicted).all())
        return bool((self.predicted != NOT_PREDICTED).all())

    def of_fold(self, fold: int) -> Samples:
        """The samples that one fold tests."""
        own = self.folds == fold
        cut = {name: None if (v := getattr(self, name)) is None else v[own] for name in ("clusters", "videos")}
        return Samples(
            self.labels[own], self.predicted[:, own], self.names[own], self.folds[own], unit=self.unit, **cut
        )


@dataclass(frozen=True)
class Row:
    """One architecture, floor or oracle on one data set under one protocol."""

    architecture: str
    kind: str
    title: str
    view: str
    num_classes: int
    headline: str
    """The measure that ranks: `abaw`, or `ccc` of a regression."""
    finished: tuple[Record, ...]
    failed: tuple[Record, ...]
    outdated: tuple[Record, ...]
    """Finished cells of another version, which are not part of any figure."""
    samples: Samples | None
    """None when no cell has finished."""

    @cached_property
    def scores(self) -> dict[str, float]:
        """Each measure, averaged over the seeds; empty when no cell has finished."""
        if self.samples is None:
            return {}
        if self.headline == "ccc":
            return {"ccc": float(self.seed_scores.mean())}
        labels, predicted = self.samples.labels, self.samples.predicted
        return {metric: float(score(labels, predicted, self.num_classes, metric).mean()) for metric in METRICS}

    @property
    def score(self) -> float | None:
        """The headline measure."""
        return self.scores.get(self.headline)

    @cached_property
    def seed_scores(self) -> Array:
        """The headline measure of each seed, (P,)."""
        return headline_scores(self.samples, self.headline, self.num_classes) if self.samples else np.empty(0)

    @cached_property
    def fold_scores(self) -> Array:
        """The headline measure of each fold, averaged over the seeds that finished it, (folds,)."""
        if self.samples is None:
            return np.empty(0)
        found = []
        for fold in self.folds:
            own = self.samples.of_fold(fold)
            found.append(np.nanmean(headline_scores(own, self.headline, self.num_classes)))
        return np.array(found)

    @cached_property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts (C, C), truth in rows, summed over all seeds and folds; None where there are no classes."""
        if self.samples is None or self.headline == "ccc":
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


def headline_scores(samples: Samples, headline: str, num_classes: int) -> Array:
    """The headline measure of each seed, (P,)."""
    if headline != "ccc":
        return score(samples.labels, samples.predicted, num_classes)
    return video_concordance(samples)[0].mean(axis=1)


def video_concordance(samples: Samples) -> tuple[Array, NDArray[Any]]:
    """The CCC of each seed on each video, (P, V), and whom each video is of, (V,).

    The official score of SENDv1 is their mean. Without names of videos, a subject counts as one.
    """
    videos = samples.videos if samples.videos is not None else samples.clusters
    assert videos is not None, "a regression is scored by video"
    order = np.argsort(videos, kind="stable")
    starts = np.flatnonzero(np.r_[True, videos[order][1:] != videos[order][:-1]])
    parts = np.split(order, starts[1:])
    scores = [[concordance(samples.labels[part], run[part]) for part in parts] for run in samples.predicted]
    clusters = samples.clusters if samples.clusters is not None else videos
    return np.array(scores), clusters[order[starts]]


def pool(records: Sequence[Record], described: Record | None = None) -> Row:
    """The row of these records: one architecture, one data set, one size and one protocol, any seeds and folds.

    described: a record of that architecture to take title and view from when none of these has finished.
    """
    ordered = sorted(records, key=lambda record: (record.data["seed"], record.data["fold"]))
    for before, after in pairwise(ordered):
        if all(before.data[axis] == after.data[axis] for axis in ("seed", "fold")):
            raise RequestError(f"two records of the same cell: {before.path} and {after.path}: delete one of them")
    finished = [record for record in ordered if record.data["status"] == "ok"]
    newest = max(finished, key=_age, default=None)
    current = tuple(record for record in finished if newest and version(record) == version(newest))
    about = (current[0] if current else described or ordered[0]).data
    return Row(
        architecture=about["architecture"],
        kind=about["kind"],
        title=about["title"],
        view=about["view"],
        num_classes=len(about["classes"]),
        headline=headline_of(about),
        finished=current,
        failed=tuple(record for record in ordered if record.data["status"] != "ok"),
        outdated=tuple(record for record in finished if record not in current),
        samples=_samples(current, headline_of(about)) if current else None,
    )


def headline_of(data: dict[str, Any]) -> str:
    """The measure that ranks this record; ABAW unless it says otherwise."""
    return str((data["metrics"] or {}).get("headline", "abaw")).lower()


def version(record: Record) -> tuple[Any, ...]:
    """What code, weights and data a finished cell is of."""
    return tuple(record.data["key_parts"].get(part) for part in VERSION)


def _age(record: Record) -> tuple[str, str]:
    return str(record.data["environment"].get("created")), str(version(record))


def _samples(records: Sequence[Record], headline: str) -> Samples:
    """The predictions of all cells, one line a seed, in the order of (fold, sample)."""
    seeds = sorted({record.data["seed"] for record in records})
    by_fold: dict[int, dict[int, Record]] = defaultdict(dict)
    for record in records:
        by_fold[record.data["fold"]][seeds.index(record.data["seed"])] = record
    kind = np.float64 if headline == "ccc" else np.int64
    folds = [(fold, _fold(by_fold[fold], len(seeds), kind)) for fold in sorted(by_fold)]
    joined = {name: np.concatenate([part[name] for _, part in folds]) for name in ("sample", "label", "subject")}
    videos = _whole([part["group"] for _, part in folds])
    known = all(record.data["subjects_known"] for record in records)
    subjects = _whole([joined["subject"]]) if known else None
    return Samples(
        labels=joined["label"].astype(kind),
        predicted=np.concatenate([part["predicted"] for _, part in folds], axis=1),
        names=joined["sample"],
        folds=np.concatenate([np.full(len(part["sample"]), fold) for fold, part in folds]),
        clusters=videos if subjects is None else subjects,
        unit="subject" if subjects is not None else "video" if videos is not None else "sample",
        videos=videos,
    )


def _fold(cells: dict[int, Record], seeds: int, kind: type) -> dict[str, NDArray[Any]]:
    """Samples, labels, subjects and videos of one fold, sorted by sample, and the predictions (P, N) of its cells."""
    optional = ("group", "track")
    read = {
        seed: record.columns(["sample", "subject", "label", "predicted"], optional) for seed, record in cells.items()
    }
    first = next(iter(read.values()))
    same = all(np.array_equal(first["sample"], each["sample"]) for each in read.values())
    every = first["sample"] if same else np.concatenate([each["sample"] for each in read.values()])
    names, where = np.unique(every, return_index=True)
    whole = {"sample": names}
    for column in ("label", "subject"):
        values = first[column] if same else np.concatenate([each[column] for each in read.values()])
        whole[column] = values[where]
    groups = [each.get("group", each.get("track", np.full(len(each["sample"]), None))) for each in read.values()]
    whole["group"] = (groups[0] if same else np.concatenate(groups))[where]
    missing = np.nan if kind is np.float64 else NOT_PREDICTED
    whole["predicted"] = np.full((seeds, len(names)), missing, dtype=kind)
    for seed, each in read.items():
        places = np.searchsorted(names, each["sample"])
        _refuse_damage(cells[seed], each, names, whole["label"], places)
        whole["predicted"][seed, places] = each["predicted"]
    return whole


def _refuse_damage(
    record: Record, each: dict[str, NDArray[Any]], names: NDArray[Any], labels: NDArray[Any], places: NDArray[np.int64]
) -> None:
    times = np.bincount(places, minlength=len(names))
    if times.max(initial=0) > 1:
        raise RequestError(f"{record.path}: sample {names[times.argmax()]!r} is predicted twice")
    unlike = each["label"] != labels[places]
    if unlike.any():
        raise RequestError(
            f"{record.path}: sample {each['sample'][unlike.argmax()]!r} has another label than elsewhere"
        )


def _whole(parts: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """One column of names, or None where a sample has none."""
    joined = np.concatenate(parts)
    return None if any(name is None or name != name for name in joined.tolist()) else joined
