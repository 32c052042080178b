"""Which rows may stand in one table: only those that the same thing was asked of.

A section is one suite, source, size and record schema; in it each data set under one protocol has a table. Twins and
real data, two sizes, or two protocols never share one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.board.rows import Row, pool
from benchmark.records import Record

_SUITES_FIRST = ("default", "full")


@dataclass(frozen=True)
class DataTable:
    """All rows of one data set under one protocol, the best first; rows without a score last."""

    dataset: str
    variant: str
    """A letter where the section holds several protocols of this data set, otherwise empty."""
    rows: tuple[Row, ...]

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

    @cached_property
    def ranks(self) -> dict[str, int]:
        """Place of each architecture by ABAW; equals share one. Floors, oracles and rows that lack folds have none."""
        ranked = [row for row in self.rows if row.kind == "architecture" and row.covers(self.folds)]
        values = [row.scores["abaw"] for row in ranked]
        return {
            row.architecture: 1 + sum(other > value for other in values)
            for row, value in zip(ranked, values, strict=True)
        }

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
        return [record for table in self.tables for row in table.rows for record in row.records]

    @cached_property
    def architectures(self) -> list[Row]:
        """One row of each architecture, floor and oracle, by name."""
        found = {row.architecture: row for table in reversed(self.tables) for row in table.rows}
        return [found[name] for name in sorted(found)]

    @property
    def slug(self) -> str:
        """Names this section's files within its suite."""
        return f"{self.source}-{self.size}" + (f"-schema{self.schema}" if self.schema != 1 else "")


def sections(records: Iterable[Record]) -> list[Section]:
    """All records in their sections: the default suite first, real data before twins."""
    grouped: dict[tuple[str, str, str, int], list[Record]] = defaultdict(list)
    for record in records:
        data = record.data
        grouped[data["suite"], data["source"], data["size"], data["schema"]].append(record)
    return [Section(*key, tables=_tables(grouped[key])) for key in sorted(grouped, key=_section_order)]


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
    rows = [pool(grouped[name], described.get(name)) for name in grouped]
    return tuple(sorted(rows, key=lambda row: (-row.scores.get("abaw", -1.0), row.architecture)))
