"""The same rows under recipes that were chosen in several ways, each a suite: what their boards tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board.sections import DataTable, sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.measures.expected_best import agreement, ranks_of
from ferbench.benchmark.measures.statistics import ALPHA
from ferbench.benchmark.records.record import Record


@dataclass(frozen=True)
class Changed:
    """What another choice of recipes makes of the pairs that the first one's board tells apart."""

    pairs: int
    told_apart: int
    """On this board, corrected for all of its pairs."""
    kept: int
    """Of those that the first board tells apart: here too, and the same row is ahead."""
    reversed: int
    """Here too, and the other row is ahead."""
    lost: int
    """Here no longer."""
    new: int
    """Told apart here alone."""
    moved: int
    """Rows of another rank than on the first board."""
    tau: float
    """Kendall's, between the ranks of both boards."""


@dataclass(frozen=True)
class Board:
    """One way of choosing recipes on one data set, with the rows that every way has, in their order."""

    suite: str
    table: DataTable
    names: tuple[str, ...]
    """Of the rows here: a changed recipe is a variant."""

    @cached_property
    def scores(self) -> list[float]:
        """On the test part, by row."""
        rows = (self.table.row(name) for name in self.names)
        return [0.0 if row is None or row.score is None else row.score for row in rows]

    @cached_property
    def ahead(self) -> NDArray[np.int64]:
        """(K,K): 1 where the row of the line is told apart from that of the column and ahead of it, -1 where behind."""
        place = [self.table.comparison.ranked.index(name) for name in self.names]
        apart = self.table.comparison.p[np.ix_(place, place)] < ALPHA
        scores = np.array(self.scores)
        return np.where(apart, np.sign(scores[:, None] - scores), 0).astype(np.int64)

    @cached_property
    def ranks(self) -> list[int]:
        return ranks_of(self.scores)

    def against(self, first: Board) -> Changed:
        """What changes from the first board to this one."""
        upper = np.triu_indices(len(self.names), 1)
        own, before = self.ahead[upper], first.ahead[upper]
        return Changed(
            pairs=len(own),
            told_apart=int((own != 0).sum()),
            kept=int(((own == before) & (before != 0)).sum()),
            reversed=int((own * before == -1).sum()),
            lost=int(((own == 0) & (before != 0)).sum()),
            new=int(((own != 0) & (before == 0)).sum()),
            moved=sum(a != b for a, b in zip(self.ranks, first.ranks, strict=True)),
            tau=agreement(self.scores, first.scores),
        )


@dataclass(frozen=True)
class Compared:
    """One data set under all ways of choosing."""

    dataset: str
    rows: tuple[str, ...]
    boards: tuple[Board, ...]
    """In the order in which the suites were named."""


def recipes_compared(records: Iterable[Record], suites: Sequence[str]) -> list[Compared]:
    """The data sets that every one of the suites has, each with the rows that all of them rank.

    Raises:
        RequestError: a suite without records; no data set, or not two rows of it, are in all of them.
    """
    tables: dict[str, dict[str, DataTable]] = {suite: {} for suite in suites}
    for section in sections(record for record in records if record.data["suite"] in tables):
        tables[section.suite] |= {table.name: table for table in section.tables}
    if missing := next((suite for suite, found in tables.items() if not found), None):
        raise RequestError(f"no record of suite {missing!r}: run it first, or name the folder with --results")
    shared = [dataset for dataset in tables[suites[0]] if all(dataset in own for own in tables.values())]
    every = [_compared(dataset, {suite: own[dataset] for suite, own in tables.items()}) for dataset in shared]
    found = [compared for compared in every if len(compared.rows) > 1]
    if not found:
        raise RequestError(f"{', '.join(suites)}: no data set on which all of them rank the same two rows")
    return found


def _compared(dataset: str, tables: dict[str, DataTable]) -> Compared:
    names = {suite: {row.architecture.partition("@")[0]: row.architecture for row in reversed(table.ranked)}
             for suite, table in tables.items()}  # fmt: skip
    rows = sorted(set.intersection(*(set(own) for own in names.values())))
    boards = [Board(suite, table, tuple(names[suite][row] for row in rows)) for suite, table in tables.items()]
    return Compared(dataset, tuple(rows), tuple(boards))
