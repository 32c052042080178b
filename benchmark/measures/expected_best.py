"""What the best of so many trials is worth: expected maxima over the number of trials. Pure functions of arrays.

Source: Dodge et al. 2019, "Show Your Work: Improved Reporting of Experimental Results", arXiv 1909.03004.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ferbench.benchmark.measures.metrics import Array

RESAMPLES = 2_000


def expected_best(values: ArrayLike, numbers: Sequence[int]) -> Array:
    """Expected maximum of n draws, with replacement, from these values, for each number n, as (..., numbers).

    The estimator of Dodge et al.: the i-th of N sorted values is the best of n with probability (i/N)^n - ((i-1)/N)^n.

    values: (..., N).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    count = ordered.shape[-1]
    if not count or min(numbers, default=1) < 1:
        raise ValueError("the best of no trial is not known")
    below = np.arange(count + 1) / count
    weights = np.diff(below[None] ** np.asarray(numbers)[:, None], axis=1)  # (numbers, N)
    return np.asarray(ordered @ weights.T)


def expected_best_interval(
    values: ArrayLike, numbers: Sequence[int], confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Array, Array]:
    """Lower and upper end of the percentile bootstrap over trials, for each number."""
    trials = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(trials), (resamples, len(trials)))
    found = expected_best(trials[draws], numbers)
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def ranks_of(scores: ArrayLike) -> list[int]:
    """Rank of each score, 1 for the highest; equal ones share the better rank."""
    found = np.asarray(scores, dtype=np.float64)
    return [1 + int((found > score).sum()) for score in found]


def agreement(one: ArrayLike, other: ArrayLike) -> float:
    """Kendall's tau-b of two rankings of the same rows: 1 where they agree on every pair, -1 where on none, 0 where
    either tells no pair apart."""
    a, b = (np.sign(np.subtract.outer(np.asarray(x, float), np.asarray(x, float))) for x in (one, other))
    upper = np.triu_indices(len(a), 1)
    told = np.sqrt(np.abs(a[upper]).sum() * np.abs(b[upper]).sum())
    return float((a[upper] * b[upper]).sum() / told) if told else 0.0
