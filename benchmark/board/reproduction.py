"""Does a run reproduce what is published? Each row by itself, and all rows of a section in one line.

Rows are compared that were asked the same: suite, data set, architecture, size, protocol and folds. Their scores may
differ by what trainings differ by (`benchmark.measures.reproduction`). What training has no part in must be the same:
how many parameters there are and are trained, and the score of what is not trained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from ferbench.benchmark.board.markdown import NOTHING, count, figure
from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.board.sections import DataTable, Section, protocol_id
from ferbench.benchmark.measures.reproduction import Reproduction, Scores, Shift, reproduction
from ferbench.benchmark.measures.statistics import ALPHA, Interval
from ferbench.benchmark.records.record import Record

_NAMED = 5
"""How many rows a line names."""

_Place = tuple[str, tuple[str, tuple[str, ...]]]
"""Data set and protocol: what a table is of."""
_Tables = Mapping[_Place, Mapping[str, list[Record]]]
"""Records by table and architecture."""


class Published:
    """The published records, and how the sections of a run stand to them."""

    def __init__(self, records: Iterable[Record], found: Sequence[Section]) -> None:
        grouped: dict[tuple[str, str], dict[_Place, dict[str, list[Record]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for record in records:
            data = record.data
            place = data["dataset"], protocol_id(record)
            grouped[data["suite"], data["size"]][place][data["architecture"]].append(record)
        self._against = [_Against(section, grouped[section.suite, section.size]) for section in found]

    def verdict(self, row: Row, interval: Interval | None) -> str:
        """`yes`, `no (published 0.512)`, `other protocol`, or `-` where these folds are not published."""
        if interval is None or not row.finished:
            return NOTHING
        against = next(against for against in self._against if row in against.tables)
        pair = against.pairs.get(row)
        if pair is None:
            return "other protocol" if against.elsewhere(row) else NOTHING
        return "yes" if against.reproduces(pair) else f"no (published {figure(pair.published.score)})"

    def line(self, section: Section) -> str:
        """How many rows of a section reproduce the published ones, and whether chance explains what differs. Plain
        text; empty where none of its rows is published."""
        return next(against.line for against in self._against if against.section is section)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A row of this run and the published one that was asked the same."""

    row: Row
    published: Row

    @cached_property
    def same(self) -> bool:
        """Whether all predictions are those that are published of these seeds."""
        own = [record for record in self.published.finished if record.data["seed"] in self.row.seeds]
        other = pool(own) if own else None
        if other is None or other.cells != self.row.cells or other.scores != self.row.scores:
            return False
        here, there = self.row.samples, other.samples
        if here is None or there is None:
            return False
        return here.same_as(there) and np.array_equal(here.predicted, there.predicted)

    @cached_property
    def other_model(self) -> bool:
        """Whether another number of parameters is there, or is trained: chance has no part in that."""
        ours, theirs = (row.finished[0].data["cost"] or {} for row in (self.row, self.published))
        known = [name for name in ("params", "params_trained") if name in ours and name in theirs]
        return any(ours[name] != theirs[name] for name in known)


