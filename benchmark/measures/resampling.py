"""Scores of results on thousands of resamples of their samples at once. Pure functions of arrays.

A resample is a count of how often each unit was drawn; multiplied by the units' class tallies it gives the tallies of
all resamples at once, and no sample is copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ferbench.benchmark.measures.metrics import Array, Metric, Tallies, measure

RESAMPLES = 10_000
NOT_PREDICTED = -1
"""Stands in a row of predictions for a sample that this result does not have."""

_CHUNK_NUMBERS = 4_000_000
"""Numbers held in memory at a time: draws, or tallies of resamples."""
_CACHE_NUMBERS = 100_000
"""Counts of resamples that are scored at a time: they stay in the processor's cache. Arrays of twice as many are given
back to the system and asked for again each time, which was a third of a bootstrap's time."""
_HANDFUL = 7
"""Units of which most of 10,000 resamples are the same: 1,716 differ."""
_BLOCK = 64
"""Results that are scored at a time."""
_PAIR = 4096
"""Two counts below this are one number of float32, whose whole numbers are exact below its square."""
_MANY_UNITS = 64
"""Units from which on it is sooner to multiply pairs of classes and to take them apart than to multiply each class."""


def score(labels: ArrayLike, predictions: ArrayLike, num_classes: int, metric: Metric = "abaw") -> Array:
    """The metric of P results (P, N) on labels (N,), as (P,)."""
    truth, guesses = np.asarray(labels), np.atleast_2d(predictions)
    each = _unit_tallies(truth, guesses, np.zeros(len(truth), dtype=np.int64), 1, num_classes)
    return measure(Tallies(each.hits, np.broadcast_to(each.truth, each.hits.shape), each.predicted), metric)[0]


def resampled(
    labels: ArrayLike,
    predictions: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: ArrayLike | None = None,
) -> Array:
    """The metric of P results (P, N) on each resample, as (resamples, P). All P see the same resamples.

    groups: (P,) which of K rows each result is of, 0..K-1: then (resamples, K), the mean over the results of each row.
    """
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
        draws, drawn = _draw_samples(rng, sizes, resamples), truth.size
    else:
        units, count = numbered(clusters)
        each = _unit_tallies(truth, guesses, units, count, num_classes)
        draws, drawn = _draw_units(rng, count, resamples), count
    means = None if groups is None else _mean_of(groups)
    if means is None or (guesses != NOT_PREDICTED).all():
        return _without_gaps(_scored(each, draws, drawn, metric, means))
    return _without_gaps(_scored(each, draws, drawn, metric)) @ means


def _mean_of(groups: ArrayLike) -> Array:
    """(P, K) by which values (..., P) are multiplied to become means (..., K) of their groups."""
    rows = np.asarray(groups)
    members = np.eye(int(rows.max()) + 1)[rows]
    return members / members.sum(axis=0)


def resampled_means(
    values: ArrayLike, clusters: ArrayLike, resamples: int = RESAMPLES, seed: int = 0, groups: ArrayLike | None = None
) -> Array:
    """The mean of P results' values (P, V), such as the CCC of each of V videos, on each resample: (resamples, P).

    values: NaN where a result lacks one. clusters: (V,) whom each value belongs to. All P see the same resamples.
    groups: as of `resampled`.
    """
    each = np.atleast_2d(np.asarray(values, dtype=float))
    there = np.isfinite(each)
    units, count = numbered(clusters)
    sums, sizes = (
        np.stack([np.bincount(units, row, count) for row in weights], axis=1)
        for weights in (np.where(there, each, 0), there)
    )
    draws = _draw_units(np.random.default_rng(seed), count, resamples)
    with np.errstate(invalid="ignore"):  # a result that has no value in a resample: 0 / 0
        found = _without_gaps(np.concatenate([(times @ sums) / (times @ sizes) for times in draws]))
    return found if groups is None else found @ _mean_of(groups)


