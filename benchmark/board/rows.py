"""The cells of one architecture on one data set, pooled into one row of the board.

The folds of one seed test different samples, so their predictions are pooled and scored once; the seeds test the same
samples, so their scores are averaged. Cells of two versions of the code, the weights or the data are never averaged:
a row is made of the newest, and says how many others it leaves out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board.memory import key_of, remembered
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.measures.metrics import (
    METRICS,
    Array,
    Metric,
    concordance,
    confusion_matrix,
    measure,
    scores,
    tallies,
)
from ferbench.benchmark.measures.resampling import NOT_PREDICTED, score
from ferbench.benchmark.measures.statistics import Unit
from ferbench.benchmark.records.entries import ENTRY, TRAINED_HERE
from ferbench.benchmark.records.record import ABOUT, BY_HAND, Record

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = ("code", "training_code", "recipe", "starting_weights", "lenders", "epochs", "data")
"""Parts of a cell's key that must be equal for the cells of a row to be averaged."""

_ROUNDING = 1e-6
"""A measure of the same predictions differs by less from one machine to another."""

FIELD_MEASURES: tuple[Metric, ...] = ("accuracy", "uar")
"""What the field calls WAR and UAR."""

COMPETITORS = ("architecture", "ensemble", ENTRY)
"""Kinds of rows that have a rank; floors and oracles have none, nor has an entry that has seen the test part."""


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
    about: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What the release says of each sample, (N,) texts by attribute; empty where it is not known."""

    def same_as(self, other: Samples) -> bool:
        """Whether both hold the same samples, every one predicted, so that they can be compared pairwise."""
        alike = ("folds", "names", "labels")
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in alike)
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
        about = {name: of[own] for name, of in self.about.items()}
        return Samples(
            self.labels[own], self.predicted[:, own], self.names[own], self.folds[own], cut["clusters"], self.unit,
            cut["videos"], about,
        )  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """What is computed of a row's predictions; empty when no cell has finished."""

    scores: dict[str, float] = field(default_factory=dict)
    seed_scores: list[float] = field(default_factory=list)
    fold_scores: list[float] = field(default_factory=list)
    confusion: list[list[int]] | None = None
    f1_per_class: list[float | None] = field(default_factory=list)
    """Of the summed confusion counts; None for a class that is absent in truth and predictions."""
    by_subject: dict[str, float] = field(default_factory=dict)
    """Accuracy (CCC of a regression) of each subject, averaged over seeds; empty where subjects are unknown."""
    by_video: dict[str, float] = field(default_factory=dict)
    """The same of each video; empty where they are unknown, or where every sample is a still of its own."""
    by_group: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same of each value of each attribute that the release names (scene, sex...), by attribute."""
    group_sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many samples each of these has."""
    fold_means: dict[str, float] = field(default_factory=dict)
    """Accuracy and UAR of each fold, averaged over folds: another figure than that of all folds pooled."""
    fold_spreads: dict[str, float] = field(default_factory=dict)
    """Standard deviation of the same over folds."""


