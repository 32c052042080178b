"""How far probabilities can be taken at their word: expected calibration error, and the temperature that mends it.

Guo, Pleiss, Sun, Weinberger: "On Calibration of Modern Neural Networks", ICML 2017 (arXiv 1706.04599).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]

BINS = 15
"""Of equal width, as in the paper."""
LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures that are looked at: a model that is always right has none of its own."""
_FLOOR = 1e-12


def calibrated(probabilities: Array, temperature: float) -> Array:
    """(N,C) probabilities with their logits divided by a temperature."""
    logits = np.log(np.maximum(probabilities, _FLOOR)) / temperature
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def fitted_temperature(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """The temperature under which (N,C) probabilities say the least wrong of labels (N,): the least log loss."""

    def loss(log_temperature: float) -> float:
        own = calibrated(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(own, _FLOOR)).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(probabilities: Array, labels: NDArray[np.int64]) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, 0 to 1, mean over the samples of a bin."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    gap = np.abs(np.bincount(place, confidence, BINS) - np.bincount(place, right, BINS))
    return float(gap[count > 0].sum() / len(labels))


def calibration(
    chosen_on: Array, chosen_labels: NDArray[np.int64], answers: Array, labels: NDArray[np.int64]
) -> dict[str, float]:
    """The temperature that the validation part asks for, and the calibration error of the test part before and after.

    chosen_on, answers: (N,C) probabilities of either part.
    """
    temperature = fitted_temperature(chosen_on, chosen_labels)
    return {
        "temperature": temperature,
        "error": calibration_error(answers, labels),
        "calibrated_error": calibration_error(calibrated(answers, temperature), labels),
    }
