"""What chance alone does to a score: reruns of the same cells -> the margin that a loss must exceed.

A cell that is run again with the same code on the same machine gives the same predictions to the bit, so most changes
move nothing at all. What moves a score without making anything worse is a new draw: another seed, or sums in another
order (another number of threads, another machine, a rewritten but equal formula), after which training goes another
way. The reruns draw anew on purpose, and their spread is the yardstick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

FAMILY_ALPHA = 0.05
"""Chance that anything in a gate exceeds its margin when every cell is drawn anew and nothing is worse. Half of it is
for the cells, each alone; half for their mean, which is the one that sees a fault in what they share."""
SMALLEST_MARGIN = 0.01
"""No loss below it is called one, however little the reruns differed."""
SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True)
class Rerun:
    """The score of a cell that was run again, and how: with which seed, on how many threads."""

    seed: int
    threads: int
    score: float


Reruns = Mapping[str, Sequence[Rerun]]
"""By the cell's name; the first is the baseline's own run."""


@dataclass(frozen=True)
class Group:
    """How several cells are read as one: the weight of each in their mean, and the margin of that mean."""

    weights: tuple[float, ...]
    margin: float


def margins(reruns: Reruns) -> dict[str, float]:
    """The margin of each cell: what the difference of two draws exceeds with a chance of FAMILY_ALPHA / 2 / cells.

    Raises:
        ValueError: a cell has fewer than two seeds.
    """
    variance = _variances(reruns)
    return {cell: _margin(own, FAMILY_ALPHA / 2 / len(variance)) for cell, own in variance.items()}


def group_of(reruns: Reruns, cells: Sequence[str]) -> Group:
    """Weights and margin of the mean over several cells, which two draws exceed with a chance of FAMILY_ALPHA / 2.

    A cell counts the more the less chance moves it (one over its variance). Draws of different architectures are
    independent, which makes the variance of the mean; but it is not taken to be smaller than what the reruns show.
    """
    variance = np.array([_variances(reruns)[cell] for cell in cells])
    weights = (1 / variance) / (1 / variance).sum()
    draws = zip(*([run.score for run in _one_a_seed(reruns[cell])] for cell in cells), strict=False)
    shown = float(np.var([float(weights @ draw) for draw in draws], ddof=1))
    expected = float((weights**2 * variance).sum())
    return Group(tuple(weights.tolist()), _margin(max(expected, shown), FAMILY_ALPHA / 2))


def _margin(variance: float, chance: float) -> float:
    return max(SMALLEST_MARGIN, NormalDist().inv_cdf(1 - chance) * math.sqrt(2 * variance))


def _variances(reruns: Reruns) -> dict[str, float]:
    """Variance of a draw of each cell. One of three numbers is easily too small by luck, so none is taken to be smaller
    than the median of all cells, nor so small that it would weigh down every other."""
    own = {cell: _variance(runs) for cell, runs in reruns.items()}
    least = max(float(np.median(list(own.values()))), SMALLEST_VARIANCE)
    return {cell: max(value, least) for cell, value in own.items()}


def _variance(runs: Sequence[Rerun]) -> float:
    """Variance of a draw: between seeds, or from one number of threads to another, whichever is larger."""
    seeds = [run.score for run in _one_a_seed(runs)]
    if len(seeds) < 2:
        raise ValueError("a spread needs runs with at least two seeds")
    first = runs[0]
    threads = [(run.score - first.score) ** 2 / 2 for run in runs if run.seed == first.seed and run is not first]
    return max(float(np.var(seeds, ddof=1)), float(np.mean(threads)) if threads else 0.0)


def _one_a_seed(runs: Sequence[Rerun]) -> list[Rerun]:
    """The first run of each seed."""
    first: dict[int, Rerun] = {}
    for run in runs:
        first.setdefault(run.seed, run)
    return list(first.values())
