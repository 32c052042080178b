"""The decision on times, on samples whose difference is known."""

from __future__ import annotations

import numpy as np
import pytest

from ferbench.benchmark.gate.latency import Comparison, compare_samples, compare_times, judge_times


def times(seconds: float, seed: int, samples: int = 20, noise: float = 0.02) -> list[float]:
    """Mostly close to `seconds`; now and then something else took the processor."""
    rng = np.random.default_rng(seed)
    taken = seconds * np.exp(rng.normal(0, noise, samples)) * np.where(rng.random(samples) < 0.1, 3, 1)
    return taken.tolist()


def test_the_ratio_and_its_interval_are_those_of_the_samples() -> None:
    found = compare_samples(times(0.004, 0), times(0.0046, 1))
    assert found.ratio == pytest.approx(1.15, abs=0.02)
    assert found.interval[0] < 1.15 < found.interval[1]
    assert found.p < 1e-5


def test_the_interval_holds_the_true_ratio_about_as_often_as_it_says() -> None:
    held = []
    for trial in range(200):
        low, high = compare_samples(times(1.0, 2 * trial), times(1.0, 2 * trial + 1)).interval
        held.append(low <= 1 <= high)
    assert 0.9 <= np.mean(held) <= 0.99


@pytest.mark.parametrize(
    ("ratio", "p", "mark"),
    [
        (1.11, 0.001, "worse"),
        (1.11, 0.002, "same"),
        (1.10, 0.0001, "same"),
        (0.95, 0.0001, "same"),
        (0.85, 0.0001, "better"),
        (0.85, 0.01, "same"),
    ],
)
def test_a_change_of_speed_counts_beyond_the_ratio_and_beyond_chance(ratio: float, p: float, mark: str) -> None:
    assert judge_times(Comparison(ratio, (ratio, ratio), p)) == mark


def test_a_slowdown_must_be_confirmed_and_the_second_measurement_is_the_one_reported() -> None:
    base, slow, calm = times(0.004, 0), times(0.005, 1), times(0.004, 2)
    once = compare_times("c3d", "training step", base, slow)
    assert (once.mark, once.reason) == ("worse", "measured once")
    confirmed = compare_times("c3d", "training step", base, slow, (base, times(0.0046, 3)))
    assert confirmed.mark == "worse"
    assert confirmed.change == pytest.approx(1.15, abs=0.02)
    assert confirmed.reason.endswith("at first, confirmed")
    assert confirmed.what == "training step, ms"
    assert confirmed.base == pytest.approx(4, rel=0.02)
    refuted = compare_times("c3d", "training step", base, slow, (base, calm))
    assert refuted.mark == "same"
    assert refuted.reason.endswith("at first, not when measured again")


def test_fifteen_percent_is_found_and_nothing_is_not() -> None:
    """The decision alone, on made samples: 200 of each."""
    marks = {ratio: [compare_times("a", "b", times(1, 10 * i), times(ratio, 10 * i + 1)).mark for i in range(200)]
             for ratio in (1.0, 1.15)}  # fmt: skip
    assert marks[1.0].count("worse") == 0
    assert marks[1.15].count("worse") >= 190


@pytest.mark.parametrize("broken", [[0.1] * 4, [0.1] * 5 + [0.0], [0.1] * 5 + [float("nan")]])
def test_samples_that_cannot_be_times_are_refused(broken: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 5 positive times a side"):
        compare_samples(times(0.1, 0), broken)
