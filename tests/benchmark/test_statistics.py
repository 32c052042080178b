"""Intervals and paired tests on synthetic signals, and against a plain loop over scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmark.metrics import METRICS
from benchmark.statistics import (
    NOT_PREDICTED,
    bootstrap_interval,
    interval_of,
    mcnemar,
    paired_bootstrap,
    resampled,
    score,
)

CLASSES = 4


def experiment(
    seed: int, subjects: int = 20, each: int = 12, spread: float = 0.25
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, predictions and subjects; each subject has a skill of their own, so their samples go together."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(subjects), each)
    skill = np.clip(rng.normal(0.6, spread, subjects), 0, 1)[who]
    labels = rng.integers(CLASSES, size=who.size)
    other = (labels + rng.integers(1, CLASSES, size=who.size)) % CLASSES
    return labels, np.where(rng.random(who.size) < skill, labels, other), who


def abaw(labels: np.ndarray, predicted: np.ndarray) -> float:
    f1 = f1_score(labels, predicted, average="macro", zero_division=0)
    return 0.67 * f1 + 0.33 * accuracy_score(labels, predicted)


def test_subject_resamples_equal_a_plain_loop() -> None:
    """The same draws, samples really copied, scored by scikit-learn: the same values to the last digits."""
    labels, predicted, who = experiment(0)
    found = resampled(labels, predicted, who, CLASSES, resamples=50, seed=7)[:, 0]
    rng = np.random.default_rng(7)
    for value, drawn in zip(found, rng.integers(20, size=(50, 20)), strict=True):
        picked = np.concatenate([np.flatnonzero(who == subject) for subject in drawn])
        assert value == pytest.approx(abaw(labels[picked], predicted[picked]), abs=1e-12)


def test_sample_resamples_equal_a_plain_loop() -> None:
    labels, predicted, _ = experiment(1)
    found = resampled(labels, predicted, None, CLASSES, resamples=50, seed=3)[:, 0]
    cells, sizes = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    draws = np.random.default_rng(3).multinomial(labels.size, sizes / labels.size, size=50)
    for value, times in zip(found, draws, strict=True):
        copied = np.repeat(cells, times, axis=1)
        assert value == pytest.approx(abaw(*copied), abs=1e-12)


@pytest.mark.parametrize("clusters", [True, False])
def test_memory_chunks_change_nothing(clusters: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted, who = experiment(2)
    groups = who if clusters else None
    whole = resampled(labels, predicted, groups, CLASSES, resamples=100)
    monkeypatch.setattr("benchmark.statistics._CHUNK_NUMBERS", 130)
    np.testing.assert_array_equal(resampled(labels, predicted, groups, CLASSES, resamples=100), whole)


def test_subject_interval_covers_where_the_sample_interval_fails() -> None:
    """200 experiments with correlated samples; the truth is a very large experiment. Binomial noise is about 1.5%."""
    truth = score(*experiment(99, subjects=40_000, each=12)[:2], CLASSES)[0]
    covered = {"subject": 0, "sample": 0}
    for seed in range(200):
        labels, predicted, who = experiment(1000 + seed, subjects=40)
        for unit, groups in (("subject", who), ("sample", None)):
            interval = bootstrap_interval(labels, predicted, groups, CLASSES, resamples=400, seed=seed)
            assert interval.unit == unit
            covered[unit] += interval.low <= truth <= interval.high
    assert 0.89 <= covered["subject"] / 200 <= 0.99
    assert covered["sample"] / 200 < 0.80


def test_an_interval_holds_its_score_and_is_the_same_again() -> None:
    labels, predicted, who = experiment(4)
    for metric in METRICS:
        interval = bootstrap_interval(labels, predicted, who, CLASSES, metric, resamples=500, seed=1)
        assert interval.low < score(labels, predicted, CLASSES, metric)[0] < interval.high
        assert interval == bootstrap_interval(labels, predicted, who, CLASSES, metric, resamples=500, seed=1)


def test_subjects_may_have_names() -> None:
    labels, predicted, who = experiment(5)
    names = np.array([f"P{subject:03d}" for subject in who], dtype=object)
    assert bootstrap_interval(labels, predicted, names, CLASSES, resamples=200) == bootstrap_interval(
        labels, predicted, who, CLASSES, resamples=200
    )


def test_several_results_are_averaged_on_joint_resamples() -> None:
    labels, first, who = experiment(6)
    second = experiment(7)[1]
    joint = bootstrap_interval(labels, np.stack([first, second]), who, CLASSES, resamples=300, seed=2)
    one, two = (resampled(labels, guess, who, CLASSES, resamples=300, seed=2)[:, 0] for guess in (first, second))
    assert joint == interval_of((one + two) / 2, 20, "subject")


def test_samples_that_a_result_lacks_are_not_scored() -> None:
    labels, predicted, who = experiment(8)
    half = np.where(who < 10, predicted, NOT_PREDICTED)
    kept = who < 10
    assert score(labels, half, CLASSES)[0] == pytest.approx(abaw(labels[kept], predicted[kept]))
    assert np.isfinite(resampled(labels, half, who, CLASSES, resamples=2000)).all()


def test_paired_bootstrap_sees_a_difference_and_its_sign() -> None:
    labels, a, who = experiment(9)
    worse = np.where(np.random.default_rng(0).random(a.size) < 0.2, (labels + 1) % CLASSES, a)
    loss = paired_bootstrap(labels, a, worse, who, CLASSES, resamples=2000)
    assert loss.value == pytest.approx(abaw(labels, worse) - abaw(labels, a))
    assert loss.interval.low < loss.value < loss.interval.high < 0
    assert loss.p < 0.001
    gain = paired_bootstrap(labels, worse, a, who, CLASSES, resamples=2000)
    assert (gain.value, gain.p) == (pytest.approx(-loss.value), loss.p)


def test_paired_bootstrap_of_the_same_predictions_is_no_difference() -> None:
    labels, a, who = experiment(10)
    same = paired_bootstrap(labels, a, a, who, CLASSES, resamples=200)
    assert (same.value, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1)


def test_paired_bootstrap_rarely_tells_equals_apart() -> None:
    """Two results with the same skill a subject: p < 0.05 in about 5% of experiments."""
    false_alarms = 0
    for seed in range(200):
        labels, a, who = experiment(seed, subjects=40)
        right = np.bincount(who, a == labels, 40) / 12
        rng = np.random.default_rng(seed + 10_000)
        b = np.where(rng.random(a.size) < right[who], labels, (labels + rng.integers(1, CLASSES, a.size)) % CLASSES)
        false_alarms += paired_bootstrap(labels, a, b, who, CLASSES, resamples=300, seed=seed).p < 0.05
    assert false_alarms / 200 <= 0.08


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (3, 9), (10, 10), (2, 25), (400, 520)])
def test_mcnemar_is_the_exact_binomial_test(only_a: int, only_b: int) -> None:
    labels = np.zeros(only_a + only_b + 5, dtype=int)
    a, b = labels.copy(), labels.copy()
    b[:only_a] = 1
    a[only_a : only_a + only_b] = 1
    discordant = only_a + only_b
    tail = sum(math.comb(discordant, k) for k in range(min(only_a, only_b) + 1))
    assert mcnemar(labels, a, b) == pytest.approx(min(1.0, 2 * tail / 2**discordant))


def test_inputs_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ValueError, match="same samples"):
        bootstrap_interval([0, 1], [0], None, 2)
    with pytest.raises(ValueError, match="same samples"):
        bootstrap_interval([], [], None, 2)
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.1, found 0\.\.7"):
        bootstrap_interval([0, 7], [0, 1], None, 2)
    with pytest.raises(ValueError, match="predictions must lie"):
        bootstrap_interval([0, 1], [0, 7], None, 2)
