"""Does a run reproduce published scores? Pure functions of arrays.

On another processor sums are rounded in another order, and after a few steps training goes another way: a score of the
same code with the same seed is then another draw, and differs from the published one as those of other seeds do. So a
row is compared with the mean of its published seeds, and what it may differ by is what they differ by.

Of three seeds a row's own spread is known badly, and some rows are steadier than others; so it is its own and the mean
of its table's rows, weighed by degrees of freedom (the moderated t of Smyth, Statistical Applications in Genetics and
Molecular Biology 3(1), 2004, but with a fixed and small number of them for the mean, since rows differ much and
trainings sometimes go astray). A fault in what all rows share moves every score the same way, which shows in the
tables' means long before it shows in any row. `docs/reproduction.md` holds the simulations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from ferbench.benchmark.measures.metrics import Array
from ferbench.benchmark.measures.statistics import holm

PRIOR = 4.0
"""For how many degrees of freedom the mean spread of a table's rows counts beside a row's own."""
SMALLEST = 0.01
"""No row differs by less, however little its published seeds do."""


@dataclass(frozen=True)
class Scores:
    """The K rows of one table, as published and as run here."""

    published: Array
    """(K, S) of each row's published seeds, NaN where there are fewer than S."""
    here: Array
    """(K,) mean over the seeds that were run; NaN of a row that is not compared, whose published seeds tell all the
    same how much trainings differ."""
    seeds: NDArray[np.int64]
    """(K,) how many seeds `here` is the mean of; at least 1."""

    @property
    def compared(self) -> NDArray[np.bool_]:
        """(K,)"""
        return np.isfinite(self.here)

    @property
    def differences(self) -> Array:
        """(K,) how much better each row is here."""
        return self.here - np.nanmean(self.published, axis=1)


@dataclass(frozen=True)
class Shift:
    """How much better than published the rows of a table, or of all tables, are on average."""

    value: float
    p: float
    """Corrected for the number of means that were looked at, and for the rows beside them."""


@dataclass(frozen=True)
class Reproduction:
    """What a run of several tables shows. A p below 5% is no chance: with unchanged code one run in twenty has any."""

    rows: tuple[Array, ...]
    """By table: (K,) p of each row, Holm's correction made over the rows of all tables; NaN where it is not compared,
    or where no published row of its table has two seeds, so that nobody knows how much trainings differ."""
    tables: tuple[Shift | None, ...]
    """By table; None with fewer than two rows."""
    overall: Shift | None
    """None with fewer than two tables."""


@dataclass(frozen=True)
class _Spread:
    """Variances (K,), and with how many degrees of freedom (K,) they are known: 0 where nothing is."""

    variance: Array
    freedom: Array

    def cut(self, kept: NDArray[np.bool_]) -> _Spread:
        return _Spread(self.variance[kept], self.freedom[kept])


@dataclass(frozen=True)
class _Mean:
    """A difference, its variance were all rows independent, and the true one over that as published seeds show it."""

    value: float
    variance: float
    inflation: float
    freedom: float
    """Of `inflation`."""


def reproduction(tables: Sequence[Scores]) -> Reproduction:
    """Compares a run with what is published. tables: all that are published, also those that were not run.

    Half of the 5% is for the rows, each alone; half for the means, which see a fault in what rows share.
    """
    spreads = [_spread_of_rows(table) for table in tables]
    each = [_row_p(table, spread) for table, spread in zip(tables, spreads, strict=True)]
    rows = np.split(_corrected(np.concatenate(each)), np.cumsum([p.size for p in each])[:-1]) if each else []
    return Reproduction(tuple(rows), *_shifts([_mean(*each) for each in zip(tables, spreads, strict=True)]))


def _corrected(p: Array) -> Array:
    """Half of a family of tests: Holm's correction over those that are known, twice."""
    known = np.isfinite(p)
    found = np.full(p.shape, np.nan)
    found[known] = np.minimum(2 * holm(p[known]), 1)
    return found


def _spread_of_rows(table: Scores) -> _Spread:
    """Of one training of each row."""
    freedom = np.maximum(np.isfinite(table.published).sum(axis=1) - 1, 0)
    centred = table.published - np.nanmean(table.published, axis=1, keepdims=True)
    return _shrunken(np.nansum(np.square(centred), axis=1) / np.maximum(freedom, 1), freedom)


