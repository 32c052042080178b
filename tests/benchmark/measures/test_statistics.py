"""Intervals and paired tests on synthetic signals, and against a plain loop over scikit-learn."""

from __future__ import annotations

import math
from itertools import permutations, product
from math import factorial

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from ferbench.benchmark.measures import resampling
from ferbench.benchmark.measures.metrics import METRICS, confusion_matrix, measure, tallies
from ferbench.benchmark.measures.resampling import NOT_PREDICTED, resampled, resampled_means, score
from ferbench.benchmark.measures.statistics import (
    ALPHA,
    as_difference,
    bootstrap_interval,
    friedman,
    holm,
    interval_of,
    mcnemar,
    paired_bootstrap,
    pairwise_p,
    studentized_range_quantile,
    tie_groups,
    told_apart_p,
    training_spread,
)
from tests.benchmark.simulations import World, coverage, false_alarms

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


@pytest.mark.parametrize("num_classes", [2, 7, 8])
def test_two_classes_in_one_number_are_taken_apart_again(num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 subjects of 40 samples, nearly the most for which it is done: a resample of 4,000 of one class is exact."""
    rng = np.random.default_rng(5)
    labels, who = rng.integers(num_classes, size=4000), np.repeat(np.arange(100), 40)
    one, some = np.full(4000, num_classes - 1), rng.integers(num_classes, size=4000)
    every = np.stack([one, 0 * one, some, np.where(who < 50, some, NOT_PREDICTED)])
    paired: list[int] = []
    in_pairs = resampling._in_pairs
    monkeypatch.setattr(resampling, "_in_pairs", lambda counts: paired.append(len(counts)) or in_pairs(counts))
    found = resampled(labels, every, who, num_classes, resamples=200)
    assert paired == [num_classes]
    monkeypatch.setattr(resampling, "_MANY_UNITS", 101)
    np.testing.assert_array_equal(found, resampled(labels, every, who, num_classes, resamples=200))
    assert paired == [num_classes]


@pytest.mark.parametrize("clusters", [True, False])
def test_memory_chunks_change_nothing(clusters: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted, who = experiment(2)
    groups = who if clusters else None
    whole = resampled(labels, predicted, groups, CLASSES, resamples=100)
    monkeypatch.setattr("ferbench.benchmark.measures.resampling._CHUNK_NUMBERS", 130)
    np.testing.assert_array_equal(resampled(labels, predicted, groups, CLASSES, resamples=100), whole)


@pytest.mark.parametrize("classes_there", [CLASSES, CLASSES - 1])
def test_the_measure_that_ranks_is_drawn_as_it_is_measured(classes_there: int) -> None:
    """A class that is nowhere, a result that has only some subjects, one without mistakes: as `measure` has it."""
    labels, predicted, who = experiment(16, subjects=12, each=3)
    labels, predicted = labels % classes_there, predicted % classes_there
    every = np.stack([predicted, np.where(who < 2, predicted, NOT_PREDICTED), labels])
    drawn = np.random.default_rng(2).integers(12, size=(200, 12))
    found = resampled(labels, every, who, CLASSES, resamples=200, seed=2)
    expected = np.empty_like(found)
    for row, subjects in enumerate(drawn):
        picked = np.concatenate([np.flatnonzero(who == subject) for subject in subjects])
        for column, run in enumerate(every[:, picked]):
            there = run >= 0
            expected[row, column] = np.nan
            if there.any():
                matrix = confusion_matrix(labels[picked][there], run[there], CLASSES)
                expected[row, column] = measure(tallies(matrix), "abaw")
    missing = np.isnan(expected[:, 1])
    assert 0 < missing.sum() < 200
    expected[missing, 1] = np.nanmean(expected[:, 1])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_few_units_and_rows_of_several_seeds_are_drawn_the_same() -> None:
    """Of four subjects there are 35 resamples that differ, and each is scored once; rows are means of their seeds."""
    labels, _, who = experiment(17, subjects=4)
    every = np.stack([experiment(seed, subjects=4)[1] for seed in (17, 18, 19)])
    found = resampled(labels, every, who, CLASSES, resamples=400, seed=3)
    assert len(np.unique(found, axis=0)) <= 35
    for value, drawn in zip(found[:, 0], np.random.default_rng(3).integers(4, size=(400, 4)), strict=True):
        picked = np.concatenate([np.flatnonzero(who == subject) for subject in drawn])
        assert value == pytest.approx(abaw(labels[picked], every[0][picked]), abs=1e-12)
    rows = resampled(labels, every, who, CLASSES, resamples=400, seed=3, groups=[1, 0, 1])
    np.testing.assert_allclose(rows, np.stack([found[:, 1], found[:, [0, 2]].mean(axis=1)], axis=1), atol=1e-12)
    half = np.where(who < 2, every, NOT_PREDICTED)
    alone, together = (
        resampled(labels, half, who, CLASSES, resamples=400, groups=groups) for groups in (None, [0, 0, 0])
    )
    np.testing.assert_allclose(together[:, 0], alone.mean(axis=1), atol=1e-12)


def test_subject_interval_covers_where_the_sample_interval_fails() -> None:
    """Experiments with correlated samples, few subjects; 2,000 of each world are in docs/statistics.md. Binomial noise
    of 400 experiments is 1.1%."""
    found = coverage(World(subjects=10, each=12, spread=0.25, classes=4), 400, resamples=400)
    assert 0.92 <= found["subjects"] <= 0.98
    assert found["plain percentiles"] < found["subjects"]
    assert found["samples"] < 0.8


def test_equals_are_told_apart_in_at_most_one_experiment_of_twenty() -> None:
    world = World(subjects=20, each=6, spread=0.2, classes=6)
    assert false_alarms(world, 500, architectures=6) <= 0.07  # 0.05 but for the noise of 500 experiments
    assert false_alarms(World(20, 40, 0.3, 6), 40, architectures=6, over_samples=True) > 0.3


def test_the_spread_of_trainings_counts_where_there_are_several_seeds() -> None:
    """Equal architectures whose trainings differ more than subjects would make one believe."""
    world = World(subjects=40, each=12, spread=0.05, classes=6)
    assert false_alarms(world, 100, architectures=2, seeds=3, seed_spread=0.06) <= 0.08
    assert false_alarms(world, 100, architectures=2, seeds=1, seed_spread=0.06) > 0.3


def test_equals_with_several_seeds_have_the_same_p_as_a_pair_and_in_a_table() -> None:
    labels, a, who = experiment(11)
    others = [experiment(seed)[1] for seed in (12, 13, 14)]
    every = np.stack([a, *others])
    alone = paired_bootstrap(labels, every[:2], every[2:], who, CLASSES, resamples=500)
    drawn = resampled(labels, every, who, CLASSES, resamples=500, groups=[0, 0, 1, 1])
    table = pairwise_p(drawn, score(labels, every, CLASSES), [0, 0, 1, 1], 20)
    assert table[0, 1] == pytest.approx(alone.p)
    assert table[0, 1] == table[1, 0]
    assert table[0, 0] == 1


def test_a_row_takes_the_spread_of_all_trainings_or_its_own_where_that_is_larger() -> None:
    spread = training_spread([[0.5, 0.6], [0.5, 0.5, 0.5], [0.4]])
    of_all = (1 * 0.005 + 2 * 0.0) / 3
    assert spread.variances == pytest.approx([0.005 / 2, of_all / 3, of_all / 1])
    assert spread.freedom == pytest.approx(1)
    alone = training_spread([[0.5], [0.6]])
    assert (alone.variances.tolist(), alone.freedom) == ([0, 0], 0)
    equal = training_spread([[0.5, 0.7, 0.6]] * 9)
    assert equal.variances == pytest.approx([0.01 / 3] * 9)
    assert equal.freedom == pytest.approx(18)


def test_of_many_rows_with_three_seeds_the_worst_is_told_from_the_best() -> None:
    """Each row by itself knows its spread with two degrees of freedom only, and there are 300 pairs."""
    rng = np.random.default_rng(3)
    labels, who = rng.integers(CLASSES, size=480), np.repeat(np.arange(40), 12)
    groups = np.repeat(np.arange(25), 3)
    skills = np.where(groups == 24, 0.2, 0.6) + rng.normal(0, 0.02, groups.size)
    right = rng.random((groups.size, labels.size)) < skills[:, None]
    every = np.where(right, labels, (labels + 1) % CLASSES)
    drawn = resampled(labels, every, who, CLASSES, resamples=1000, groups=groups)
    p = told_apart_p(drawn, score(labels, every, CLASSES), groups, 40)
    assert (p[24, :24] < 0.05).all()
    assert (p[:24, :24] >= 0.05).all()


def test_the_correction_for_pairs_is_no_more_than_that_for_independent_ones() -> None:
    """Of rows that go together the smallest p is not as small by chance as of ones that do not (Bonferroni)."""
    rng = np.random.default_rng(8)
    drawn = rng.normal(size=(4000, 8)) @ np.linalg.cholesky(np.full((8, 8), 0.0004) + 0.0006 * np.eye(8)).T
    scores = 0.5 + np.array([0.0, 0.0, 0.01, 0.02, 0.05, 0.08, 0.1, 0.14])
    raw = pairwise_p(drawn, scores, np.arange(8), 1000)
    corrected = told_apart_p(drawn, scores, np.arange(8), 1000)
    pairs = np.triu_indices(8, 1)
    assert (corrected >= raw).all()
    assert (corrected[pairs] <= holm(raw[pairs]) + 0.02).all()  # 0.02: the draws' own noise
    assert (np.sort(corrected[pairs]) == corrected[pairs][np.argsort(raw[pairs], kind="stable")]).all()
    assert told_apart_p(drawn, scores, np.arange(8), 1000, tested=[0, 7])[0, 1] == pytest.approx(raw[0, 7], abs=0.005)


def test_the_smallest_p_of_all_pairs_is_corrected_as_tukeys_range_is() -> None:
    """Rows of equal and independent noise: then the corrected p is that of the studentized range."""
    rng = np.random.default_rng(9)
    drawn, count = rng.normal(0, 0.01, size=(100_000, 10)), 10
    scores = np.zeros(count)
    scores[0] = 0.01 * studentized_range_quantile(count)
    assert told_apart_p(drawn, scores, np.arange(count), 10**6, resamples=100_000)[0, 1] == pytest.approx(
        0.05, abs=0.004
    )


def test_a_single_subject_decides_nothing() -> None:
    labels, a, _ = experiment(15)
    wrong = (labels + 1) % CLASSES
    assert paired_bootstrap(labels, a, wrong, np.zeros(labels.size), CLASSES, resamples=50).p == 1


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])
    assert holm([]).size == 0


def test_rows_that_are_not_told_apart_share_a_group() -> None:
    scores = [0.5, 0.9, 0.7, 0.8]
    apart = np.zeros((4, 4), dtype=bool)
    for one, other in ((1, 0), (1, 2), (3, 0)):  # 0.9 from 0.5 and from 0.7; 0.8 from 0.5
        apart[one, other] = apart[other, one] = True
    assert tie_groups(scores, apart) == [(1, 3), (3, 2), (2, 0)]
    assert tie_groups(scores, np.zeros((4, 4), dtype=bool)) == [(1, 3, 2, 0)]
    assert tie_groups([], np.zeros((0, 0), dtype=bool)) == []


@pytest.mark.parametrize("seed", range(5))
def test_no_pair_that_is_tied_is_torn_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, apart = rng.random(12), rng.random((12, 12)) < 0.5
    apart = apart | apart.T
    groups = tie_groups(scores, apart)
    for one in range(12):
        for other in range(one):
            assert apart[one, other] or any({one, other} <= set(group) for group in groups)


def test_friedman_agrees_with_scipy() -> None:
    scores = np.random.default_rng(0).random((12, 5))
    ranks = stats.rankdata(-scores, axis=1)
    found = friedman(ranks)
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    statistic = 11 * chi2 / (12 * 4 - chi2)
    assert found.statistic == pytest.approx(statistic)
    assert found.p == pytest.approx(stats.f.sf(statistic, 4, 44))
    assert found.mean_ranks == pytest.approx(ranks.mean(axis=0))


def test_friedman_agrees_with_scipy_where_ranks_are_tied() -> None:
    scores = np.random.default_rng(1).integers(3, size=(9, 4))
    chi2 = stats.friedmanchisquare(*scores.T).statistic
    found = friedman(stats.rankdata(-scores, axis=1))
    assert found.statistic == pytest.approx(8 * chi2 / (9 * 3 - chi2))


def test_critical_values_are_those_of_demsar() -> None:
    """Table 5 of the paper, 5%; and scipy's distribution."""
    table = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    assert [studentized_range_quantile(k) / np.sqrt(2) for k in range(2, 11)] == pytest.approx(table, abs=2e-3)
    assert studentized_range_quantile(29) == pytest.approx(stats.studentized_range.ppf(0.95, 29, np.inf), abs=1e-5)


def test_few_data_sets_cannot_decide() -> None:
    order = np.arange(1, 8)
    assert friedman([order] * 2).too_few
    assert not friedman([order] * 2).decides
    assert friedman([np.arange(1, 3)] * 2).critical_difference > 1
    assert friedman([order] * 12).decides
    assert not friedman([np.roll(order, shift) for shift in range(7)] * 2).decides


def test_means_of_videos_are_drawn_by_subject() -> None:
    values = np.array([[0.1, 0.3, 0.5, 0.9, 0.2]])
    owners = np.array(["a", "a", "b", "c", "c"])
    found = resampled_means(values, owners, resamples=40, seed=5)[:, 0]
    for value, drawn in zip(found, np.random.default_rng(5).integers(3, size=(40, 3)), strict=True):
        picked = np.concatenate([values[0, owners == "abc"[subject]] for subject in drawn])
        assert value == pytest.approx(picked.mean())


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
    assert (same.value, same.p) == (0, 1)
    assert -0.5 < same.interval.low < 0 < same.interval.high < 0.5


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


@pytest.mark.parametrize("units", [1, 2, 3, 5, 8, 20])
def test_an_interval_holds_zero_exactly_when_p_is_above_five_percent(units: int) -> None:
    rng = np.random.default_rng(units)
    who = np.repeat(np.arange(units), 6)
    labels = np.tile(np.arange(CLASSES), 1 + 6 * units // CLASSES)[: 6 * units]
    decided = 0
    for trial in range(40):
        a, b = (np.where(rng.random(labels.size) < skill, labels, rng.integers(CLASSES, size=labels.size))
                for skill in (0.3, rng.uniform(0.2, 0.95)))  # fmt: skip
        found = paired_bootstrap(labels, a, b, who, CLASSES, resamples=300, seed=trial)
        assert (found.interval.low <= 0 <= found.interval.high) == (found.p >= ALPHA)
        assert found.interval.low < found.value < found.interval.high
        decided += found.p < ALPHA
    assert decided == 0 if units == 1 else decided > 0 or units == 2


@pytest.mark.parametrize(("units", "low"), [(1, 0.025), (5, 0.478), (10, 0.692)])
def test_an_interval_of_what_is_all_right_is_the_exact_bound(units: int, low: float) -> None:
    labels, who = np.arange(4 * units) % 2, np.repeat(np.arange(units), 4)
    found = bootstrap_interval(labels, labels, who, 2, resamples=100)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-3), 1.0)
    wrong = bootstrap_interval(labels, 1 - labels, who, 2, resamples=100)
    assert (wrong.low, wrong.high) == (0.0, pytest.approx(1 - low, abs=1e-3))


