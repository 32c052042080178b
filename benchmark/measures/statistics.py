"""How sure a score is, and whether two differ. Pure functions of arrays.

Samples of one person are alike, so the unit that is resampled is the person wherever it is known, else the video
(cluster bootstrap); a bootstrap over samples would claim an interval that is too narrow, and stands only where every
sample is a still of somebody unknown. `benchmark.measures.resampling` draws and scores the resamples.

The plain percentile interval of few units is too narrow as well: of 8 subjects it covers 89%. So its tails are widened
as Student's t with units - 1 degrees of freedom is wider than the normal (the expanded percentile interval of
Hesterberg, The American Statistician 69(4), 2015). Of a difference p and interval are one test: Student's t of the
difference over its bootstrap standard error, so that the interval holds 0 exactly when p is above 5%. Where nothing
varies, an exact bound stands for what cannot be estimated. `docs/statistics.md` holds the simulations.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from math import factorial
from operator import add
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import fdtrc, gammaln, ndtr, ndtri, stdtr, stdtrit

from ferbench.benchmark.measures.metrics import Array, Metric
from ferbench.benchmark.measures.resampling import RESAMPLES, resampled, score

Unit = Literal["subject", "video", "sample"]

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE
FEWEST_DATA_SETS = 5
"""With fewer, Friedman's test is not asked: its approximation needs blocks, and a rank reversal on one decides."""

EXACT_ROWS, EXACT_DATA_SETS = 4, 12
"""Up to which Friedman's test is exact; the orders of more are too many to go through."""

LOWEST = {"ccc": -1.0}
"""What a measure may be at the least; of the others 0."""

_ROUNDING = 1e-12
"""Differences of scores below this are none."""


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


@dataclass(frozen=True)
class Friedman:
    """Whether architectures differ over data sets at all, and by how much mean ranks must differ for a pair to.

    mean_ranks: (K,), 1 is best. `decides`: a difference could be shown at all, and the test says that there is one.
    """

    mean_ranks: Array
    data_sets: int
    statistic: float
    p: float
    critical_difference: float

    @property
    def too_few(self) -> bool:
        """Whether no difference could be shown, whatever the ranks were."""
        return self.data_sets < FEWEST_DATA_SETS or self.critical_difference >= len(self.mean_ranks) - 1

    @property
    def decides(self) -> bool:
        return not self.too_few and self.p < ALPHA


def bootstrap_interval(
    labels: ArrayLike,
    predicted: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
    unit: Unit = "subject",
) -> Interval:
    """95% interval of a metric.

    labels: (N,) class indices. predicted: (N,), or (P, N) for P results on the same samples (such as P training seeds,
    with `NOT_PREDICTED` where one lacks a sample); the metric is then their mean, and the units are drawn jointly.
    clusters: (N,) whom each sample belongs to, or None where that is unknown: then samples are drawn.
    unit: what a cluster is called.
    """
    groups = np.zeros(len(np.atleast_2d(predicted)), dtype=np.int64)
    drawn = resampled(labels, predicted, clusters, num_classes, metric, resamples, seed, groups)[:, 0]
    return interval_of(drawn, *units_of(labels, clusters, unit))


def paired_bootstrap(
    labels: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    clusters: ArrayLike | None,
    num_classes: int,
    metric: Metric = "abaw",
    resamples: int = RESAMPLES,
    seed: int = 0,
    unit: Unit = "subject",
) -> Difference:
    """How much better `b` is than `a`, predictions (N,) for the same samples, both scored on the same resamples.

    `a` and `b` may be (P, N) and (Q, N), results of several training seeds: their means are compared, and the spread
    of the seeds widens p (see `training_spread`).
    """
    one, other = np.atleast_2d(a), np.atleast_2d(b)
    both = np.concatenate([one, other])
    each = score(labels, both, num_classes, metric)
    groups = np.repeat([0, 1], [len(one), len(other)])
    drawn = resampled(labels, both, clusters, num_classes, metric, resamples, seed, groups)
    return difference_of(drawn, each[: len(one)], each[len(one) :], *units_of(labels, clusters, unit))


