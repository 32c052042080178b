"""What the page of a cell says, and that of all cells of an architecture on a data set: nothing but facts and figures,
not yet in any markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ferbench.benchmark.board.breakdowns import explained
from ferbench.benchmark.board.cell_facts import Hard, commands, flat, hardest
from ferbench.benchmark.board.comparison import compare
from ferbench.benchmark.board.costs import cost
from ferbench.benchmark.board.markdown import amount, figure
from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.site import addresses
from ferbench.benchmark.board.site.curves import Curves, curves
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.measures.statistics import Interval
from ferbench.benchmark.records.record import Record

_MEASURES = {
    "abaw": "ABAW (0.67 macro F1 + 0.33 accuracy)",
    "ccc": "CCC (mean over videos)",
    "accuracy": "accuracy",
    "f1_macro": "macro F1",
    "f1_weighted": "weighted F1",
    "uar": "UAR",
}
_FACTS = ("protocol", "recipe", "counts", "timing", "environment")
_LISTED = 3
"""Different values of an entry that are still written out."""


@dataclass(frozen=True)
class Confusion:
    """One line a true class: its name, F1, and for each predicted class the count and its share of the line."""

    classes: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[tuple[int, float], ...]], ...]


@dataclass(frozen=True)
class Page:
    """The page of a row; `record` is set where that is one cell."""

    address: str
    title: str
    row: Row
    record: Record | None
    status: str
    score: str
    bounds: str
    measures: dict[str, str]
    notes: list[str]
    command: str
    commit: str
    curves: list[Curves]
    confusion: Confusion | None
    hardest: list[Hard]
    breakdowns: dict[str, list[tuple[str, str]]]
    """By `subject` or `video`, each with its measure, the worst first."""
    looks: dict[str, str]
    """Where it looks, of a row on a twin that was asked."""
    cost: dict[str, str]
    facts: dict[str, dict[str, str]]
    cells: list[tuple[str, str, str, str]]
    """Of a row: seed, fold, score or reason of failure, and address of each of its cells."""


def row_page(section: Section, table: DataTable, row: Row, notes: Sequence[str]) -> Page:
    """All cells of an architecture on a data set, pooled as on the board."""
    cells = [_cell_line(record, row) for record in (*row.records, *row.outdated)]
    interval = table.comparison.intervals.get(row.architecture)
    return _page(addresses.of_row(section, table, row), row, None, interval, list(notes), cells)


def cell_page(record: Record, table: DataTable, row: Row) -> Page:
    """One cell of a row."""
    alone = pool([record], row.finished[0] if row.finished else None)
    notes = list(map(str, record.data["notes"]))
    if record.data["absent_classes"]:
        notes.insert(0, f"the data lack {', '.join(record.data['absent_classes'])}")
    if record in row.outdated:
        notes.insert(0, "of an earlier version of its code, weights or data: not part of any figure on the board")
    whole = row.finished == (record,)  # then the row's interval is the cell's
    interval = (table.comparison if whole else compare([alone], [], {})).intervals.get(row.architecture)
    return _page(addresses.of_cell(record), alone, record, interval, notes, [])


def _page(
    address: str,
    row: Row,
    record: Record | None,
    interval: Interval | None,
    notes: list[str],
    cells: list[tuple[str, str, str, str]],
) -> Page:
    where = f", seed {record.data['seed']}, fold {record.data['fold']}" if record else ""
    bounds = f"95% [{figure(interval.low)}, {figure(interval.high)}] over {interval.unit}s" if interval else ""
    measure = "CCC" if row.headline == "ccc" else "accuracy"
    units = {"subject": row.figures.by_subject, "video": row.figures.by_video}
    return Page(
        address=address,
        title=f"{row.title} on {row.records[0].data['dataset']}{where}",
        row=row,
        record=record,
        status="ok" if row.finished else "failed",
        score=f"{HEADLINES[row.headline]} {figure(row.score)}" if row.finished else "failed",
        bounds=bounds,
        measures={_MEASURES[name]: figure(value) for name, value in row.scores.items()} | _spreads(row),
        notes=notes,
        command="\n".join(commands(row)),
        commit=", ".join(_values(row.records, "environment").get("commit", [])),
        curves=_curves(row),
        confusion=_confusion(row),
        hardest=hardest(row),
        breakdowns={f"{measure} of each {kind}": _worst_first(each) for kind, each in units.items() if each},
        looks=_looks(row),
        cost=_cost(row),
        facts={kind: _joined(_values(row.records, kind)) for kind in _FACTS},
        cells=cells,
    )


def _cell_line(record: Record, row: Row) -> tuple[str, str, str, str]:
    if record.data["status"] != "ok":
        said = f"failed: {record.data['error'] or 'no reason'}"
    else:
        value = (record.data["metrics"] or {}).get(row.headline)
        said = figure(value) + (" (earlier version, left out)" if record in row.outdated else "")
    return str(record.data["seed"]), str(record.data["fold"]), said, addresses.of_cell(record)


def _spreads(row: Row) -> dict[str, str]:
    """Standard deviations over seeds and over folds, where there are several."""
    each = {"± seeds": row.seed_scores, "± folds": row.fold_scores}
    return {name: figure(float(values.std(ddof=1))) for name, values in each.items() if len(values) > 1}


def _curves(row: Row) -> list[Curves]:
    named = {f"val_{row.headline}": f"validation {HEADLINES[row.headline]}", "train_loss": "training loss"}
    found = [curves(row.finished, key, label) for key, label in named.items()]
    return [each for each in found if each is not None]


def _confusion(row: Row) -> Confusion | None:
    if row.confusion is None:
        return None
    names = tuple(map(str, row.finished[0].data["classes"]))
    lines = []
    for name, f1, counts in zip(names, row.figures.f1_per_class, row.confusion.tolist(), strict=True):
        total = sum(counts)
        lines.append((name, figure(f1), tuple((n, round(n / total, 3) if total else 0.0) for n in counts)))
    return Confusion(names, tuple(lines))


def _worst_first(each: Mapping[str, float]) -> list[tuple[str, str]]:
    return [(name, figure(value)) for name, value in sorted(each.items(), key=lambda item: (item[1], item[0]))]


def _looks(row: Row) -> dict[str, str]:
    found = explained(row)
    if found is None:
        return {}
    low, high = found.times_chance
    return {
        "relevance on the pixels that the expression moves": figure(found.inside),
        "times chance": f"{found.of_chance:.2f}, 95% [{low:.2f}, {high:.2f}]",
        "times chance of a bell in the middle": f"{found.middle_of_chance:.2f}",
        "correlation with the maps of random weights": f"{found.alike:.2f}",
        "by": found.method,
        "samples": str(found.samples),
    }


def _cost(row: Row) -> dict[str, str]:
    measured = cost(row)
    if measured is None:
        return {}
    return {
        "parameters (M)": amount(measured.params, 1e6),
        "GMACs": amount(measured.macs, 1e9),
        "paper's parameters (M)": amount(measured.params_full, 1e6),
        "paper's GMACs": amount(measured.macs_full, 1e9),
        "training (inputs/s)": amount(measured.train_samples_per_s),
        "inference (inputs/s)": amount(measured.infer_samples_per_s),
        "latency p50 (ms)": amount(measured.latency_ms_p50),
        "latency p95 (ms)": amount(measured.latency_ms_p95),
        "memory (MB)": amount(measured.peak_memory_mb),
        "measured on": measured.hardware,
    }


def _values(records: Sequence[Record], kind: str) -> dict[str, list[str]]:
    """Each entry with the different values that the records have for it."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, value in flat(record.data.get(kind) or {}).items():
            said = _said(value)
            if said not in (values := found.setdefault(name, [])):
                values.append(said)
    return found


def _joined(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    def several(each: Sequence[str]) -> str:
        return " | ".join(each) if len(each) <= _LISTED else f"{len(each)} different values, from {each[0]} on"

    return {name: several(each) for name, each in values.items()}


def _said(value: Any) -> str:
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(map(_said, value)) if isinstance(value, list) else str(value)
