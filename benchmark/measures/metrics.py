"""Confusion counts to accuracy, F1, ABAW and UAR. Pure functions of arrays.

Every measure here is a function of three counts a class: how often it was hit, how often it was true, how often it was
predicted. `Tallies` holds these three for one result or for a stack of them, so the bootstrap resamples 3 C numbers
instead of C x C.

A score is a mean over classes, and which classes it is taken over changes it. Macro F1 is over the classes present in
truth or prediction and UAR over the classes present in truth, both scikit-learn's defaults (`f1_score`,
`balanced_accuracy_score`). The ABAW measure is that of the ABAW 2021 challenge, arXiv 2106.15318.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Literal["accuracy", "f1_macro", "f1_weighted", "abaw", "uar"]
METRICS: tuple[Metric, ...] = ("accuracy", "f1_macro", "f1_weighted", "abaw", "uar")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Tallies:
    """Counts a class, each of shape (..., C); the leading axes are a stack of results."""

    hits: NDArray[Any]
    truth: NDArray[Any]
    predicted: NDArray[Any]


@dataclass(frozen=True)
class Scores:
    """The measures of one result, each in 0..1; F1 is None for a class absent in truth and prediction."""

    accuracy: float
    f1_macro: float
    f1_weighted: float
    abaw: float
    uar: float
    f1_per_class: list[float | None]


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Counts of shape (C, C): row = truth, column = prediction. Both inputs are (N,) class indices in 0..C-1."""
    truth, guess = np.asarray(labels), np.asarray(predicted)
    if truth.shape != guess.shape or truth.ndim != 1:
        raise ValueError(f"labels {truth.shape} and predictions {guess.shape} must be one list each, equally long")
    if truth.size == 0:
        raise ValueError("no samples: a confusion matrix needs at least one")
    both = np.stack([truth, guess])
    if both.min() < 0 or both.max() >= num_classes:
        raise ValueError(f"classes must lie in 0..{num_classes - 1}, found {both.min()}..{both.max()}")
    counts = np.bincount(truth.astype(np.int64) * num_classes + guess, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def tallies(confusion: ArrayLike) -> Tallies:
    """The three counts a class of a confusion matrix or a stack of them, (..., C, C)."""
    counts = np.asarray(confusion)
    return Tallies(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2))


def f1_per_class(counts: Tallies) -> Array:
    """F1 of each class, (..., C); 0 for a class absent in truth and prediction."""
    return _ratio(2 * counts.hits, counts.truth + counts.predicted)


def measure(counts: Tallies, metric: Metric, axis: int = -1) -> Array:
    """One measure for each result of the stack, (...); a result without any sample gives NaN. axis: that of classes."""
    total = counts.truth.sum(axis)
    if metric == "accuracy":
        value = _ratio(counts.hits.sum(axis), total)
    elif metric == "f1_macro":
        either = counts.truth + counts.predicted
        value = _ratio(_ratio(2 * counts.hits, either).sum(axis), (either > 0).sum(axis))
    elif metric == "f1_weighted":
        value = _ratio((f1_per_class(counts) * counts.truth).sum(axis), total)
    elif metric == "uar":
        value = _ratio(_ratio(counts.hits, counts.truth).sum(axis), (counts.truth > 0).sum(axis))
    elif metric == "abaw":
        value = 0.67 * measure(counts, "f1_macro", axis) + 0.33 * measure(counts, "accuracy", axis)
    else:
        raise ValueError(f"unknown metric {metric!r}; there are {', '.join(METRICS)}")
    return np.where(total > 0, value, np.nan)


def scores(confusion: ArrayLike) -> Scores:
    """All measures of one confusion matrix (C, C); without a single sample it raises ValueError."""
    counts = tallies(confusion)
    if counts.truth.ndim != 1:
        raise ValueError(f"scores takes one (C, C) matrix, not {np.shape(confusion)}; measure takes a stack")
    if counts.truth.sum() == 0:
        raise ValueError("the confusion matrix is empty: nothing was scored")
    present = (counts.truth + counts.predicted) > 0
    each = [float(f1) if there else None for f1, there in zip(f1_per_class(counts), present, strict=True)]
    return Scores(**{metric: float(measure(counts, metric)) for metric in METRICS}, f1_per_class=each)


@dataclass(frozen=True)
class RegressionScores:
    """The measures of predicted values."""

    ccc: float
    """Mean over the videos of Lin's concordance correlation coefficient, -1..1: SENDv1's official score."""
    ccc_per_video: dict[str, float]
    rmse: float
    """Root of the mean squared error over all samples, in the target's unit."""


def concordance(target: ArrayLike, value: ArrayLike) -> float:
    """Lin's concordance correlation coefficient of two (N,) series, with population variances; 0 where both are
    constant and differ, 1 where they are the same.

    Raises:
        ValueError: a value is no finite number, which agrees with nothing and cannot be left out.
    """
    x, y = np.asarray(target, dtype=np.float64), np.asarray(value, dtype=np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("concordance is of finite numbers: a target or a value is NaN or infinite")
    shift = (x.mean() - y.mean()) ** 2
    spread = x.var() + y.var() + shift
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return float(2 * covariance / spread) if spread > 0 else 1.0


def regression_scores(target: NDArray[Any], value: NDArray[Any], video: NDArray[Any]) -> RegressionScores:
    """The measures of (N,) predicted values, where `video` (N,) names the video of each."""
    if not len(target):
        raise ValueError("no samples: nothing was scored")
    order = np.argsort(video, kind="stable")
    names, first = np.unique(video[order], return_index=True)
    each = {
        str(name): concordance(target[rows], value[rows])
        for name, rows in zip(names, np.split(order, first[1:]), strict=True)
    }
    rmse = float(np.sqrt(np.mean((np.asarray(target) - np.asarray(value)) ** 2)))
    return RegressionScores(ccc=float(np.mean(list(each.values()))), ccc_per_video=each, rmse=rmse)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Array:
    """Division by a count, where 0 / 0 is 0."""
    return np.divide(numerator, np.maximum(denominator, 1), dtype=np.float64)
