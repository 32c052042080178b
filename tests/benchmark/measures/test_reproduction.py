"""Does a run reproduce published scores? By hand, and in simulated runs of the whole board."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ferbench.benchmark.measures.reproduction import PRIOR, SMALLEST, Scores, reproduction
from tests.benchmark.reproductions import (
    WORLDS,
    Fault,
    World,
    all_rows,
    one_row,
    one_table,
    share,
)

RUNS = 400
AT_MOST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / RUNS)
NAMED = {world.name: world for world in WORLDS}


def scores(published: list[list[float]], here: list[float], seeds: int = 1) -> Scores:
    return Scores(np.array(published), np.array(here), np.full(len(here), seeds))


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_alone_is_a_t_test_of_its_own_and_the_mean_spread(seeds: int) -> None:
    """Two rows with variances of 0.0001 and 0.0009 over three seeds."""
    table = scores([[0.49, 0.50, 0.51], [0.47, 0.50, 0.53]], [0.60, 0.50], seeds)
    (p,) = reproduction([table]).rows
    variance = (PRIOR * 0.0005 + 2 * 0.0001) / (PRIOR + 2)
    known = min(PRIOR + 2, 4)  # no more than both rows have
    alone = 2 * stats.t.sf(0.1 / np.sqrt(variance * (1 / seeds + 1 / 3)), known)
    assert p[0] == pytest.approx(2 * 2 * alone)  # one of two rows, and rows have half of the 5%
    assert p[1] == 1


def test_a_small_difference_is_none() -> None:
    """However little three seeds differ by luck."""
    table = scores([[0.5, 0.5, 0.5], [0.4, 0.4, 0.4]], [0.5 + 0.9 * SMALLEST, 0.4 + 1.1 * SMALLEST])
    (p,) = reproduction([table]).rows
    assert p == pytest.approx([1, 0])


def test_a_row_with_one_published_seed_takes_the_spread_of_the_others() -> None:
    published = [[0.5, np.nan, np.nan], [0.47, 0.50, 0.53], [0.42, 0.40, 0.38]]
    (p,) = reproduction([scores(published, [0.55, 0.50, 0.40])]).rows
    (far,) = reproduction([scores(published, [0.95, 0.50, 0.40])]).rows
    assert p[0] == 1
    assert far[0] < 0.05


def test_without_two_seeds_of_anything_nothing_is_known() -> None:
    found = reproduction([scores([[0.5], [0.4]], [0.9, 0.9])])
    assert np.isnan(found.rows[0]).all()
    assert found.tables == (None,)
    assert found.overall is None


def test_a_row_that_is_not_compared_tells_how_much_trainings_differ() -> None:
    published = [[0.50, 0.50, 0.50], [0.45, 0.50, 0.55]]
    (beside,) = reproduction([scores(published, [0.6, np.nan])]).rows
    (alone,) = reproduction([scores(published[:1], [0.6])]).rows
    assert np.isnan(beside[1])
    assert beside[0] > 0.05 > alone[0]


def test_what_rows_do_together_is_expected_to_be_done_again() -> None:
    """Ten rows, each seed of each with nearly the same differences: of one run they go up and down together, of the
    other they do not. Here all are 0.06 lower."""
    noise = np.random.default_rng(0).normal(0, 0.002, size=(10, 3))
    together = np.tile([0.48, 0.50, 0.52], (10, 1)) + noise
    apart = np.array([np.roll([0.48, 0.50, 0.52], row) for row in range(10)]) + noise
    p = {}
    for name, published in (("together", together), ("apart", apart)):
        found = reproduction([scores(published.tolist(), [0.44] * 10)]).tables[0]
        assert found is not None
        assert found.value == pytest.approx(-0.06, abs=0.002)
        p[name] = found.p
    assert p["apart"] < 0.05 < p["together"]


def test_no_tables_are_no_finding() -> None:
    found = reproduction([])
    assert (found.rows, found.tables, found.overall) == ((), (), None)


@pytest.mark.parametrize(
    "world",
    [
        NAMED["very unequal spreads"],
        NAMED["unequal spreads, one training in 20 goes astray"],
        NAMED["rows of a data set share a tenth of the variance"],
        World("two rows of a data set", rows=2, shared=0.2),
        World("one data set", spreads=(0.03,), shared=0.1),
    ],
    ids=lambda world: world.name,
)
def test_unchanged_code_differs_in_one_run_of_twenty_at_most(world: World) -> None:
    assert share(world, RUNS)[2] <= AT_MOST


@pytest.mark.parametrize(
    ("fault", "least"),
    [(all_rows(0.03), 0.98), (all_rows(0.02), 0.9), (one_table(0.05, 3), 0.9), (one_row(0.3, 1), 0.9)],
    ids=["all lose 0.03", "all lose 0.02", "all of one data set lose 0.05", "one row loses 0.3"],
)
def test_a_fault_is_found(fault: Fault, least: float) -> None:
    assert share(NAMED["unequal spreads"], RUNS // 4, fault)[2] >= least
