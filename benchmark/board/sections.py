"""Which rows may stand in one table: only those that the same thing was asked of.

A section is one suite, source, size and record schema; in it each data set under one protocol has a table. Twins and
real data, two sizes, or two protocols never share one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board import reading
from ferbench.benchmark.board.comparison import Comparison, compare
from ferbench.benchmark.board.forked import Job, on_all_cores
from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.measures.statistics import Friedman, friedman, tie_groups
from ferbench.benchmark.records.entries import ENTRIES
from ferbench.benchmark.records.record import Record

_SUITES_FIRST = ("default", "full", "field")


@dataclass(frozen=True)
class DataTable:
    """All rows of one data set under one protocol."""

    dataset: str
    variant: str
    """A letter where the section holds several protocols of this data set, otherwise empty."""
    unsorted: tuple[Row, ...]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The best first; rows without a score last."""
        return tuple(
            sorted(self.unsorted, key=lambda row: (2.0 if row.score is None else -row.score, row.architecture))
        )

    @property
    def name(self) -> str:
        return f"{self.dataset}, protocol {self.variant}" if self.variant else self.dataset

    @property
    def classes(self) -> list[str]:
        return list(self.rows[0].records[0].data["classes"])

    @property
    def protocol(self) -> dict[str, Any]:
        return dict(self.rows[0].records[0].data["protocol"])

    @cached_property
    def folds(self) -> tuple[int, ...]:
        """Every fold that some row finished."""
        return tuple(sorted({fold for row in self.rows for fold in row.folds}))

    @property
    def headline(self) -> str:
        """The measure that ranks, `abaw` or `ccc`."""
        return self.rows[0].headline

    @property
    def task(self) -> str:
        """`still`, `video` or `valence`; empty where no record says so."""
        return next((str(r.data["task"]) for row in self.rows for r in row.finished if r.data.get("task")), "")

    @cached_property
    def ranked(self) -> tuple[Row, ...]:
        """Rows that have a rank, the best first: no floor, no oracle, no row that lacks folds, no variant of another
        row (see `variants`)."""
        return tuple(row for row in self.rows if row.competes and row.covers(self.folds) and not self.base(row))

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Place of each ranked row by the headline measure; equals share one."""
        values = [row.score or 0.0 for row in self.ranked]
        return {
            row.architecture: 1 + sum(other > value for other in values)
            for row, value in zip(self.ranked, values, strict=True)
        }

    @cached_property
    def comparison(self) -> Comparison:
        """Intervals of all rows, and which of the ranked ones can be told apart."""
        return compare(self.rows, [row.architecture for row in self.ranked], self.variants)

    def base(self, row: Row) -> Row | None:
        """The row that this one is a variant of: `name@option=value` is one of `name` where that is here as well."""
        name, _, changed = row.architecture.partition("@")
        return self.row(name) if changed else None

    @cached_property
    def variants(self) -> dict[str, list[Row]]:
        """Variants of each row that has some, by its name; the best first."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            if base := self.base(row):
                found[base.architecture].append(row)
        return dict(sorted(found.items()))

    def row(self, architecture: str) -> Row | None:
        return next((row for row in self.rows if row.architecture == architecture), None)


@dataclass(frozen=True)
class Section:
    """Tables that may be read together."""

    suite: str
    source: str
    size: str
    schema: int
    tables: tuple[DataTable, ...]

    @cached_property
    def records(self) -> list[Record]:
        return [record for table in self.tables for row in table.unsorted for record in row.records]

    @cached_property
    def architectures(self) -> list[Row]:
        """One row of each architecture, floor and oracle, by name."""
        found = {row.architecture: row for table in reversed(self.tables) for row in table.unsorted}
        return [found[name] for name in sorted(found)]

    @cached_property
    def across(self) -> Across | None:
        """Mean ranks over all data sets, of the architectures that have a rank on each; None with fewer than two."""
        names = [name for name in self.tables[0].ranks if all(name in table.ranks for table in self.tables)]
        if len(names) < 2:
            return None
        scores = np.array([[table.row(name).score for name in names] for table in self.tables])  # type: ignore[union-attr]
        folders = [str(table.rows[0].records[0].data.get("folder", table.dataset)) for table in self.tables]
        return across(names, scores, folders)

    @cached_property
    def order(self) -> list[str]:
        """Competing architectures, the best first: by mean rank, then by mean place where they have one, then by name.
        Its places are the numbers that stand for architectures in plots."""
        names = [row.architecture for row in self.architectures if row.competes]
        mean = self.across.mean_rank if self.across else {}

        def place(name: str) -> tuple[float, float, str]:
            ranks = [table.ranks[name] for table in self.tables if name in table.ranks]
            return mean.get(name, np.inf), float(np.mean(ranks)) if ranks else np.inf, name

        return sorted(names, key=place)

    @property
    def title(self) -> str:
        """What its rows were asked, in words."""
        kind = "twins (synthetic data)" if self.source == "twin" else "real data"
        return f"{kind}, size {self.size}" + (f", record schema {self.schema}" if self.schema != 1 else "")

    @property
    def slug(self) -> str:
        """Names this section's files within its suite."""
        return f"{self.source}-{self.size}" + (f"-schema{self.schema}" if self.schema != 1 else "")


