"""Expected maxima against every draw there is, and intervals against what they claim."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import kendalltau

from ferbench.benchmark.measures.expected_best import agreement, expected_best, expected_best_interval, ranks_of


@pytest.mark.parametrize("values", [[0.3], [0.1, 0.5], [0.2, 0.2, 0.7], [0.4, 0.1, 0.9, -0.3]])
def test_the_expected_best_is_the_mean_over_every_draw(values: list[float]) -> None:
    for number in (1, 2, 3, 4):
        draws = [max(draw) for draw in product(values, repeat=number)]
        assert expected_best(values, [number])[0] == pytest.approx(np.mean(draws))


def test_it_rises_with_the_number_from_the_mean_towards_the_best() -> None:
    values = np.random.default_rng(0).random(30)
    found = expected_best(values, range(1, 400))
    assert found[0] == pytest.approx(values.mean())
    assert (np.diff(found) > 0).all()
    assert found[-1] == pytest.approx(values.max(), abs=1e-3)


def test_many_sets_at_once_are_each_alone() -> None:
    values = np.random.default_rng(1).random((4, 7))
    each = [expected_best(row, [1, 3]) for row in values]
    assert np.allclose(expected_best(values, [1, 3]), each)


def test_no_trial_has_no_best() -> None:
    with pytest.raises(ValueError, match="the best of no trial"):
        expected_best([], [1])
    with pytest.raises(ValueError, match="the best of no trial"):
        expected_best([0.5], [0])


def test_the_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    """With one trial the expected best is the mean, whose truth is known."""
    rng = np.random.default_rng(2)
    intervals = [expected_best_interval(rng.normal(0.5, 0.1, 30), [1], resamples=400, seed=i) for i in range(300)]
    covered = np.mean([low[0] <= 0.5 <= high[0] for low, high in intervals])
    assert 0.89 <= covered <= 0.98


def test_the_interval_is_that_of_every_resample() -> None:
    values = [0.1, 0.4, 0.8]
    every = [expected_best(draw, [2])[0] for draw in product(values, repeat=3)]
    low, high = expected_best_interval(values, [2], confidence=0.8, resamples=20_000)
    assert low[0] == pytest.approx(np.quantile(every, 0.1), abs=0.02)
    assert high[0] == pytest.approx(np.quantile(every, 0.9), abs=0.02)


def test_ranks_and_their_agreement() -> None:
    assert ranks_of([0.2, 0.9, 0.2, 0.5]) == [3, 1, 3, 2]
    rng = np.random.default_rng(3)
    for _ in range(20):
        one, other = rng.integers(0, 5, 8), rng.integers(0, 5, 8)
        assert agreement(one, other) == pytest.approx(kendalltau(one, other).statistic)
    assert agreement([1, 1], [1, 2]) == 0.0
