"""Calibration: the temperature that a known miscalibration asks for, and the error before and after."""

from __future__ import annotations

import numpy as np
import pytest

from ferbench.benchmark.measures.calibration import calibrated, calibration_error, fitted_temperature


def drawn(temperature: float, samples: int = 20_000, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too sure by a factor of their logits, and labels that follow the honest ones."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (samples, classes))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (honest.cumsum(1) > rng.random((samples, 1))).argmax(1)
    said = np.exp(logits * temperature)
    return said / said.sum(1, keepdims=True), labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_known_fault_is_found(temperature: float) -> None:
    said, labels = drawn(temperature)
    found = fitted_temperature(said, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    before, after = calibration_error(said, labels), calibration_error(calibrated(said, found), labels)
    assert after < 0.015
    assert before > 3 * after or temperature == 1


def test_a_temperature_changes_no_answer() -> None:
    said, _ = drawn(2.0, 500)
    assert np.array_equal(calibrated(said, 3.3).argmax(1), said.argmax(1))
    assert np.allclose(calibrated(said, 1.0), said)
    assert np.allclose(calibrated(said, 3.3).sum(1), 1)


def test_the_error_is_the_distance_of_confidence_and_accuracy() -> None:
    said = np.tile([0.8, 0.2], (100, 1))
    labels = np.repeat([0, 1], [50, 50])
    assert calibration_error(said, labels) == pytest.approx(0.3)
    assert calibration_error(np.tile([1.0, 0.0], (10, 1)), np.zeros(10, dtype=np.int64)) == 0


def test_a_model_that_is_always_right_has_a_bounded_temperature() -> None:
    said = np.tile([0.6, 0.4], (50, 1))
    assert 0.05 <= fitted_temperature(said, np.zeros(50, dtype=np.int64)) < 0.1
