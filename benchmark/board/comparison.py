"""How sure the scores of one table are, and which of its rows can be told apart.

All rows that hold the same samples are scored on the same resamples, so the interval of each and the difference of
every two come from one pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from string import ascii_lowercase, ascii_uppercase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board.memory import key_of, remembered
from ferbench.benchmark.board.rows import FIELD_MEASURES, Row, video_concordance
from ferbench.benchmark.measures.metrics import Array, Metric
from ferbench.benchmark.measures.resampling import resampled, resampled_means
from ferbench.benchmark.measures.statistics import (
    ALPHA,
    LOWEST,
    Difference,
    Interval,
    Unit,
    difference_of,
    holm,
    interval_of,
    tie_groups,
    told_apart_p,
    units_of,
)


@dataclass(frozen=True)
class Drawn:
    """The headline measure of rows that hold the same samples: on all of them, and on each resample."""

    rows: tuple[Row, ...]
    values: Array
    """(R, K), the mean over the seeds of each row."""
    units: int
    unit: Unit

    def p(self, rows: Sequence[Row], tested: NDArray[np.int64]) -> Array:
        """`told_apart_p` of the rows that are tested, (K, K); the seeds of all tell how much trainings vary."""
        scores = np.concatenate([row.seed_scores for row in rows])
        drawn = self.values[:, [self.rows.index(row) for row in rows]]
        return told_apart_p(drawn, scores, _owners(rows), self.units, tested)

    def interval(self, row: Row) -> Interval:
        return interval_of(self.values[:, self.rows.index(row)], self.units, self.unit, LOWEST.get(row.headline, 0.0))


@dataclass(frozen=True)
class Comparison:
    """intervals: by architecture. p: (K, K) of the ranked rows, corrected for all pairs, 1 where nothing is known."""

    intervals: dict[str, Interval]
    ranked: tuple[str, ...]
    p: Array
    groups: tuple[tuple[str, ...], ...]
    """Runs of ranked rows that cannot be told apart, the best first; a row may be in several, one after another."""
    unit: Unit
    seeds: Literal["one", "some", "several"]
    """How many the rows that are tested have. One each: the spread of trainings is not in the p-values. Only some have
    several: the others take their spread."""
    changes: dict[str, Difference]
    """Of each variant of a row that holds the same samples: how much better than that row it is. p is corrected
    (Holm) for the number of variants of one row."""
    further: dict[str, dict[str, Interval]] = field(default_factory=dict)
    """By measure and architecture, where the field reports other measures than the headline."""

    def letters(self, architecture: str) -> str:
        """`a`, `ab`, `a-d`: a letter for each group that the row is in. Rows that cannot be told apart share one."""
        own = [self.name(index) for index, group in enumerate(self.groups) if architecture in group]
        return "".join(own) if len(own) < 3 else f"{own[0]}-{own[-1]}"

    @property
    def leading(self) -> tuple[str, ...]:
        """The best row and every other that cannot be told apart from it, the best first.

        Not its whole group: a group may hold a row that is told apart from the best (see `tie_groups`).
        """
        return tuple(name for name, p in zip(self.ranked, self.p[0], strict=True) if p >= ALPHA) if self.ranked else ()

    @property
    def pairs(self) -> int:
        """How many pairs of ranked rows there are."""
        return len(self.ranked) * (len(self.ranked) - 1) // 2

    @property
    def told_apart(self) -> int:
        """How many of them are told apart at 5%, corrected for all pairs."""
        return int((self.p < ALPHA).sum()) // 2

    @staticmethod
    def name(group: int) -> str:
        """The letter of a group: a to z, then A to Z; beyond that a number in brackets."""
        letters = ascii_lowercase + ascii_uppercase
        return letters[group] if group < len(letters) else f"({group + 1})"


def compare(rows: Sequence[Row], ranked: Sequence[str], variants: Mapping[str, Sequence[Row]]) -> Comparison:
    """The comparison of the rows of a table; only those named in `ranked` are tested against each other, and variants
    against the row that they are variants of."""
    key = key_of("comparison", [(row.architecture, row.digest) for row in rows], list(ranked))
    found = remembered(key, lambda: asdict(_compare(rows, ranked, variants)))
    return Comparison(
        intervals={name: Interval(**each) for name, each in found["intervals"].items()},
        ranked=tuple(found["ranked"]),
        p=np.array(found["p"]),
        groups=tuple(map(tuple, found["groups"])),
        unit=found["unit"],
        seeds=found["seeds"],
        changes={
            name: Difference(each["value"], Interval(**each["interval"]), each["p"])
            for name, each in found["changes"].items()
        },
        further={
            metric: {name: Interval(**each) for name, each in intervals.items()}
            for metric, intervals in found["further"].items()
        },
    )


def _compare(rows: Sequence[Row], ranked: Sequence[str], variants: Mapping[str, Sequence[Row]]) -> Comparison:
    blocks = [draw(block) for block in _same_samples(rows)]
    intervals = {row.architecture: block.interval(row) for block in blocks for row in block.rows}
    of_rank = [row for row in rows if row.architecture in ranked]
    p = np.ones((len(of_rank), len(of_rank)))
    tested: list[Row] = []
    for block in blocks:
        trained = [row for row in block.rows if row.competes]  # of a floor, seeds do not say how much trainings differ
        among = [(i, trained.index(row)) for i, row in enumerate(of_rank) if row in trained]
        if len(among) > 1:
            here, there = (np.array(places) for places in zip(*among, strict=True))
            p[np.ix_(here, here)] = block.p(trained, there)
        tested += trained if len(trained) > 1 else []
    p = np.minimum(p * max(1, sum(len(block.rows) > 1 for block in blocks)), 1)  # each block is corrected by itself
    several = [len(row.seed_scores) > 1 for row in tested]
    scores = [row.score or 0.0 for row in of_rank]
    names = tuple(row.architecture for row in of_rank)
    units = [row.samples.unit for row in rows if row.samples]
    return Comparison(
        intervals,
        names,
        p.tolist(),  # type: ignore[arg-type]  # as JSON keeps it
        tuple(tuple(names[i] for i in group) for group in tie_groups(scores, p < ALPHA)),
        units[0] if units else "sample",
        "several" if several and all(several) else "some" if any(several) else "one",
        _changes(rows, variants),
        {metric: _intervals(blocks, metric) for metric in FIELD_MEASURES}
        if any(r.field_measures for r in rows)
        else {},
    )


def _intervals(blocks: Sequence[Drawn], metric: Metric) -> dict[str, Interval]:
    """By architecture, of a measure that is not the headline."""
    drawn = [draw(block.rows, metric) for block in blocks]
    return {row.architecture: block.interval(row) for block in drawn for row in block.rows}


def _changes(rows: Sequence[Row], variants: Mapping[str, Sequence[Row]]) -> dict[str, Difference]:
    found: dict[str, Difference] = {}
    for row in rows:
        own = variants.get(row.architecture, ())
        each = {v.architecture: change for v in own if (change := difference(row, v, rows))}
        corrected = holm([change.p for change in each.values()])
        found |= {name: replace(change, p=float(p)) for (name, change), p in zip(each.items(), corrected, strict=True)}
    return found


def difference(a: Row, b: Row, beside: Sequence[Row] = ()) -> Difference | None:
    """`b` minus `a` in the headline measure; None where they do not hold the same samples.

    beside: the rows of their table. The seeds of those that hold the same samples tell how much trainings vary as well.
    """
    if a.samples is None or b.samples is None or not a.samples.same_as(b.samples) or a.headline != b.headline:
        return None
    drawn = draw([a, b])
    others = [row.seed_scores for row in trained_beside(a, b, beside)]
    return difference_of(
        drawn.values, a.seed_scores, b.seed_scores, drawn.units, drawn.unit, others, LOWEST.get(a.headline, 0.0)
    )


def trained_beside(a: Row, b: Row, rows: Sequence[Row]) -> list[Row]:
    """The other rows of a table that were trained and hold the samples of `a` and `b`."""
    others = [row for row in rows if row.competes and row.architecture not in (a.architecture, b.architecture)]
    return [row for row in others if a.samples and row.samples and row.samples.same_as(a.samples)]


def draw(rows: Sequence[Row], metric: Metric = "abaw") -> Drawn:
    """Resamples rows that hold the same samples; of a regression the measure is the CCC."""
    samples = [row.samples for row in rows if row.samples is not None]
    first = samples[0]
    if rows[0].headline == "ccc":
        found = [video_concordance(each) for each in samples]
        owners = found[0][1]
        values = resampled_means(np.concatenate([scores for scores, _ in found]), owners, groups=_owners(rows))
        return Drawn(tuple(rows), values, *units_of(owners, owners, first.unit if first.unit != "sample" else "video"))
    predicted = np.concatenate([each.predicted for each in samples])
    values = resampled(first.labels, predicted, first.clusters, rows[0].num_classes, metric, groups=_owners(rows))
    return Drawn(tuple(rows), values, *units_of(first.labels, first.clusters, first.unit))


def _owners(rows: Sequence[Row]) -> NDArray[np.int64]:
    """(P,) which row each seed is of, the seeds of the rows one after another."""
    return np.repeat(np.arange(len(rows)), [len(row.seeds) for row in rows])


def _same_samples(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows in blocks that hold the same samples; one whose seeds lack some stands alone."""
    blocks: list[list[Row]] = []
    for row in rows:
        if row.samples is None:
            continue
        for block in blocks:
            if block[0].samples is not None and block[0].samples.same_as(row.samples):
                block.append(row)
                break
        else:
            blocks.append([row])
    return blocks
