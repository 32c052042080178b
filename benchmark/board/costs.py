"""What a row costs, and on which hardware that was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmark.board.markdown import count
from benchmark.board.rows import Row
from benchmark.records import Record


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


def cost(row: Row) -> Cost | None:
    """The cost of a row; None for a floor, an oracle, or a row without a finished cell."""
    measured = [record for record in row.finished if record.data["cost"] and record.data["cost"]["params"] is not None]
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
    )


def hardware(record: Record) -> str:
    """All that must be equal for two speeds to be compared, in words; empty for a cell that never had a device."""
    environment = record.data["environment"]
    threads = environment.get("threads")
    if not environment.get("device"):
        return ""
    parts = [
        str(environment["device"]),
        count(threads, "thread") if isinstance(threads, int) else "",
        str(environment.get("precision") or ""),
    ]
    return ", ".join(filter(None, parts))


def hardware_letters(rows: Iterable[Row]) -> dict[str, str]:
    """A letter for each hardware that these rows were measured on."""
    names = sorted({found.hardware for row in rows if (found := cost(row)) is not None})
    return {name: chr(ord("A") + index) for index, name in enumerate(names)}


def _middle(costs: Sequence[dict[str, Any]], figure: str) -> float | None:
    known = [each[figure] for each in costs if each[figure] is not None]
    return float(median(known)) if known else None
