"""Runs whose truth is known: does unchanged code reproduce the board, and is a fault found?

`python -m tests.benchmark.reproductions` makes the tables of `docs/reproduction.md` (some minutes on one core); the
tests run the same functions with fewer runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ferbench.benchmark.measures.reproduction import Reproduction, Scores, reproduction
from ferbench.benchmark.measures.statistics import ALPHA

PUBLISHED = Path(__file__).parents[2] / "results/published"
SPREADS = (0.044, 0.022, 0.052, 0.026, 0.056)
"""Standard deviation of trainings on the data sets of the default board, the mean over its rows."""
ROWS = 27
SEEDS = 3

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Fault = Callable[[list[np.ndarray]], None]
"""Changes the scores (K,) of a run in place, table by table."""


def normal(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=size)


def heavy(freedom: int) -> Noise:
    """Student's t, of variance 1."""
    return lambda rng, size: rng.standard_t(freedom, size) / np.sqrt(freedom / (freedom - 2))


def astray(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """One training in twenty goes astray, by three times the spread of the others; of variance 1."""
    return rng.normal(size=size) * np.where(rng.random(size) < 0.05, 3, 1) / np.sqrt(0.95 + 0.05 * 9)


@dataclass(frozen=True)
class World:
    """Trainings of some rows on some data sets.

    uneven: standard deviation over rows of the logarithm of their spread. shared: share of the variance that all rows
    of a table share, as those do that start from one trained network.
    """

    name: str
    noise: Noise = normal
    uneven: float = 0.0
    shared: float = 0.0
    spreads: tuple[float, ...] = SPREADS
    rows: int = ROWS

    def tables(self, rng: np.random.Generator, seeds: int = SEEDS, here: int = 1) -> Iterator[np.ndarray]:
        """Scores (K, seeds + here) of each table."""
        for spread in self.spreads:
            each = np.exp(rng.normal(0, self.uneven, self.rows))
            each *= spread / np.sqrt(np.square(each).mean())
            drawn = np.sqrt(1 - self.shared) * self.noise(rng, (self.rows, seeds + here))
            drawn += np.sqrt(self.shared) * self.noise(rng, (1, seeds + here))
            yield 0.5 + each[:, None] * drawn


@dataclass(frozen=True)
class Like:
    """Trainings with the spread of published ones and with what their rows share: half of each table's covariance is
    the one of its seeds, half is without what rows share, and each row's spread half its own and half the mean."""

    name: str
    published: tuple[np.ndarray, ...]

    def tables(self, rng: np.random.Generator, seeds: int = SEEDS, here: int = 1) -> Iterator[np.ndarray]:
        for scores in self.published:
            centred = scores - scores.mean(axis=1, keepdims=True)
            own = np.square(centred).sum(axis=1) / (scores.shape[1] - 1)
            alone = np.sqrt((own + own.mean()) / 4)[:, None] * rng.normal(size=(len(scores), seeds + here))
            together = centred @ rng.normal(size=(scores.shape[1], seeds + here)) / np.sqrt(2 * (scores.shape[1] - 1))
            yield scores.mean(axis=1, keepdims=True) + alone + together


WORLDS = (
    World("normal"),
    World("unequal spreads", uneven=0.5),
    World("very unequal spreads", uneven=0.8),
    World("heavy tails (t, 5)", heavy(5)),
    World("unequal spreads, heavy tails (t, 5)", heavy(5), 0.5),
    World("very heavy tails (t, 3)", heavy(3)),
    World("one training in 20 goes astray", astray),
    World("unequal spreads, one training in 20 goes astray", astray, 0.5),
    World("rows of a data set share a tenth of the variance", shared=0.1),
    World("rows of a data set share half of the variance, unequal spreads", uneven=0.5, shared=0.5),
)


def nothing(_: list[np.ndarray]) -> None:
    """Unchanged code."""


def one_row(loss: float, table: int) -> Fault:
    def change(run: list[np.ndarray]) -> None:
        run[table][0] -= loss

    return change


def all_rows(loss: float) -> Fault:
    def change(run: list[np.ndarray]) -> None:
        for scores in run:
            scores -= loss

    return change


def one_table(loss: float, table: int) -> Fault:
    def change(run: list[np.ndarray]) -> None:
        run[table] -= loss

    return change


def run(world: World | Like, seed: int, fault: Fault = nothing, seeds: int = SEEDS, here: int = 1) -> Reproduction:
    """One run of a board, and what is said of it. seeds and here: how many are published and run."""
    drawn = list(world.tables(np.random.default_rng(seed), seeds, here))
    scores = [table[:, seeds:].mean(axis=1) for table in drawn]
    fault(scores)
    tables = zip(drawn, scores, strict=True)
    return reproduction([Scores(t[:, :seeds], own, np.full(len(t), here)) for t, own in tables])


def of_rows(found: Reproduction) -> int:
    """How many rows differ."""
    return sum(int((p < ALPHA).sum()) for p in found.rows)


def of_means(found: Reproduction) -> bool:
    return any(shift is not None and shift.p < ALPHA for shift in (*found.tables, found.overall))


def share(
    world: World | Like, runs: int, fault: Fault = nothing, seeds: int = SEEDS, here: int = 1
) -> tuple[float, float, float]:
    """Share of runs in which a row differs, in which a mean does, and in which either does."""
    each = [run(world, seed, fault, seeds, here) for seed in range(runs)]
    rows, means = np.array([of_rows(found) > 0 for found in each]), np.array([of_means(found) for found in each])
    return float(rows.mean()), float(means.mean()), float((rows | means).mean())


def one_seed_against_others(published: Sequence[np.ndarray]) -> tuple[float, float, float, int]:
    """One seed of each table as the run, the others as published: `share` over all ways to choose them, and how many
    those are."""
    rows, means = [], []
    for chosen in product(*(range(scores.shape[1]) for scores in published)):
        found = reproduction(
            [
                Scores(np.delete(scores, seed, axis=1), scores[:, seed], np.ones(len(scores), dtype=np.int64))
                for scores, seed in zip(published, chosen, strict=True)
            ]
        )
        rows.append(of_rows(found) > 0)
        means.append(of_means(found))
    return float(np.mean(rows)), float(np.mean(means)), float(np.mean(np.logical_or(rows, means))), len(rows)


def published_scores(suite: str = "default") -> dict[str, np.ndarray]:
    """By data set, the scores (K, S) of the trained rows of the committed board."""
    from ferbench.benchmark.board.reading import all_records
    from ferbench.benchmark.board.sections import sections

    with all_records(PUBLISHED) as records:
        tables = [table for section in sections(records) if section.suite == suite for table in section.tables]
        return {t.name: np.array([row.seed_scores for row in t.rows if row.competes]) for t in tables}


def main(runs: int = 2000) -> None:
    published = published_scores()
    worlds = (Like("as published", tuple(published.values())), *WORLDS)
    print("| trainings | a row | a mean | any |\n|---|---:|---:|---:|")
    *shares, number = one_seed_against_others(list(published.values()))
    print(f"| published seeds, one against the others ({number} ways) | {' | '.join(f'{s:.1%}' for s in shares)} |")
    for world in worlds:
        print(f"| {world.name} | {' | '.join(f'{s:.1%}' for s in share(world, runs))} |", flush=True)
    faults: dict[str, Fault] = {f"one row of {name} loses {loss}": one_row(loss, table)
        for loss in (0.05, 0.1, 0.2, 0.3) for table, name in enumerate(published)}  # fmt: skip
    faults |= {f"all rows lose {loss}": all_rows(loss) for loss in (0.01, 0.02, 0.03)}
    faults |= {f"all rows of {name} lose {loss}": one_table(loss, table)
        for loss in (0.01, 0.02, 0.03, 0.05) for table, name in enumerate(published)}  # fmt: skip
    print("\n| fault | as published | unequal spreads, heavy tails |\n|---|---:|---:|")
    for name, fault in faults.items():
        found = [share(world, runs // 4, fault)[2] for world in (worlds[0], WORLDS[4])]
        print(f"| {name} | {' | '.join(f'{s:.0%}' for s in found)} |", flush=True)


if __name__ == "__main__":
    main()
