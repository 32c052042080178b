"""Margins from reruns whose spread is known."""

from __future__ import annotations

import numpy as np
import pytest

from ferbench.benchmark.gate.chance import SMALLEST_MARGIN, Rerun, group_of, margins


def runs(*scores: float, threads: float | None = None) -> list[Rerun]:
    """One run a seed, and one of the first seed on two threads."""
    found = [Rerun(seed, 1, score) for seed, score in enumerate(scores)]
    return found if threads is None else [*found, Rerun(0, 2, threads)]


def test_the_margin_is_what_the_difference_of_two_draws_hardly_ever_exceeds() -> None:
    rng = np.random.default_rng(0)
    cells = {f"cell {i}": runs(*rng.normal(0.6, 0.03, 40)) for i in range(10)}
    margin = margins(cells)
    drawn = np.subtract(*rng.normal(0.6, 0.03, (2, 2000, 10)))
    exceeded = (-drawn > np.array(list(margin.values()))).any(axis=1).mean()
    assert exceeded == pytest.approx(0.025, abs=0.015)


def test_no_cell_is_taken_to_vary_less_than_the_median_one_and_a_wild_one_moves_no_other() -> None:
    calm, lucky, wild = runs(0.60, 0.63, 0.66), runs(0.5, 0.5, 0.5), runs(0.2, 0.5, 0.8)
    margin = margins({"calm": calm, "calm too": calm, "lucky": lucky, "wild": wild})
    assert margin["lucky"] == margin["calm"] == margin["calm too"]
    assert margin["wild"] == pytest.approx(10 * margin["calm"])


def test_what_other_threads_change_counts_where_it_is_more_than_what_other_seeds_do() -> None:
    alike = margins({"a": runs(0.60, 0.62)})
    assert margins({"a": runs(0.60, 0.62, threads=0.60)}) == alike
    assert margins({"a": runs(0.60, 0.62, threads=0.70)})["a"] == pytest.approx(5 * alike["a"])


def test_a_score_that_never_moves_still_has_a_margin() -> None:
    assert margins({"a": runs(1.0, 1.0), "b": runs(1.0, 1.0)}) == {"a": SMALLEST_MARGIN, "b": SMALLEST_MARGIN}


def test_the_mean_of_a_group_has_a_smaller_margin_and_hears_least_of_who_varies_most() -> None:
    rng = np.random.default_rng(1)
    cells = {f"cell {i}": runs(*rng.normal(0.6, 0.03, 40)) for i in range(9)} | {
        "wild": runs(*rng.normal(0.6, 0.3, 40))
    }
    group = group_of(cells, list(cells))
    assert sum(group.weights) == pytest.approx(1)
    assert group.weights[-1] < 0.01
    assert group.margin < 0.4 * margins(cells)["cell 0"]
    drawn = np.subtract(*rng.normal(0.6, [0.03] * 9 + [0.3], (2, 4000, 10)))
    assert (-drawn @ group.weights > group.margin).mean() == pytest.approx(0.025, abs=0.015)


def test_one_seed_is_no_spread() -> None:
    with pytest.raises(ValueError, match="at least two seeds"):
        margins({"a": runs(0.5, threads=0.5)})