def numbered(clusters: ArrayLike) -> tuple[NDArray[np.int64], int]:
    """Each sample's cluster as a number by the order of the names, and how many clusters there are."""
    names = np.asarray(clusters).tolist()  # a dictionary is faster than sorting a million strings
    number = {name: index for index, name in enumerate(sorted(set(names)))}
    return np.fromiter((number[name] for name in names), np.int64, len(names)), len(number)


def _draw_units(rng: np.random.Generator, units: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """How often each unit is drawn in each resample, in chunks of (R, units)."""
    for size in _chunks(resamples, units):
        drawn = rng.integers(units, size=(size, units)) + np.arange(size)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)


def _draw_samples(rng: np.random.Generator, sizes: NDArray[np.int64], resamples: int) -> Iterator[NDArray[np.int64]]:
    """How many samples of each kind are drawn in each resample, in chunks of (R, kinds)."""
    total = int(sizes.sum())
    for size in _chunks(resamples, len(sizes)):
        yield rng.multinomial(total, sizes / total, size=size)


def _chunks(resamples: int, width: int) -> Iterator[int]:
    step = max(1, _CHUNK_NUMBERS // width)
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def _scored(
    each: Tallies, draws: Iterator[NDArray[np.int64]], drawn: int, metric: Metric, means: Array | None = None
) -> Array:
    """The metric of all resamples, (R, P), or multiplied by means (P, K), (R, K).

    each: tallies of every unit; drawn: how many units a resample draws.
    """
    blocks = _blocks(each, drawn)
    units, results, classes = each.hits.shape
    at_once = max(1, _CACHE_NUMBERS // (classes * min(results, _BLOCK)))
    found = []
    for times in draws:
        different, back = np.unique(times, axis=0, return_inverse=True) if units <= _HANDFUL else (times, None)
        weights = different.astype(blocks[0].predicted.dtype)
        values = np.zeros((len(weights), results if means is None else means.shape[1]))
        for start in range(0, len(weights), at_once):
            rows = slice(start, start + at_once)
            for block in blocks:
                scores = _measured(block.drawn(weights[rows]), metric)
                if means is None:
                    values[rows, block.results] = scores
                else:
                    values[rows] += scores @ means[block.results]
        found.append(values if back is None else values[back.reshape(-1)])
    return np.concatenate(found)


def _measured(counts: Tallies, metric: Metric) -> Array:
    """`measure` of counts (C, R, P) as (R, P): of the measure that ranks in half as many passes, which is most of the
    time of a bootstrap."""
    if metric != "abaw":
        return measure(counts, metric, axis=0)
    either = counts.truth + counts.predicted
    all_there = either.all()
    f1 = 2 * np.divide(counts.hits, either if all_there else np.maximum(either, 1), dtype=np.float64).sum(axis=0)
    f1 /= len(either) if all_there else np.maximum(np.count_nonzero(either, axis=0), 1)
    return 0.67 * f1 + 0.33 * measure(counts, "accuracy", axis=0)


@dataclass(frozen=True)
class _Block:
    """Tallies of every unit for a few results; the hits of each class are of the units of its span alone."""

    results: slice
    hits: list[NDArray[Any]]
    truth: NDArray[Any]
    predicted: NDArray[Any]
    """(C, U, P), or (C / 2, U, P) where it is paired: a class plus `_PAIR` times the next one."""
    paired: bool
    spans: list[slice]

    def drawn(self, weights: NDArray[Any]) -> Tallies:
        """Counts (C, R, P) of resamples that draw the units so many times, (R, U)."""
        predicted = weights @ self.predicted
        if self.paired:
            predicted = _apart(predicted)[: len(self.hits)]
        hits = np.empty_like(predicted)
        for span, own, found in zip(self.spans, self.hits, hits, strict=True):
            np.matmul(weights[:, span], own, out=found)
        return Tallies(hits, weights @ self.truth, predicted)


def _blocks(each: Tallies, drawn: int) -> list[_Block]:
    """All tallies in the form in which they are multiplied fastest.

    Whole numbers below 2**24 are exact in float32, so where the counts of all classes together stay below, products and
    sums are exact and half as dear as in float64. The classes come first: sums over them then add long rows. A few
    results meet a few resamples at a time, in the processor's cache. Where every unit is of one class, as samples are,
    the hits of a class are those of a run of units.
    """
    parts = [np.moveaxis(part, -1, 0) for part in (each.hits, each.truth, each.predicted)]  # (C, U, P), truth or (…, 1)
    largest = max(part.sum(axis=0).max() for part in parts) * drawn
    hits, truth, predicted = (part.astype(np.float32 if 2 * largest < 2**24 else np.float64) for part in parts)
    paired = len(each.hits) >= _MANY_UNITS and each.predicted.max() * drawn < _PAIR
    if paired:
        predicted = _in_pairs(predicted)
    units_of_class = [np.flatnonzero(of_class.any(axis=-1)) for of_class in truth]
    spans = [slice(units[0], units[-1] + 1) if units.size else slice(0) for units in units_of_class]
    found = []
    for start in range(0, hits.shape[-1], _BLOCK):
        cut = slice(start, start + _BLOCK)
        found.append(
            _Block(
                cut,
                [np.ascontiguousarray(of_class[span, cut]) for of_class, span in zip(hits, spans, strict=True)],
                truth if truth.shape[-1] == 1 else np.ascontiguousarray(truth[..., cut]),
                np.ascontiguousarray(predicted[..., cut]),
                paired,
                spans,
            )
        )
    return found


def _in_pairs(counts: NDArray[Any]) -> NDArray[Any]:
    """Two classes in each number: (C, ...) counts below `_PAIR` as (C / 2, ...), rounded up."""
    paired = counts[::2].copy()
    paired[: len(counts) // 2] += _PAIR * counts[1::2]
    return paired


def _apart(paired: NDArray[Any]) -> NDArray[Any]:
    """(C / 2, ...) as (C, ...); of an odd number of classes, one more that is 0."""
    counts = np.empty((len(paired), 2, *paired.shape[1:]), paired.dtype)
    np.floor(np.multiply(paired, 1 / _PAIR, out=counts[:, 1]), out=counts[:, 1])
    np.subtract(paired, _PAIR * counts[:, 1], out=counts[:, 0])
    return counts.reshape(-1, *paired.shape[1:])


def _unit_tallies(
    labels: NDArray[Any], predictions: NDArray[Any], units: NDArray[np.int64], num_units: int, num_classes: int
) -> Tallies:
    """Hits and predicted of each unit, (U, P, C); truth (U, P, C), or (U, 1, C) where all results have all samples.

    labels and units are (N,), predictions (P, N).
    """
    for name, values, lowest in (("labels", labels, 0), ("predictions", predictions, NOT_PREDICTED)):
        if values.min() < lowest or values.max() >= num_classes:
            raise ValueError(f"{name} must lie in {lowest}..{num_classes - 1}, found {values.min()}..{values.max()}")
    row = units * num_classes

    def count(where: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(where, minlength=num_units * num_classes).reshape(num_units, num_classes)

    there = [guess != NOT_PREDICTED for guess in predictions]
    complete = all(own.all() for own in there)
    truths = [count((row + labels)[own]) for own in ([slice(None)] if complete else there)]
    hits = [count((row + labels)[guess == labels]) for guess in predictions]
    said = [count((row + guess)[own]) for guess, own in zip(predictions, there, strict=True)]
    return Tallies(*(np.stack(counts, axis=1) for counts in (hits, truths, said)))


def _without_gaps(drawn: Array) -> Array:
    """A result that lacks some units can miss a resample altogether; its mean score stands in for that one."""
    missing = np.isnan(drawn)
    return np.where(missing, np.nanmean(drawn, axis=0), drawn) if missing.any() else drawn