def test_units_that_are_all_alike_leave_an_interval_of_some_width() -> None:
    found = interval_of(np.full(100, 0.4), 8, "subject")
    assert 0 < found.low < 0.4 < found.high < 1
    of_values = interval_of(np.full(100, 0.4), 8, "subject", lowest=-1.0)
    assert of_values.low < found.low


@pytest.mark.parametrize("units", [2, 5, 6, 12])
def test_where_every_unit_shows_the_same_difference_p_is_that_of_the_sign_test(units: int) -> None:
    found = as_difference(0.05, np.full(100, 0.05), units, "subject")
    assert found.p == pytest.approx(2 * 0.5**units)
    assert (found.interval.low > 0) == (found.p < ALPHA)


def test_friedmans_test_is_exact_for_few_rows() -> None:
    assert friedman(np.array([[1, 2]] * 5)).p == pytest.approx(2 * 0.5**5)
    assert friedman(np.array([[1, 2, 3]] * 4)).p == pytest.approx((1 / 6) ** 3)
    assert friedman(np.array([[1.5, 1.5]] * 6)).p == 1
    ranks = np.array([[1, 2, 3], [1, 3, 2], [1, 2, 3], [2, 1, 3], [1, 2, 3]])
    every = [np.array(orders) for orders in product(permutations((1, 2, 3)), repeat=5)]
    spread = [np.square(orders.sum(axis=0)).sum() for orders in every]
    expected = np.mean(np.array(spread) >= np.square(ranks.sum(axis=0)).sum())
    assert friedman(ranks).p == pytest.approx(expected)


def test_friedmans_test_of_many_rows_is_never_surer_than_that_all_agree() -> None:
    assert friedman(np.tile(np.arange(1.0, 7), (5, 1))).p == pytest.approx(factorial(6) ** -4.0)
