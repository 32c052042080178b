"""Which trained cell is tested on which other data set, and the record that says what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, faces_key
from ferbench.benchmark.planning.identity import asked_with, key_of, key_parts
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.provenance import code_hash, hash_of
from ferbench.benchmark.records.record import WEIGHTS, Record, finished, read_record
from ferbench.benchmark.records.transfers import SUITE_ENDING, transfer_name
from ferbench.benchmark.transfer.shared import shared_classes

CODE = ("ferbench.benchmark.transfer.shared", "ferbench.benchmark.learning.training")
"""The modules that decide what a model answers; those that run them may change."""

FOLD = 0
"""Of a source with folds, the one whose model is tested on other data sets."""


@dataclass(frozen=True)
class Place:
    """A cell of a data set, and where its data are."""

    cell: Cell
    location: Location
    device_type: str

    @cached_property
    def key(self) -> str:
        return key_of(key_parts(self.cell, self.location, self.device_type))

    def folder(self, results: Path) -> Path:
        return self.cell.folder(results, self.location.name)


@dataclass(frozen=True)
class Pair:
    """A model of one data set, to be tested on another."""

    source: Place
    """Of fold 0."""
    target: tuple[Place, ...]
    """The cells of the same architecture and seed on the other data set, whose answers are the in-domain ones."""

    @property
    def tested_on(self) -> Place:
        return self.target[0]

    @property
    def name(self) -> str:
        """The data set's name of the record."""
        return transfer_name(self.source.location.name, self.tested_on.location.name)

    @property
    def suite(self) -> str:
        return f"{self.source.cell.suite}{SUITE_ENDING}"

    def folder(self, results: Path) -> Path:
        cell = self.source.cell
        return results / self.suite / self.name / cell.architecture.replace(":", "-") / f"seed{cell.seed}-fold{FOLD}"

    def weights(self, results: Path) -> Path:
        """Where the trained weights are kept."""
        return self.source.folder(results) / WEIGHTS

    def in_domain(self, results: Path) -> list[Record]:
        """The finished records of the target's own cells."""
        found = (read_record(place.folder(results)) for place in self.target)
        return [record for record in found if record is not None and record.data["status"] == "ok"]

    def key_parts(self, results: Path) -> dict[str, Any]:
        """All that defines what comes out: the model, what it is tested on, and whom it is compared with."""
        cell, target = self.source.cell, self.tested_on
        return {
            "architecture": cell.architecture,
            "model": self.source.key,
            "data": target.location.identity,
            "protocol": hash_of((sorted(target.cell.protocol.as_dict().items()), faces_key(target.cell.protocol))),
            "code": hash_of([code_hash(module) for module in CODE]),
            "in_domain": hash_of(sorted(record.data["key"] for record in self.in_domain(results))),
            "seed": cell.seed,
            "fold": FOLD,
        }

    def key(self, results: Path) -> str:
        return key_of(self.key_parts(results))

    def is_finished(self, results: Path) -> bool:
        """Whether its record is there, and is of these models and data."""
        return finished(self.folder(results), self.key(results)) is not None

    @property
    def asked(self) -> list[str]:
        return [*asked_with(self.source.cell, self.source.location), "--transfer", self.tested_on.cell.dataset]


def pairs_of(places: Sequence[Place], names: Sequence[str]) -> list[Pair]:
    """Every trained cell of fold 0 with every other of the named data sets; not two that share their pictures.

    Raises:
        RequestError: fewer than two data sets, one without classes, two without classes in common, or twins and real
            data together.
    """
    if len(set(names)) < 2:
        raise RequestError("--transfer takes two data sets at least, as A,B: each is tested under models of the others")
    if values := [name for name in names if len(data_sets.get(name).classes) == 1]:
        raise RequestError(f"--transfer {values[0]}: it asks for a value: name data sets with classes")
    trained = [place for place in places if place.cell.kind == "architecture" and place.cell.dataset in names]
    kinds = {place.location.source for place in trained}
    if len(kinds) > 1:
        twin = next(place.cell.dataset for place in trained if place.location.source == "twin")
        raise RequestError(f"--transfer: {twin} is a twin and others are real data: put its folder below --data too, "
                           "or leave it out")  # fmt: skip
    pairs = list(_paired(trained))
    for pair in pairs:  # before anything is trained for it
        source, target = (place.cell.dataset for place in (pair.source, pair.tested_on))
        shared_classes(data_sets.get(source).classes, data_sets.get(target).classes, f"--transfer {source},{target}")
    return pairs


def _paired(trained: Sequence[Place]) -> Iterator[Pair]:
    by_row: dict[tuple[str, int], dict[str, list[Place]]] = {}
    for place in trained:
        row = by_row.setdefault((place.cell.architecture, place.cell.seed), {})
        row.setdefault(place.cell.dataset, []).append(place)
    for row in by_row.values():
        for source, own in row.items():
            first = next((place for place in own if place.cell.fold == FOLD), None)
            for target, others in row.items():
                if first is not None and target != source and not _one_folder(source, target):
                    yield Pair(first, tuple(others))


def _one_folder(one: str, other: str) -> bool:
    return data_sets.get(one).folder_name == data_sets.get(other).folder_name
