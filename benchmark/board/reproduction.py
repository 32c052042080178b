"""Does a row reproduce the published one? Decided by this run's interval, and only for the same question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ferbench.benchmark.board.markdown import NOTHING, figure
from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.board.sections import protocol_id
from ferbench.benchmark.measures.statistics import Interval
from ferbench.benchmark.records.record import Record

_Question = tuple[str, str, str, str]
_Protocol = tuple[str, tuple[str, ...]]


class Published:
    """The published rows, found by what they are rows of."""

    def __init__(self, records: Iterable[Record]) -> None:
        grouped: dict[tuple[_Question, _Protocol], list[Record]] = defaultdict(list)
        for record in records:
            grouped[_question(record), protocol_id(record)].append(record)
        self._records: dict[_Question, dict[_Protocol, list[Record]]] = defaultdict(dict)
        for (question, protocol), group in grouped.items():
            self._records[question][protocol] = group

    def verdict(self, row: Row, interval: Interval | None) -> str:
        """`yes`, `no (published 0.512)`, `other protocol`, or `-` when these seeds and folds are not published."""
        if interval is None or not row.finished:
            return NOTHING
        record = row.finished[0]
        same_cells = {
            protocol: other
            for protocol, published in self._records.get(_question(record), {}).items()
            if (other := _of_seeds(published, row.seeds)) and (other.seeds, other.folds) == (row.seeds, row.folds)
        }
        if not same_cells:
            return NOTHING
        other = same_cells.get(protocol_id(record))
        if other is None:
            return "other protocol"
        score = other.score
        assert score is not None  # it has the same finished cells
        # Two equal scores on a board must not differ by a rounding of the last bit.
        inside = interval.low - 1e-9 <= score <= interval.high + 1e-9
        return "yes" if inside else f"no (published {figure(score)})"


def _of_seeds(records: Iterable[Record], seeds: Sequence[int]) -> Row | None:
    """Their row of these seeds alone: a run of one seed may reproduce what is published of three."""
    own = [record for record in records if record.data["seed"] in seeds]
    return pool(own) if own else None


def _question(record: Record) -> _Question:
    data = record.data
    return data["suite"], data["dataset"], data["architecture"], data["size"]