@dataclass(frozen=True, eq=False)
class Row:
    """One architecture, floor or oracle on one data set under one protocol. Equal to nothing but itself."""

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

    @cached_property
    def samples(self) -> Samples | None:
        """Read when they are first asked for; None when no cell has finished."""
        samples = _samples(self.finished, self.headline) if self.finished else None
        if samples is not None:
            _refuse_other_measures(self, samples)
        return samples

    @cached_property
    def digest(self) -> str:
        """Equal for rows of the same records."""
        return key_of(*(record.digest for record in self.finished))

    @cached_property
    def figures(self) -> Figures:
        return Figures(**remembered(key_of("figures", self.digest), lambda: asdict(_figures(self))))

    @property
    def scores(self) -> dict[str, float]:
        """Each measure, averaged over the seeds; empty when no cell has finished."""
        return self.figures.scores

    @property
    def field_measures(self) -> bool:
        """Whether the field reports WAR and UAR of these data, which then have their intervals on the board."""
        return any(record.data.get("field_measures", False) for record in self.finished)

    @property
    def competes(self) -> bool:
        return self.kind in COMPETITORS

    @property
    def tier(self) -> str:
        """How its numbers came to be (`benchmark.records.entries`): the weights or the answers may be of others."""
        return str(self.records[0].data.get("tier", TRAINED_HERE))

    @property
    def chosen(self) -> str:
        """How its recipe was chosen: by hand, or by a search on some data set."""
        return ", ".join(sorted({str(record.data["recipe"].get("chosen", BY_HAND)) for record in self.records}))

    @property
    def coverage(self) -> float:
        """The share of the test samples that were answered; of an entry a missing answer is a wrong one."""
        counts = [record.data["counts"] for record in self.finished]
        asked = sum(each.get("test_samples", 0) for each in counts)
        answered = sum(each.get("answered_samples", each.get("test_samples", 0)) for each in counts)
        return answered / asked if asked else 1.0

    @property
    def score(self) -> float | None:
        """The headline measure."""
        return self.scores.get(self.headline)

    @property
    def seed_scores(self) -> Array:
        """The headline measure of each seed, (P,)."""
        return np.array(self.figures.seed_scores)

    @property
    def fold_scores(self) -> Array:
        """The headline measure of each fold, averaged over the seeds that finished it, (folds,)."""
        return np.array(self.figures.fold_scores)

    @property
    def confusion(self) -> NDArray[np.int64] | None:
        """Counts (C, C), truth in rows, summed over all seeds and folds; None where there are no classes."""
        return None if self.figures.confusion is None else np.array(self.figures.confusion)

    @property
    def records(self) -> tuple[Record, ...]:
        return self.finished + self.failed

    @cached_property
    def cells(self) -> frozenset[tuple[int, int]]:
        """(seed, fold) of all that finished."""
        return frozenset((record.data["seed"], record.data["fold"]) for record in self.finished)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for seed, _ in self.cells}))

    @cached_property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({fold for _, fold in self.cells}))

    def covers(self, folds: Sequence[int]) -> bool:
        """Whether every seed finished on each of these folds."""
        return bool(self.cells) and all((seed, fold) in self.cells for seed in self.seeds for fold in folds)


def _figures(row: Row) -> Figures:
    samples = row.samples
    if samples is None:
        return Figures()
    each = headline_scores(samples, row.headline, row.num_classes)
    of_folds = (
        [headline_scores(samples.of_fold(fold), row.headline, row.num_classes) for fold in row.folds]
        if len(row.folds) > 1
        else [each]
    )
    shared = {
        "seed_scores": each.tolist(),
        "fold_scores": [float(np.nanmean(scores)) for scores in of_folds],
        "by_subject": _breakdown(samples, samples.clusters if samples.unit == "subject" else None, row.headline),
        "by_video": _breakdown(samples, samples.videos if _repeats(samples.videos) else None, row.headline),
        "by_group": {name: _breakdown(samples, of, row.headline) for name, of in samples.about.items()},
        "group_sizes": {name: dict(Counter(of.tolist())) for name, of in samples.about.items()},
    }
    if row.headline == "ccc":
        return Figures(scores={"ccc": float(each.mean())}, **shared)
    labels, predicted = samples.labels, samples.predicted
    pairs = [(labels[run >= 0], run[run >= 0]) for run in predicted]
    of_seeds = np.stack([confusion_matrix(*pair, row.num_classes) for pair in pairs])
    counts, confusion = tallies(of_seeds), of_seeds.sum(axis=0)
    folds = [samples.of_fold(fold) for fold in row.folds]
    of_each = {
        metric: [float(score(fold.labels, fold.predicted, row.num_classes, metric).mean()) for fold in folds]
        for metric in (FIELD_MEASURES if len(folds) > 1 else ())
    }
    return Figures(
        fold_means={metric: float(np.mean(values)) for metric, values in of_each.items()},
        fold_spreads={metric: float(np.std(values, ddof=1)) for metric, values in of_each.items()},
        scores={metric: float(measure(counts, metric).mean()) for metric in METRICS},
        confusion=confusion.tolist(),
        f1_per_class=scores(confusion).f1_per_class,
        **shared,
    )


