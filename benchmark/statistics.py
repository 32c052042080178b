"""How sure a score is, and whether two differ. Pure functions of arrays.

Samples of one person are alike, so the unit that is resampled is the person wherever it is known (cluster bootstrap);
a bootstrap over samples would claim an interval that is too narrow. A resample is a count of how often each unit was
drawn; multiplied by the units' class tallies it gives the tallies of all resamples at once, and no sample is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.metrics import Array, Metric, Tallies, measure

Unit = Literal["subject", "sample"]

RESAMPLES = 10_000
CONFIDENCE = 0.95
NOT_PREDICTED = -1
"""Stands in a row of predictions for a sample that this result does not have."""

_CHUNK_NUMBERS = 4_000_000
"""Draws held in memory at a time: 32 MB."""


@dataclass(frozen=True)
class Interval:
    """A 95% interval and what was resampled to get it."""

    low: float
    high: float
    unit: Unit


@dataclass(frozen=True)
class Difference:
    """`b` minus `a` on the same samples, its 95% interval, and the two-sided p of no difference."""

    value: float
    interval: Interval
    p: float


def bootstrap_interval(
    labels: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """95% percentile interval of a metric.

    labels: (N,) class indices. predicted: (N,), or (P, N) for P results on the same samples (such as P training seeds,
    with `NOT_PREDICTED` where one lacks a sample); the metric is then their mean, and the units are drawn jointly.
    clusters: (N,) whom each sample belongs to, or None where that is unknown: then samples are drawn.
    """
    drawn = resampled(labels, predicted, clusters, num_classes, metric, resamples, seed).mean(axis=1)
    return _interval(drawn, clusters)


def paired_bootstrap(
    labels: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """How much better `b` is than `a`, two lists of predictions (N,) for the same samples.

    Both are scored on the same resamples. p is the share of resamples whose difference lies as far from the observed
    one as zero does (the bootstrap distribution shifted to the hypothesis of no difference).
    """
    both = np.stack([np.asarray(a), np.asarray(b)])
    before, after = score(labels, both, num_classes, metric)
    drawn = resampled(labels, both, clusters, num_classes, metric, resamples, seed)
    value, differences = float(after - before), drawn[:, 1] - drawn[:, 0]
    as_far = np.abs(differences - value) >= abs(value) - 1e-12
    return Difference(value, _interval(differences, clusters), float((as_far.sum() + 1) / (resamples + 1)))


def mcnemar(labels: ArrayLike, a: ArrayLike, b: ArrayLike) -> float:
    """Exact two-sided p of McNemar's test: of the samples that one of `a` and `b` (N,) has right and the other wrong,
    is each as often the right one? It takes samples as independent, so it is a second opinion where subjects repeat.
    """
    truth = np.asarray(labels)
    right_a, right_b = np.asarray(a) == truth, np.asarray(b) == truth
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    k = np.arange(1, fewer + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log(discordant - k + 1) - np.log(k))])
    return min(1.0, 2 * float(np.exp(log_choose - discordant * np.log(2)).sum()))


def score(labels: ArrayLike, predictions: ArrayLike, num_classes: int, metric: Metric = "abaw") -> Array:
    """The metric of P results (P, N) on labels (N,), as (P,)."""
    truth, guesses = np.asarray(labels), np.atleast_2d(predictions)
    units = np.zeros(len(truth), dtype=np.int64)
    return measure(_as_tallies(_unit_tallies(truth, guesses, units, 1, num_classes)), metric)[0]


def resampled(
    labels: ArrayLike,
    predictions: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Array:
    """The metric of P results (P, N) on each resample, as (resamples, P). All P see the same resamples."""
    truth, guesses = np.asarray(labels), np.atleast_2d(predictions)
    if truth.size == 0 or guesses.shape[1:] != truth.shape:
        raise ValueError(
            f"labels {truth.shape} and predictions {guesses.shape} must cover the same samples, at least 1"
        )
    rng = np.random.default_rng(seed)
    if clusters is None:
        # Samples with the same truth and the same predictions are interchangeable: draw how many of each kind.
        kinds, sizes = np.unique(np.concatenate([truth[None], guesses]), axis=1, return_counts=True)
        each = _unit_tallies(kinds[0], kinds[1:], np.arange(len(sizes)), len(sizes), num_classes)
        draws = _draw_samples(rng, sizes, resamples)
    else:
        names, units = np.unique(np.asarray(clusters), return_inverse=True)
        each = _unit_tallies(truth, guesses, units, len(names), num_classes)
        draws = _draw_units(rng, len(names), resamples)
    flat = each.reshape(len(each), -1)
    scored = [measure(_as_tallies((times @ flat).reshape(-1, *each.shape[1:])), metric) for times in draws]
    return _without_gaps(np.concatenate(scored))


def _draw_units(rng: np.random.Generator, units: int, resamples: int) -> Iterator[Array]:
    """How often each unit is drawn in each resample, in chunks of (R, units)."""
    for size in _chunks(resamples, units):
        drawn = rng.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units).astype(np.float64)


def _draw_samples(rng: np.random.Generator, sizes: NDArray[np.int64], resamples: int) -> Iterator[Array]:
    """How many samples of each kind are drawn in each resample, in chunks of (R, kinds)."""
    total = int(sizes.sum())
    for size in _chunks(resamples, len(sizes)):
        yield rng.multinomial(total, sizes / total, size=size).astype(np.float64)


def _chunks(resamples: int, width: int) -> Iterator[int]:
    step = max(1, _CHUNK_NUMBERS // width)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def _unit_tallies(
    labels: NDArray[Any], predictions: NDArray[Any], units: NDArray[np.int64], num_units: int, num_classes: int
) -> Array:
    """Hits, truth and predicted of each unit, (U, P, 3, C). labels and units are (N,), predictions (P, N)."""
    for name, values, lowest in (("labels", labels, 0), ("predictions", predictions, NOT_PREDICTED)):
        if values.min() < lowest or values.max() >= num_classes:
            raise ValueError(f"{name} must lie in {lowest}..{num_classes - 1}, found {values.min()}..{values.max()}")
    counts = np.zeros((len(predictions), 3, num_units * num_classes))
    for tally, guess in zip(counts, predictions, strict=True):
        there = guess != NOT_PREDICTED
        row, truth, said = units[there] * num_classes, labels[there], guess[there]
        for kind, where in enumerate(((row + truth)[truth == said], row + truth, row + said)):
            tally[kind] = np.bincount(where, minlength=num_units * num_classes)
    return counts.reshape(len(predictions), 3, num_units, num_classes).transpose(2, 0, 1, 3)


def _as_tallies(counts: Array) -> Tallies:
    return Tallies(counts[..., 0, :], counts[..., 1, :], counts[..., 2, :])


def _without_gaps(drawn: Array) -> Array:
    """A result that lacks some units can miss a resample altogether; its mean score stands in for that one."""
    missing = np.isnan(drawn)
    return np.where(missing, np.nanmean(drawn, axis=0), drawn) if missing.any() else drawn


def _interval(drawn: Array, clusters: ArrayLike | None) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high), "sample" if clusters is None else "subject")