def difference_of(
    drawn: Array,
    a: Array,
    b: Array,
    units: int,
    unit: Unit,
    beside: Sequence[ArrayLike] = (),
    lowest: float = 0.0,
) -> Difference:
    """`b` minus `a`, the scores (P,) and (Q,) of the results of two rows; drawn: (R, 2) their resampled means.

    beside: scores (S,) of the seeds of other rows, which tell how much trainings vary as well. lowest: what the measure
    may be at the least.
    """
    spread = training_spread([a, b, *beside])
    value, training = float(b.mean() - a.mean()), (float(spread.variances[:2].sum()), spread.freedom)
    return as_difference(value, drawn[:, 1] - drawn[:, 0], units, unit, training, lowest)


def as_difference(
    value: float,
    drawn: Array,
    units: int,
    unit: Unit,
    of_training: tuple[float, float] = (0.0, 0.0),
    lowest: float = 0.0,
) -> Difference:
    """A difference with its p and the interval of the same test; drawn: (R,) what it is on each resample.

    of_training: the variance that other trainings add, and with how many degrees of freedom that is known.
    """
    p, known = _student(value, drawn.var(), units, *of_training)
    largest = 1 - lowest
    # Where nothing is known of how the units vary, some that were not seen may differ by as much as there is.
    half = float(known) if np.isfinite(known) else largest * (1.0 if units < 2 else _unseen(units))
    return Difference(value, Interval(max(value - half, -largest), min(value + half, largest), unit), float(p))


def units_of(labels: ArrayLike, clusters: ArrayLike | None, unit: Unit = "subject") -> tuple[int, Unit]:
    """How many units are drawn, and what they are called."""
    if clusters is None:
        return np.asarray(labels).size, "sample"
    return len(set(np.asarray(clusters).tolist())), unit


def interval_of(drawn: Array, units: int, unit: Unit, lowest: float = 0.0) -> Interval:
    """95% interval of resampled values (R,): the percentiles whose normal deviates are those of Student's t with
    units - 1 degrees of freedom, times sqrt(units / (units - 1)).

    Where all units are alike, or there is one, the spread is unknown: the interval is how far the score would move with
    the largest share of units that may be hidden from so few, and have the worst or the best score. Of n units that are
    all right this is the exact bound of Clopper and Pearson. lowest: what the measure may be at the least.
    """
    if units < 2 or np.ptp(drawn) < _ROUNDING:
        value, hidden = float(np.mean(drawn)), _unseen(units)
        return Interval(value - hidden * (value - lowest), value + hidden * (1 - value), unit)
    tail = ndtr(stdtrit(units - 1, ALPHA / 2) * np.sqrt(units / (units - 1)))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(low), float(high), unit)


def _unseen(units: int) -> float:
    """The largest share of a population that so many units may all have missed, at the level of an interval's side."""
    return float(1 - (ALPHA / 2) ** (1 / units))


@dataclass(frozen=True)
class TrainingSpread:
    """How much scores vary from one training to another, as far as the seeds of K rows tell."""

    variances: Array
    """(K,) of the mean over the seeds of each row; 0 where nothing is known."""
    freedom: float
    """Degrees of freedom; 0 where no row has several seeds."""


def training_spread(rows: Sequence[ArrayLike]) -> TrainingSpread:
    """The spread of K rows of scores, each (S,) of S training seeds.

    A bootstrap over subjects asks how sure the score of these trained models is. That another training would give
    another model is known only where there are several. Of three alone it is known badly, with two degrees of freedom;
    so a row takes the mean variance of all rows, and its own where that is larger.
    """
    each = [np.asarray(scores, dtype=float) for scores in rows]
    freedom = np.array([scores.size - 1 for scores in each])
    own = np.array([scores.var(ddof=1) if scores.size > 1 else 0.0 for scores in each])
    total = float(freedom @ own)
    if total == 0:
        return TrainingSpread(np.zeros(len(each)), float(freedom.sum()))
    variances = np.maximum(own, total / freedom.sum()) / (freedom + 1)
    return TrainingSpread(variances, total**2 / float(freedom @ own**2))  # Satterthwaite


def pairwise_p(drawn: Array, scores: Array, groups: ArrayLike, units: int) -> Array:
    """Two-sided p that each two of K rows score the same, (K, K), 1 on the diagonal; not corrected for their number.

    drawn: (R, K) resampled scores of all rows, on the same resamples. scores: (P,) of the results of all rows on all
    samples. groups: (P,) which of the K rows each result is of, 0..K-1; several results of a row are its seeds.
    """
    return _pairs(drawn, scores, groups, units)[0]


