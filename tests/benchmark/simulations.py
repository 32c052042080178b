"""Experiments whose truth is known: does an interval cover, and are equals told apart?

`python -m tests.benchmark.simulations` makes the tables of `docs/statistics.md` (about ten minutes on one core); the
tests run the same functions with fewer experiments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferbench.benchmark.measures.resampling import resampled, score
from ferbench.benchmark.measures.statistics import ALPHA, bootstrap_interval, told_apart_p


@dataclass(frozen=True)
class World:
    """Subjects whose skill varies by `spread` (so that their samples go together), each with `each` samples; class c
    is `decay` to the power of c as frequent as the first."""

    subjects: int
    each: int
    spread: float
    classes: int
    decay: float = 1.0

    def labels(self, rng: np.random.Generator, subjects: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels and subjects of all samples."""
        share = self.decay ** np.arange(self.classes, dtype=float)
        who = np.repeat(np.arange(subjects), self.each)
        return rng.choice(self.classes, size=who.size, p=share / share.sum()), who

    def skills(self, rng: np.random.Generator, subjects: int) -> np.ndarray:
        return rng.normal(0.6, self.spread, subjects)

    def predictions(self, rng: np.random.Generator, labels: np.ndarray, skill: np.ndarray) -> np.ndarray:
        """Right with the chance that `skill` (N,) says, otherwise another class."""
        other = (labels + rng.integers(1, self.classes, size=labels.size)) % self.classes
        return np.where(rng.random(labels.size) < np.clip(skill, 0, 1), labels, other)


WORLDS = (
    World(8, 18, 0.25, 6),
    World(10, 12, 0.25, 4),
    World(20, 6, 0.15, 6),
    World(20, 6, 0.25, 6, 0.7),
    World(40, 12, 0.25, 4),
    World(40, 12, 0.1, 7, 0.7),
    World(80, 6, 0.2, 6),
    World(15, 60, 0.2, 7, 0.6),
)


def coverage(world: World, experiments: int, resamples: int = 1000) -> dict[str, float]:
    """Share of experiments whose 95% interval holds the score of the whole population: of our interval over subjects,
    of the plain percentiles over subjects, and of the interval over samples."""
    rng = np.random.default_rng(0)
    labels, who = world.labels(rng, 100_000)
    truth = score(labels, world.predictions(rng, labels, world.skills(rng, 100_000)[who]), world.classes)[0]
    covered = {"subjects": 0, "plain percentiles": 0, "samples": 0}
    for seed in range(experiments):
        rng = np.random.default_rng(seed + 1)
        labels, who = world.labels(rng, world.subjects)
        predicted = world.predictions(rng, labels, world.skills(rng, world.subjects)[who])
        drawn = resampled(labels, predicted, who, world.classes, resamples=resamples, seed=seed)[:, 0]
        low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
        covered["plain percentiles"] += low <= truth <= high
        for name, clusters in (("subjects", who), ("samples", None)):
            found = bootstrap_interval(labels, predicted, clusters, world.classes, resamples=resamples, seed=seed)
            covered[name] += found.low <= truth <= found.high
    return {name: number / experiments for name, number in covered.items()}


def false_alarms(
    world: World,
    experiments: int,
    architectures: int = 6,
    seeds: int = 1,
    seed_spread: float = 0.0,
    resamples: int = 500,
    over_samples: bool = False,
    uneven: float = 0.0,
) -> float:
    """Share of experiments in which some two of `architectures` equal ones are told apart (at 5%).

    Each is trained with other seeds: a training's skill varies by `seed_spread`, and on each subject by as much as
    subjects vary, halved. uneven: standard deviation over architectures of the logarithm of `seed_spread`, where some
    are steadier than others. over_samples: the wrong test, which takes samples as independent.
    """
    alarms = 0
    groups = np.repeat(np.arange(architectures), seeds)
    for experiment in range(experiments):
        rng = np.random.default_rng(experiment)
        labels, who = world.labels(rng, world.subjects)
        common = world.skills(rng, world.subjects)
        spreads = (
            seed_spread * np.exp(rng.normal(0, uneven, architectures)) if uneven else [seed_spread] * architectures
        )
        each = []
        for row in groups:
            own = common + rng.normal(0, world.spread / 2, world.subjects) + rng.normal(0, spreads[row])
            each.append(world.predictions(rng, labels, own[who]))
        clusters = None if over_samples else who
        units = labels.size if over_samples else world.subjects
        drawn = resampled(labels, np.stack(each), clusters, world.classes, "abaw", resamples, experiment, groups)
        p = told_apart_p(drawn, score(labels, np.stack(each), world.classes), groups, units)
        alarms += bool((p < ALPHA).any())
    return alarms / experiments


def main() -> None:
    print("| subjects | samples of each | spread of skill | classes | rarest class | interval over subjects | plain "
          "percentiles | over samples |\n|" + "---:|" * 8)  # fmt: skip
    for world in WORLDS:
        found = coverage(world, 2000)
        shares = " | ".join(f"{found[name]:.1%}" for name in ("subjects", "plain percentiles", "samples"))
        rarest = world.decay ** (world.classes - 1)
        print(
            f"| {world.subjects} | {world.each} | {world.spread} | {world.classes} | {rarest:.2f} | {shares} |",
            flush=True,
        )
    heads = [
        "subjects",
        "architectures",
        "seeds",
        "spread of trainings",
        "which differs by",
        "tested over",
        "told apart",
    ]
    print(f"\n| {' | '.join(heads)} |\n|" + "---:|" * len(heads))
    for subjects, architectures, seeds, spread, uneven, over_samples in (
        (10, 2, 1, 0.0, 0.0, False), (20, 2, 1, 0.0, 0.0, False), (20, 6, 1, 0.0, 0.0, False),
        (80, 6, 1, 0.0, 0.0, False), (20, 25, 1, 0.0, 0.0, False), (40, 2, 3, 0.04, 0.0, False),
        (20, 6, 3, 0.02, 0.0, False), (40, 6, 3, 0.04, 0.0, False), (40, 6, 3, 0.04, 0.6, False),
        (40, 2, 3, 0.06, 0.6, False), (20, 25, 3, 0.04, 0.6, False), (20, 6, 1, 0.02, 0.0, False),
        (40, 6, 1, 0.04, 0.0, False), (20, 6, 1, 0.0, 0.0, True),
    ):  # fmt: skip
        world = World(subjects, 6, 0.2, 6)
        share = false_alarms(world, 2000, architectures, seeds, spread, over_samples=over_samples, uneven=uneven)
        unit = "samples" if over_samples else "subjects"
        cells = [subjects, architectures, seeds, spread, f"{uneven:.0%}", unit, f"{share:.1%}"]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
