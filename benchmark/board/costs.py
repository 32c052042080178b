"""What a row costs, and on which hardware that was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any
from weakref import WeakKeyDictionary

from ferbench.benchmark.board.markdown import count
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable
from ferbench.benchmark.records.record import Record


@dataclass(frozen=True)
class Cost:
    """Medians over the cells that ran on one hardware; None where nothing was measured."""

    hardware: str
    other_cells: int
    """Cells of the row that ran elsewhere; their figures are not in here."""
    params: float | None
    macs: float | None
    params_full: float | None
    macs_full: float | None
    train_samples_per_s: float | None
    infer_samples_per_s: float | None
    infer_batches: tuple[int, ...]
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    peak_memory_mb: float | None
    throughput_by_batch: dict[int, float]
    """Inputs a second by batch size; empty where only the best was measured."""


COSTS = ("params", "macs", "latency_ms_p50")
"""What a score is weighed against."""


_KNOWN: WeakKeyDictionary[Row, Cost | None] = WeakKeyDictionary()
"""Asked of a row in many places, and found by going through all of its records."""


def cost(row: Row) -> Cost | None:
    """The cost of a row; None for a floor, an oracle, or a row without a finished cell."""
    if row not in _KNOWN:
        _KNOWN[row] = _cost(row)
    return _KNOWN[row]


def _cost(row: Row) -> Cost | None:
    measured = [record for record in row.finished if _is_measured(record.data["cost"])]
    if not measured:
        return None
    by_hardware: dict[str, list[Record]] = defaultdict(list)
    for record in measured:
        by_hardware[hardware(record)].append(record)
    most = min(by_hardware, key=lambda name: (-len(by_hardware[name]), name))
    costs = [record.data["cost"] for record in by_hardware[most]]
    batches = {batch for each in costs if (batch := each["infer_batch"]) is not None}
    return Cost(
        hardware=most,
        other_cells=len(measured) - len(costs),
        params=_middle(costs, "params"),
        macs=_middle(costs, "macs"),
        params_full=_middle(costs, "params_full"),
        macs_full=_middle(costs, "macs_full"),
        train_samples_per_s=_middle(costs, "train_samples_per_s"),
        infer_samples_per_s=_middle(costs, "infer_samples_per_s"),
        infer_batches=tuple(sorted(batches)),
        latency_ms_p50=_middle(costs, "latency_ms_p50"),
        latency_ms_p95=_middle(costs, "latency_ms_p95"),
        peak_memory_mb=_middle(costs, "peak_memory_mb"),
        throughput_by_batch=_by_batch(costs),
    )


def pareto(data: DataTable) -> dict[str, list[str]]:
    """Of each row, the costs (of `COSTS`) by which it lies on the Pareto front of its table: no other ranked row has at
    least its score for less, or more for as much. Latencies are compared on one hardware only."""
    found: dict[str, list[str]] = {row.architecture: [] for row in data.rows}
    ranked = [(row, measured) for row in data.ranked if (measured := cost(row)) is not None and row.score is not None]
    for name in COSTS:
        groups: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
        for row, measured in ranked:
            if (value := getattr(measured, name)) is not None and row.score is not None:
                group = measured.hardware if name == "latency_ms_p50" else ""
                groups[group].append((row.architecture, row.score, value))
        for group_rows in groups.values():
            for architecture, score, value in group_rows:
                beaten = any(s >= score and v <= value and (s > score or v < value) for _, s, v in group_rows)
                if not beaten:
                    found[architecture].append(name)
    return found


def setting(record: Record) -> dict[str, str]:
    """What must be equal for two scores to differ by nothing but the architecture, in words."""
    torch = record.data["environment"].get("torch")
    machine = ", ".join(filter(None, [hardware(record), f"torch {torch}" if torch else ""]))
    return {"machine": machine, "training": str(record.data["key_parts"].get("training_code", ""))}


def hardware(record: Record) -> str:
    """All that must be equal for two speeds to be compared, in words; empty for a cell that never had a device."""
    environment = record.data["environment"]
    return _in_words(*(environment.get(name) for name in ("device", "threads", "precision")))


@cache
def _in_words(device: object, threads: object, precision: object) -> str:
    if not device:
        return ""
    parts = [str(device), count(threads, "thread") if isinstance(threads, int) else "", str(precision or "")]
    return ", ".join(filter(None, parts))


def hardware_letters(rows: Iterable[Row]) -> dict[str, str]:
    """A letter for each hardware that these rows were measured on."""
    names = sorted({found.hardware for row in rows if (found := cost(row)) is not None})
    return {name: chr(ord("A") + index) for index, name in enumerate(names)}


def _is_measured(cost: dict[str, Any] | None) -> bool:
    """Whether anything is known of what a cell costs; of an ensemble it is not where it is of no member."""
    return cost is not None and any(cost[name] is not None for name in COSTS)


def _by_batch(costs: Sequence[dict[str, Any]]) -> dict[int, float]:
    """The median over the cells, of each batch size that all of them could hold."""
    each = [{int(batch): value for batch, value in (c.get("throughput_by_batch") or {}).items()} for c in costs]
    shared = sorted(set.intersection(*map(set, each)))
    return {batch: float(median(found[batch] for found in each)) for batch in shared}


def _middle(costs: Sequence[dict[str, Any]], figure: str) -> float | None:
    known = [each[figure] for each in costs if each[figure] is not None]
    return float(median(known)) if known else None