def told_apart_p(
    drawn: Array, scores: Array, groups: ArrayLike, units: int, tested: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Array:  # fmt: skip
    """`pairwise_p` of the rows that are `tested` (all, if None is named), corrected for the number of their pairs: the
    chance that any two equal rows are told apart at a level is at most that level.

    The pairs of one table depend on each other: they share rows, and all rows share samples. So the smallest p that
    chance gives is drawn (normal deviates with the covariance of the rows), step down from the smallest p that was
    found (Westfall and Young, Resampling-Based Multiple Testing, 1993); Holm's correction supposes the worst.
    """
    p, covariance = _pairs(drawn, scores, groups, units)
    if tested is not None:
        p, covariance = (each[np.ix_(np.asarray(tested), np.asarray(tested))] for each in (p, covariance))
    count = len(p)
    if count < 3:  # a single pair is corrected for nothing
        return p
    here, there = np.triu_indices(count, 1)
    found = -ndtri(p[here, there] / 2)  # the normal deviate of each p; infinite of a p of 0
    found = found / np.sqrt(units / max(units - 1, 1))  # of few units the tails are wider, as those of intervals
    order = np.argsort(found, kind="stable")
    here, there, found = here[order], there[order], found[order]
    alone = np.diag(covariance)
    deviation = np.sqrt(np.maximum(alone[here] + alone[there] - 2 * covariance[here, there], _ROUNDING))
    ridge = max(_ROUNDING * float(alone.max()), _ROUNDING**2) * np.eye(count)
    noise = np.random.default_rng(0).standard_normal((resamples, count)) @ np.linalg.cholesky(covariance + ridge).T
    of_rows = np.ascontiguousarray(noise.T, dtype=np.float32)
    largest, beyond = np.zeros(resamples, dtype=np.float32), np.zeros(len(found))
    for i in range(len(found)):  # pair by pair from the largest p on: all of them at once would fill the memory
        np.maximum(largest, np.abs(of_rows[here[i]] - of_rows[there[i]]) / np.float32(deviation[i]), out=largest)
        beyond[i] = np.count_nonzero(largest >= found[i])
    stepped = np.maximum.accumulate(((1 + beyond) / (1 + resamples))[::-1])[::-1]
    corrected = np.ones(p.shape)
    corrected[here, there] = corrected[there, here] = np.maximum(stepped, p[here, there])
    return corrected


def _pairs(drawn: Array, scores: Array, groups: ArrayLike, units: int) -> tuple[Array, Array]:
    """`pairwise_p`, and the covariance (K, K) of the rows' scores: what other units and other seeds would change."""
    rows = np.asarray(groups)
    each = [scores[rows == row] for row in range(drawn.shape[1])]
    covariance = np.atleast_2d(np.cov(drawn, rowvar=False, ddof=0))
    alone = np.diag(covariance)
    values = np.array([own.mean() for own in each])
    spread = training_spread(each)
    p, _ = _student(
        values[:, None] - values,
        alone[:, None] + alone - 2 * covariance,
        units,
        spread.variances[:, None] + spread.variances,
        spread.freedom,
    )
    return p, covariance * units / max(units - 1, 1) + np.diag(spread.variances)


def _student(
    value: ArrayLike, variance: ArrayLike, units: int, of_training: ArrayLike, freedom: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two-sided p of differences whose bootstrap over `units` has this variance, and half the width of their intervals,
    NaN where that is unknown. of_training: the variance that other seeds add, known with this many degrees of freedom
    (both together after Welch and Satterthwaite).

    Where every unit shows the same difference its variance cannot be estimated: p is that of the sign test then, and
    the interval the one that goes with it.
    """
    size = np.abs(np.asarray(value, dtype=float))
    if units < 2:
        return np.ones(size.shape), np.full(size.shape, np.nan)
    over_units = np.maximum(np.asarray(variance, dtype=float), 0) * units / (units - 1)
    other = np.asarray(of_training, dtype=float)
    total = over_units + other
    shares = np.square(other) / max(freedom, 1) + np.square(over_units) / (units - 1)
    varies = total > _ROUNDING**2
    both = np.divide(np.square(total), shares, out=np.full(total.shape, units - 1.0), where=varies)
    of_signs = np.where(size > _ROUNDING, -stdtrit(both, 0.5**units), 0.0)
    t = np.divide(size, np.sqrt(total), out=of_signs, where=varies)
    error = np.where(varies, np.sqrt(total), np.divide(size, t, out=np.full(total.shape, np.nan), where=t > 0))
    return np.asarray(2 * stdtr(both, -t)), np.asarray(-stdtrit(both, ALPHA / 2) * error)


def holm(p: ArrayLike) -> Array:
    """The p-values of a family of tests, (M,), corrected for their number after Holm (1979): the chance of one false
    alarm among all of them stays below the level."""
    each = np.asarray(p, dtype=float)
    order = np.argsort(each, kind="stable")
    stepped = np.maximum.accumulate(each[order] * np.arange(each.size, 0, -1))
    corrected = np.empty(each.size)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def tie_groups(scores: ArrayLike, apart: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Runs of ranks that cannot be told apart, the best first; a row may be in several.

    scores: (K,). apart: (K, K), symmetric. Two rows that are not told apart always share a group. A group reaches from
    a row down to the last one that it is not told apart from, so it may hold a pair inside that is: groups claim fewer
    differences than the tests, never more, and stay readable where tests of unequal noise contradict the order.
    """
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    tied = ~apart[np.ix_(order, order)]
    groups: list[tuple[int, ...]] = []
    end = -1
    for first in range(len(order)):
        last = max(int(np.flatnonzero(tied[first]).max(initial=first)), first)
        if last > end:
            groups.append(tuple(order[first : last + 1].tolist()))
            end = last
    return groups


def friedman(ranks: ArrayLike) -> Friedman:
    """Friedman's test in the form of Iman and Davenport, and Nemenyi's critical difference of mean ranks.

    ranks: (N, K), of each of N data sets the ranks of K >= 2 architectures, ties averaged. After Demšar, Journal of
    Machine Learning Research 7, 2006. Of up to `EXACT_ROWS` rows p is exact: the share of all orders of each data set's
    ranks that agree at least as much. Of more it is never below the chance that all data sets agree.
    """
    each = np.asarray(ranks, dtype=float)
    n, k = each.shape
    mean = each.mean(axis=0)
    spread = n * np.square(mean - (k + 1) / 2).sum()
    total = np.square(each - (k + 1) / 2).sum()  # n k (k^2 - 1) / 12 without ties, less with them
    chi2 = (k - 1) * n * spread / total if total else 0.0
    chi2 = float(chi2)
    left = n * (k - 1) - chi2
    statistic = (n - 1) * chi2 / left if left > _ROUNDING else np.inf
    if n < 2:
        p = 1.0
    elif k <= EXACT_ROWS and n <= EXACT_DATA_SETS:
        p = _agreement_p(each)
    else:
        p = max(float(fdtrc(k - 1, (k - 1) * (n - 1), statistic)), float(np.exp((1 - n) * gammaln(k + 1))))
    critical = float(studentized_range_quantile(k) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))
    return Friedman(mean, n, float(statistic), p, critical)


def _agreement_p(ranks: Array) -> float:
    """The chance that ranks (N, K) whose order is drawn anew on each data set agree at least as much as they do."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # whole numbers, ties included

    def spread(sums: tuple[int, ...]) -> int:
        return sum(each * each for each in sums)  # grows with that of the mean ranks, whose total is fixed

    chances = {tuple(doubled[0].tolist()): 1.0}  # the first order is as good as any other
    for row in doubled[1:].tolist():
        orders = Counter(permutations(row))
        of_each, after = 1 / factorial(len(row)), defaultdict[tuple[int, ...], float](float)
        for sums, chance in chances.items():
            for order, times in orders.items():
                after[tuple(map(add, sums, order))] += chance * times * of_each
        chances = after
    found = spread(tuple(doubled.sum(axis=0).tolist()))
    return min(1.0, sum(chance for sums, chance in chances.items() if spread(sums) >= found))


@cache
def studentized_range_quantile(count: int, confidence: float = CONFIDENCE) -> float:
    """Quantile of the range of `count` independent standard normals (infinite degrees of freedom)."""
    z = np.linspace(-9, 9, 401)
    below, density = ndtr(z), count * np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)
    low, high = 0.0, 20.0
    for _ in range(40):  # scipy.optimize could do this, and takes a quarter of a second to import
        middle = (low + high) / 2
        within = np.trapezoid(density * (below - ndtr(z - middle)) ** (count - 1), z)
        low, high = (middle, high) if within < confidence else (low, middle)
    return low


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