def _refuse_other_measures(row: Row, samples: Samples) -> None:
    """Raises RequestError where the predictions of a cell give another headline measure than its record says."""
    for fold in row.folds:
        found = headline_scores(samples.of_fold(fold), row.headline, row.num_classes)
        for record in row.finished:
            if record.data["fold"] == fold:
                value, said = found[row.seeds.index(record.data["seed"])], record.headline.value
                if not abs(value - said) < _ROUNDING:
                    raise RequestError(
                        f"{record.path}: its predictions give {row.headline.upper()} {value:.6f} and its record says "
                        f"{said:.6f}: delete the folder and run again"
                    )


def _breakdown(samples: Samples, names: NDArray[Any] | None, headline: str) -> dict[str, float]:
    """Accuracy, or CCC, of the samples of each name, over the seeds that hold them."""
    if names is None:
        return {}
    order = np.argsort(names, kind="stable")
    starts = np.flatnonzero(np.r_[True, names[order][1:] != names[order][:-1]])
    found = {}
    for part in np.split(order, starts[1:]):
        truth, said = samples.labels[part], samples.predicted[:, part]
        if headline == "ccc":
            found[str(names[part[0]])] = float(np.nanmean([_concordance(truth, run) for run in said]))
        elif (held := said != NOT_PREDICTED).any():
            found[str(names[part[0]])] = float((said == truth)[held].mean())
    return found


def headline_scores(samples: Samples, headline: str, num_classes: int) -> Array:
    """The headline measure of each seed, (P,)."""
    if headline != "ccc":
        return score(samples.labels, samples.predicted, num_classes)
    of_videos = video_concordance(samples)[0]
    there = np.isfinite(of_videos)
    with np.errstate(invalid="ignore"):  # a seed that lacks all samples: 0 / 0
        return np.asarray(np.where(there, of_videos, 0).sum(axis=1) / there.sum(axis=1))


def video_concordance(samples: Samples) -> tuple[Array, NDArray[Any]]:
    """The CCC of each seed on each video, (P, V), NaN where it lacks the video, and whom each video is of, (V,).

    The official score of SENDv1 is their mean. Without names of videos, a subject counts as one.
    """
    videos = samples.videos if samples.videos is not None else samples.clusters
    assert videos is not None, "a regression is scored by video"
    order = np.argsort(videos, kind="stable")
    starts = np.flatnonzero(np.r_[True, videos[order][1:] != videos[order][:-1]])
    parts = np.split(order, starts[1:])
    scores = [[_concordance(samples.labels[part], run[part]) for part in parts] for run in samples.predicted]
    clusters = samples.clusters if samples.clusters is not None else videos
    return np.array(scores), clusters[order[starts]]


def _concordance(target: NDArray[Any], values: NDArray[Any]) -> float:
    """The CCC on the samples that were predicted; NaN where none was."""
    there = np.isfinite(values)
    return concordance(target[there], values[there]) if there.any() else np.nan


def pool(records: Sequence[Record], described: Record | None = None) -> Row:
    """The row of these records: one architecture, one data set, one size and one protocol, any seeds and folds.

    described: a record of that architecture to take title and view from when none of these has finished.
    """
    ordered = sorted(records, key=lambda record: (record.data["seed"], record.data["fold"]))
    for before, after in pairwise(ordered):
        if all(before.data[axis] == after.data[axis] for axis in ("seed", "fold")):
            raise RequestError(f"two records of the same cell: {before.path} and {after.path}: delete one of them")
    finished = [record for record in ordered if record.data["status"] == "ok"]
    versions = [(record, version(record)) for record in finished]
    newest = max(versions, key=_age)[1] if versions else None
    current = tuple(record for record, own in versions if own == newest)
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
        outdated=tuple(record for record, own in versions if own != newest),
    )


def headline_of(data: dict[str, Any]) -> str:
    """The measure that ranks this record; ABAW unless it says otherwise."""
    return str((data["metrics"] or {}).get("headline", "abaw")).lower()


def version(record: Record) -> tuple[Any, ...]:
    """What code, weights and data a finished cell is of."""
    return tuple(record.data["key_parts"].get(part) for part in VERSION)


def _age(of_version: tuple[Record, tuple[Any, ...]]) -> tuple[str, str]:
    record, own = of_version
    return str(record.data["environment"].get("created")), str(own)