@dataclass(frozen=True)
class Across:
    """Architectures that have a rank on every data set of a section."""

    names: tuple[str, ...]
    """The best mean rank first."""
    test: Friedman
    """Over blocks: data sets that share their faces (one folder) are one block, with their mean ranks."""

    @property
    def mean_rank(self) -> dict[str, float]:
        return dict(zip(self.names, self.test.mean_ranks.tolist(), strict=True))

    @cached_property
    def groups(self) -> list[tuple[str, ...]]:
        """Architectures whose mean ranks lie within the critical difference; groups of one are left out."""
        ranks = self.test.mean_ranks
        apart = np.abs(ranks[:, None] - ranks) >= self.test.critical_difference
        return [tuple(self.names[i] for i in group) for group in tie_groups(-ranks, apart) if len(group) > 1]


def across(names: Sequence[str], scores: NDArray[np.float64], folders: Sequence[str]) -> Across:
    """scores: (N, K) of K architectures on N data sets; folders: (N,), equal for data sets that share their faces."""
    ranks = np.array([rankdata(-row) for row in scores])
    blocks = [ranks[[other == folder for other in folders]].mean(axis=0) for folder in dict.fromkeys(folders)]
    order = sorted(range(len(names)), key=lambda i: (np.mean(blocks, axis=0)[i], names[i]))
    return Across(tuple(names[i] for i in order), friedman(np.array(blocks)[:, order]))


def rankdata(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, the smallest first; equal values share the mean of their ranks."""
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def prepare(found: Sequence[Section]) -> None:
    """Computes what is dear of all tables, once for all that is rendered of them."""
    jobs = [Job(partial(compute, table)) for table in tables_of(found)]
    if few(found):
        for job in jobs:
            job.do()
    else:
        on_all_cores(jobs)


def few(found: Sequence[Section]) -> bool:
    """Whether their tables are sooner computed than a process is started."""
    return sum(len(section.records) for section in found) < reading.MANY


def tables_of(found: Sequence[Section]) -> list[DataTable]:
    """All tables, those that take longest first."""
    return sorted((table for section in found for table in section.tables), key=_work, reverse=True)


def compute(table: DataTable) -> None:
    """Computes what is dear of a table; what one process finds, all remember."""
    _ = table.comparison


def _work(table: DataTable) -> tuple[bool, int]:
    """Larger for a table that takes longer: where subjects are unknown, every sample is drawn by itself."""
    records = [record for row in table.unsorted for record in row.finished]
    samples = sum((record.data.get("counts") or {}).get("test_samples", 0) for record in records)
    return any(not record.data["subjects_known"] for record in records), samples


def sections(records: Iterable[Record]) -> list[Section]:
    """All records in their sections: the default suite first, real data before twins."""
    grouped: dict[tuple[str, str, str, int], list[Record]] = defaultdict(list)
    entries = []
    for record in records:
        data = record.data
        if data["suite"] == ENTRIES:
            entries.append(record)
        else:
            grouped[data["suite"], data["source"], data["size"], data["schema"]].append(record)
    for group in grouped.values():
        group += _joined(entries, group)
    joined = {record.path for group in grouped.values() for record in group}
    for entry in entries:
        if entry.path not in joined:
            grouped[ENTRIES, entry.data["source"], entry.data["size"], entry.data["schema"]].append(entry)
    return [Section(*key, tables=_tables(grouped[key])) for key in sorted(grouped, key=_section_order)]


def _joined(entries: Sequence[Record], group: Sequence[Record]) -> list[Record]:
    """The entries that answer what the cells of a section answer: the same data under the same protocol and fold."""

    def asked(record: Record) -> tuple[object, ...]:
        data = record.data
        return data["dataset"], data["fold"], data["key_parts"].get("data"), protocol_id(record)

    known = {asked(record) for record in group}
    place = {name: group[0].data[name] for name in ("suite", "size")} if group else {}
    return [replace(entry, data={**entry.data, **place}) for entry in entries if asked(entry) in known]


def protocol_id(record: Record) -> tuple[str, tuple[str, ...]]:
    """Protocol and classes: equal for two finished records exactly when their scores answer the same question."""
    protocol = json.dumps(record.data["protocol"], sort_keys=True, default=str)
    return protocol, tuple(record.data["classes"])


def _section_order(key: tuple[str, str, str, int]) -> tuple[object, ...]:
    suite = key[0]
    place = _SUITES_FIRST.index(suite) if suite in _SUITES_FIRST else len(_SUITES_FIRST)
    return (place, *key)


def _tables(records: Iterable[Record]) -> tuple[DataTable, ...]:
    by_dataset: dict[str, list[Record]] = defaultdict(list)
    described: dict[str, Record] = {}
    """A finished cell of each architecture on any data set: a failed one knows no title and no view."""
    for record in records:
        by_dataset[record.data["dataset"]].append(record)
        if record.data["status"] == "ok":
            described[record.data["architecture"]] = record
    found = []
    for dataset in sorted(by_dataset):
        tables = [DataTable(dataset, "", _rows(group, described)) for group in _by_protocol(by_dataset[dataset])]
        if len(tables) > 1:
            tables = [replace(table, variant=chr(ord("A") + index)) for index, table in enumerate(tables)]
        found.extend(tables)
    return tuple(found)


def _by_protocol(records: Iterable[Record]) -> list[list[Record]]:
    """The records of each protocol. A failed one may not know its classes: it joins those with its protocol."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: record.data["status"] != "ok"):
        own = protocol_id(record)
        alike = sorted(known for known in grouped if known[0] == own[0])
        grouped[alike[0] if record.data["status"] != "ok" and alike else own].append(record)
    return [grouped[protocol] for protocol in sorted(grouped)]


def _rows(records: Iterable[Record], described: Mapping[str, Record]) -> tuple[Row, ...]:
    grouped: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        grouped[record.data["architecture"]].append(record)
    return tuple(pool(grouped[name], described.get(name)) for name in sorted(grouped))