class _Against:
    """A section of a run against the published tables of its suite and size."""

    def __init__(self, section: Section, published: _Tables) -> None:
        self.section = section
        self._records = published

    @cached_property
    def tables(self) -> dict[Row, DataTable]:
        return {row: table for table in self.section.tables for row in table.rows}

    @cached_property
    def pairs(self) -> dict[Row, _Pair]:
        """Every row that can be compared: the same folds, and every seed finished them."""
        found = {}
        for row in self.tables:
            other = self._published.get(_place(row), {}).get(row.architecture) if row.finished else None
            if other is not None and _alike(row, other):
                found[row] = _Pair(row, other)
        return found

    def elsewhere(self, row: Row) -> bool:
        """Whether these folds are published under another protocol."""
        dataset, _ = _place(row)
        others = [rows.get(row.architecture) for place, rows in self._published.items() if place[0] == dataset]
        return any(other is not None and _alike(row, other) for other in others)

    def reproduces(self, pair: _Pair) -> bool:
        if pair.same:
            return True
        p = self._p.get(pair.row, np.nan)
        if np.isfinite(p):
            return bool(p >= ALPHA) and not pair.other_model
        return self._inside(pair) and not pair.other_model

    def _inside(self, pair: _Pair) -> bool:
        """Whether the published score lies within the interval of this run's, which knows nothing of trainings."""
        interval, score = self.tables[pair.row].comparison.intervals[pair.row.architecture], pair.published.score
        assert score is not None  # it has finished cells
        # Two equal scores on a board must not differ by a rounding of the last bit.
        return interval.low - 1e-9 <= score <= interval.high + 1e-9

    @cached_property
    def _published(self) -> dict[_Place, dict[str, Row]]:
        pooled = {
            place: {name: pool(records) for name, records in sorted(rows.items())}
            for place, rows in sorted(self._records.items())
        }
        return {place: {name: row for name, row in rows.items() if row.finished} for place, rows in pooled.items()}

    @cached_property
    def _trained(self) -> dict[_Place, list[Row]]:
        """The published rows whose seeds tell how much trainings differ, by table."""
        whole = {
            place: [row for row in rows.values() if row.competes and row.covers(row.folds)]
            for place, rows in self._published.items()
        }
        return {place: rows for place, rows in whole.items() if rows}

    @cached_property
    def _compared(self) -> dict[Row, Row]:
        """The rows that are drawn anew, by their published one. The same predictions are no draw."""
        return {pair.published: pair.row for pair in self.pairs.values() if pair.row.competes and not pair.same}

    @cached_property
    def _found(self) -> Reproduction:
        return reproduction([_scores(rows, self._compared) for rows in self._trained.values()])

    @cached_property
    def _p(self) -> dict[Row, float]:
        """Of each row that is compared by what trainings differ by."""
        p = dict(zip(chain(*self._trained.values()), chain(*self._found.rows), strict=True))
        return {row: float(p[published]) for published, row in self._compared.items()}

    @cached_property
    def line(self) -> str:
        if not self.pairs:
            return ""
        return " ".join(sentence for sentence in (self._of_rows(), self._of_means()) if sentence)

    def _of_rows(self) -> str:
        pairs = list(self.pairs.values())
        different = [pair for pair in pairs if not self.reproduces(pair)]
        if not different:
            same = sum(pair.same for pair in pairs)
            if same == len(pairs):
                return f"All {count(same, 'row')} give the same predictions as the published ones."
            also = f", {same} of them with the same predictions" if same else ""
            return f"All {count(len(pairs), 'row')} reproduce the published ones{also}."
        return " ".join(self._reasons(different, len(pairs)))

    def _reasons(self, different: Sequence[_Pair], of: int) -> Iterator[str]:
        """Why rows do not reproduce the published ones, one sentence a reason."""
        models = [pair for pair in different if pair.other_model]
        p = {pair: self._p.get(pair.row, np.nan) for pair in different if not pair.other_model}
        by_trainings = [pair for pair, own in p.items() if np.isfinite(own)]
        by_samples = [pair for pair, own in p.items() if not np.isfinite(own)]
        rows = f"of {count(of, 'row')}"
        if models:
            yield f"{len(models)} {rows} had or trained other parameters than published: {self._names(models)}."
        if by_trainings:
            least = min(p[pair] for pair in by_trainings)
            yield (
                f"{len(by_trainings)} {rows} moved by more than trainings do, seen from the published ones "
                f"({_chance(least)} that chance moves any row so far): {self._names(by_trainings)}."
            )
        if by_samples:
            yield (
                f"{len(by_samples)} {rows} fell outside the interval of its samples: {self._names(by_samples)}. "
                "How much trainings differ is not known, since nothing is published with two seeds: on another "
                "processor that may be all."
            )

    def _of_means(self) -> str:
        """Whether the rows of a table, or of all, moved together."""
        names = [self._name(place) for place in self._trained]
        each = [(name, shift) for name, shift in zip(names, self._found.tables, strict=True) if shift]
        overall = self._found.overall
        if overall is not None and overall.p < ALPHA:
            return _moved("", overall)
        moved = [_moved(name, shift) for name, shift in each if shift.p < ALPHA]
        if moved:
            return " ".join(moved)
        seen = overall or (each[0][1] if each else None)
        return f"On average scores are {_size(seen.value)}, as chance makes them ({_chance(seen.p)})." if seen else ""

    def _names(self, pairs: Sequence[_Pair]) -> str:
        named = [f"{pair.row.architecture} on {self.tables[pair.row].name}" for pair in pairs]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        return ", ".join(named[:_NAMED]) + more

    def _name(self, place: _Place) -> str:
        """What a published table is called on this board."""
        return next(
            (table.name for row, table in self.tables.items() if row.finished and _place(row) == place), place[0]
        )


def _place(row: Row) -> _Place:
    """The table of a row that has finished cells."""
    return row.finished[0].data["dataset"], protocol_id(row.finished[0])


def _alike(row: Row, other: Row) -> bool:
    """Whether both were tested on the same folds, every seed on each."""
    return row.folds == other.folds and row.covers(row.folds) and other.covers(row.folds)


def _scores(published: Sequence[Row], compared: Mapping[Row, Row]) -> Scores:
    """A table as arrays."""
    here = [compared.get(row) for row in published]
    most = max(len(row.seed_scores) for row in published)
    each = [np.append(row.seed_scores, np.full(most - len(row.seed_scores), np.nan)) for row in published]
    return Scores(
        np.array(each),
        np.array([np.nan if row is None else row.seed_scores.mean() for row in here]),
        np.array([1 if row is None else len(row.seeds) for row in here]),
    )


def _moved(where: str, shift: Shift) -> str:
    start = f"On {where} scores are on average" if where else "On average scores are"
    return f"{start} {_size(shift.value)} ({_chance(shift.p)}): something that they share has changed."


def _size(value: float) -> str:
    return f"{figure(abs(value))} {'below' if value < 0 else 'above'} the published ones"


def _chance(p: float) -> str:
    return f"p {f'= {figure(p)}' if p >= 0.001 else '< 0.001'}"