def _shrunken(own: Array, freedom: Array) -> _Spread:
    """Variances that are known badly, (K,), each drawn to the mean of all."""
    total = float(freedom.sum())
    mean = float(freedom @ np.where(freedom > 0, own, 0)) / max(total, 1)
    drawn = (PRIOR * mean + freedom * np.where(freedom > 0, own, 0)) / (PRIOR + freedom)
    return _Spread(drawn, np.minimum(PRIOR + freedom, total))


def _variances(table: Scores, spread: _Spread) -> Array:
    """(K,) of the differences: those of the mean of what was run and of the mean of what is published."""
    return spread.variance * (1 / table.seeds + 1 / np.isfinite(table.published).sum(axis=1))


def _row_p(table: Scores, spread: _Spread) -> Array:
    """Two-sided p of each row, (K,), not corrected; NaN where it is not compared or the spread is not known."""
    p = _student_p(table.differences, _variances(table, spread), spread.freedom)
    return np.where(np.abs(table.differences) < SMALLEST, np.where(np.isfinite(p), 1.0, p), p)


def _mean(table: Scores, spread: _Spread) -> _Mean:
    """The mean difference of the rows, each weighed by one over its variance."""
    alone, inflation, freedom = _apart(table.published, spread)
    compared = table.compared
    if compared.sum() < 2 or freedom == 0:
        return _Mean(np.nan, np.nan, inflation, freedom)
    weights = _shares(_variances(table, spread)[compared])
    value = float(weights @ table.differences[compared])
    return _Mean(value, float(weights**2 @ _variances(table, alone)[compared]), inflation, freedom)


def _apart(published: Array, spread: _Spread) -> tuple[_Spread, float, float]:
    """What rows do alone, when what moves all of them from seed to seed is taken away: their spread; by how much their
    mean differs more from seed to seed than if they did nothing together, as rows do that start from the same trained
    network; and with how many degrees of freedom that is known, 0 where it is not."""
    several = np.isfinite(published).sum(axis=1) > 1
    whole = published[several][:, np.isfinite(published[several]).all(axis=0)]
    rows, seeds = whole.shape
    if rows < 2 or seeds < 2 or not (spread.variance > 0).all():
        return spread, 0, 0
    weights = _shares(spread.variance[several])
    centred = whole - whole.mean(axis=1, keepdims=True)
    together = weights @ centred
    own = np.zeros(several.shape)
    own[several] = np.square(centred - together).sum(axis=1) / (seeds - 1) * rows / (rows - 1)
    alone = _shrunken(own, np.where(several, seeds - 1, 0))
    expected = weights**2 @ alone.variance[several]
    return alone, float(np.var(together, ddof=1) / expected), seeds - 1


def _shares(variances: Array) -> Array:
    """Weights that are one over the variance, and add up to 1."""
    return (1 / variances) / (1 / variances).sum()


def _shifts(means: Sequence[_Mean]) -> tuple[tuple[Shift | None, ...], Shift | None]:
    """The tables' means and the mean of all."""
    inflation = _shrunken(np.array([mean.inflation for mean in means]), np.array([mean.freedom for mean in means]))
    values, alone = (np.array([getattr(mean, name) for mean in means]) for name in ("value", "variance"))
    variances = alone * np.maximum(inflation.variance, 1)
    known = np.isfinite(values) & (inflation.freedom > 0)
    value, p = _together(values[known], alone[known], variances[known], inflation.freedom[known])
    corrected = _corrected(np.append(_student_p(values, variances, inflation.freedom), p))
    each = [Shift(float(v), float(q)) if k else None for v, q, k in zip(values, corrected, known, strict=False)]
    return tuple(each), Shift(value, float(corrected[-1])) if np.isfinite(p) else None


def _together(values: Array, alone: Array, variances: Array, freedom: Array) -> tuple[float, float]:
    """The mean of several tables' means and its p; NaN of fewer than two.

    Each is weighed by one over its variance were its rows independent (alone): what they share is too uncertain to
    choose tables by. Degrees of freedom are those of one table, since all were drawn to the same mean.
    """
    if len(values) < 2:
        return np.nan, np.nan
    weights = _shares(alone)
    value = weights @ values
    return float(value), float(_student_p(value, weights**2 @ variances, freedom.min()))


def _student_p(value: Array, variance: Array, freedom: Array) -> Array:
    """Two-sided p of Student's t; NaN where there is no value or no degree of freedom."""
    known = np.isfinite(value) & (np.asarray(freedom) > 0)
    size = np.abs(np.where(known, value, 0))
    t = np.divide(size, np.sqrt(variance), out=np.where(size > 0, np.inf, 0.0), where=np.asarray(variance) > 0)
    return np.where(known, 2 * stdtr(np.maximum(freedom, 1), -t), np.nan)