def _samples(records: Sequence[Record], headline: str) -> Samples:
    """The predictions of all cells, one line a seed, in the order of (fold, sample)."""
    seeds = sorted({record.data["seed"] for record in records})
    by_fold: dict[int, dict[int, Record]] = defaultdict(dict)
    for record in records:
        by_fold[record.data["fold"]][seeds.index(record.data["seed"])] = record
    parts = {fold: _fold(by_fold[fold], len(seeds), headline) for fold in sorted(by_fold)}
    joined = {
        name: np.concatenate([part[name] for part in parts.values()], axis=-1) for name in next(iter(parts.values()))
    }
    videos = _known(joined["track"])
    subjects = _known(joined["subject"]) if all(record.data["subjects_known"] for record in records) else None
    clips = _repeats(videos)
    return Samples(
        labels=joined["truth"],
        predicted=joined["said"],
        names=joined["sample"],
        folds=np.concatenate([np.full(len(part["sample"]), fold) for fold, part in parts.items()]),
        clusters=subjects if subjects is not None else videos if clips else None,
        unit="subject" if subjects is not None else "video" if clips else "sample",
        videos=videos,
        about={name.removeprefix(ABOUT): of for name, of in joined.items() if name.startswith(ABOUT)},
    )


def _fold(cells: dict[int, Record], seeds: int, headline: str) -> dict[str, NDArray[Any]]:
    """Samples, truths, subjects and videos of one fold, sorted by sample, and the predictions (P, N) of its cells."""
    truth, said, missing = ("target", "value", np.nan) if headline == "ccc" else ("label", "predicted", NOT_PREDICTED)
    asked = ["sample", truth]
    opened = {seed: record.opened() for seed, record in cells.items()}
    first, *others = opened.values()
    about = [f"{ABOUT}{name}" for name in next(iter(cells.values())).data.get("attributes", [])]
    read = [first.read([*asked, "subject"], ["track", *about])]
    # Words are dear to decode, and the seeds of a fold nearly always hold the same samples: then once is enough.
    same = all(each.begins_as(first, asked) for each in others)
    if not same:
        read += [each.read([*asked, "subject"], ["track", *about]) for each in others]

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([_column(each, name) for each in read])

    names, where = np.unique(column("sample"), return_index=True)
    found = {name: column(name)[where] for name in ("subject", "track", *about)}
    found |= {"sample": names, "truth": column(truth)[where], "said": np.full((seeds, len(names)), missing)}
    places = [_places(record.path, each, found, truth) for record, each in zip(cells.values(), read, strict=False)]
    if same:
        places *= len(opened)
    for (seed, each), own in zip(opened.items(), places, strict=True):
        found["said"][seed, own] = _column(each.read([said]), said)
    return found


def _places(folder: Path, table: pa.Table, found: dict[str, NDArray[Any]], truth: str) -> NDArray[np.int64]:
    """Where the samples of a cell stand among those of its fold."""
    names = found["sample"]
    places = np.searchsorted(names, _column(table, "sample"))
    if len(set(places.tolist())) < len(places):
        raise RequestError(f"{folder}: sample {names[np.bincount(places).argmax()]!r} is predicted twice")
    unlike = _column(table, truth) != found["truth"][places]
    if unlike.any():
        name = names[places[unlike.argmax()]]
        raise RequestError(f"{folder}: sample {name!r} has another {truth} than elsewhere")
    return places


def _column(table: pa.Table, name: str) -> NDArray[Any]:
    """A column as an array; words as objects, and None for each where there is no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, None)
    values = table[name]
    if str(values.type) in ("int64", "float64"):
        return np.concatenate([np.from_dlpack(chunk) for chunk in values.chunks])  # to_numpy would import pandas
    return np.array(values.to_pylist(), dtype=object)


def _repeats(names: NDArray[Any] | None) -> bool:
    """Whether the names are of things with several samples: a still is not a video."""
    return names is not None and len(set(names.tolist())) < len(names)


def _known(names: NDArray[Any]) -> NDArray[Any] | None:
    """A column of names, or None where a sample has none."""
    return None if any(name is None or name != name for name in names.tolist()) else names
