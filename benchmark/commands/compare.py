"""`compare`: two cells, or two architectures on a data set, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from ferbench.benchmark.board.cell_facts import flat
from ferbench.benchmark.board.comparison import difference, trained_beside
from ferbench.benchmark.board.costs import hardware
from ferbench.benchmark.board.find import find_row
from ferbench.benchmark.board.markdown import count
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import protocol_id, sections
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.measures.statistics import mcnemar
from ferbench.benchmark.records.record import read_records

_EXAMPLES = 10
_PER_CELL = ("created", "commit", "dirty")
"""Entries of an environment that differ between any two cells or are told of the version."""


def compare_cells(results: Path, first: str, second: str) -> str:
    """What differs between two cells (see `find_row`), by how much `second` is better, and where they disagree.

    Raises:
        RequestError: there is no such cell, or it has not finished.
    """
    a, b = find_row(results, first), find_row(results, second)
    parts = [_scores(a, b), *(_differing(a, b, kind) for kind in ("protocol", "recipe", "environment"))]
    parts += [_verdict(a, b, _table_of(results, a, b)), _disagreement(a, b)]
    return "\n\n".join(part for part in parts if part)


def _scores(a: Row, b: Row) -> str:
    shared = [name for name in a.scores if name in b.scores]
    lines = [[name, f"{a.scores[name]:.3f}", f"{b.scores[name]:.3f}"] for name in shared]
    lines.append(["seeds x folds", *(f"{len(row.seeds)} x {len(row.folds)}" for row in (a, b))])
    headers = ["", *(f"{which}: {row.title}, {row.finished[0].data['dataset']}" for which, row in (("A", a), ("B", b)))]
    return tabulate(lines, headers, tablefmt="simple", disable_numparse=True)


def _differing(a: Row, b: Row, kind: str) -> str:
    """Entries that are not the same, in two columns."""
    one, other = (flat(row.finished[0].data[kind]) for row in (a, b))
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    lines = [[name, str(one.get(name, "-")), str(other.get(name, "-"))] for name in names if name not in _PER_CELL]
    if not lines:
        return f"{kind}: the same"
    return tabulate(lines, [f"{kind} differs", "A", "B"], tablefmt="simple", disable_numparse=True)


def _table_of(results: Path, a: Row, b: Row) -> Sequence[Row]:
    """The rows of the table of the board that holds both; none where there is no such table."""
    for section in sections(read_records(results)):
        for table in section.tables:
            held = {record.path for row in table.unsorted for record in row.finished}
            if held >= {a.finished[0].path, b.finished[0].path}:
                return table.unsorted
    return ()


def _verdict(a: Row, b: Row, beside: Sequence[Row]) -> str:
    """The paired difference, or why there is none. beside: the rows of their table."""
    if a.headline != b.headline:
        return f"no difference: A is measured in {HEADLINES[a.headline]}, B in {HEADLINES[b.headline]}"
    one, other = a.finished[0], b.finished[0]
    if one.data["source"] != other.data["source"] or protocol_id(one)[1] != protocol_id(other)[1]:
        return "no difference: they are on other data or other classes, so their scores answer different questions"
    change = difference(a, b, beside)
    if change is None:
        return "no paired difference: they do not hold the same test samples"
    low, high = change.interval.low, change.interval.high
    lines = [
        f"B minus A: {change.value:+.4f} {HEADLINES[a.headline]}, 95% [{low:+.4f}, {high:+.4f}], p = {change.p:.4f} "
        f"(paired bootstrap over {change.interval.unit}s)"
    ]
    several = [row for row in (a, b, *trained_beside(a, b, beside)) if len(row.seeds) > 1]
    if several:
        lines.append(
            "the interval is of these trained models; p counts how much trainings differ, as the seeds of "
            f"{count(len(several), 'row')} show it, and is not corrected for the number of pairs"
        )
    if 1 in (len(a.seeds), len(b.seeds)):
        lines.append("one seed: this compares trained models; what another training would give is not known")
    if protocol_id(one) != protocol_id(other):
        lines.append("their protocols differ: the difference is not that of the architectures alone")
    if hardware(one) != hardware(other):
        lines.append("they ran on different hardware: their speeds must not be compared")
    return "\n".join(lines)


def _disagreement(a: Row, b: Row) -> str:
    """Where one is right and the other wrong, by class and by sample; of the first seed of either."""
    assert a.samples is not None
    assert b.samples is not None
    if a.headline == "ccc" or not a.samples.same_as(b.samples) or a.num_classes != b.num_classes:
        return ""
    names = a.finished[0].data["classes"]
    labels, one, other = a.samples.labels, a.samples.predicted[0], b.samples.predicted[0]
    right_a, right_b = one == labels, other == labels
    only_a, only_b = right_a & ~right_b, right_b & ~right_a
    counts = (
        f"first seeds: both right {(right_a & right_b).sum()}, only A {only_a.sum()}, only B {only_b.sum()}, "
        f"both wrong {(~right_a & ~right_b).sum()} of {len(labels)} samples; "
        f"McNemar p = {mcnemar(labels, one, other):.4f} (takes samples as independent)"
    )
    of_a, of_b = (Counter(labels[which].tolist()) for which in (only_a, only_b))
    by_class = [[name, of_a[index], of_b[index]] for index, name in enumerate(names) if of_a[index] or of_b[index]]
    parts = [counts]
    if by_class:
        parts.append(tabulate(by_class, ["true class", "only A right", "only B right"], tablefmt="simple"))
    places = np.flatnonzero(one != other)[:_EXAMPLES]
    lines = [[a.samples.names[i], names[labels[i]], names[one[i]], names[other[i]]] for i in places]
    if lines:
        headers = ["they disagree on", "truth", "A", "B"]
        parts.append(tabulate(lines, headers, tablefmt="simple", disable_numparse=True))
        more = int((one != other).sum()) - len(lines)
        parts += [f"and on {more} more"] if more > 0 else []
    return "\n\n".join(parts)
