"""Learning curves as vector graphics that need no script: points, ticks and lines in the units of a view box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ferbench.benchmark.records.record import Record

WIDTH, HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 36
_FEWEST = 4
"""Steps that an axis has at least."""


@dataclass(frozen=True)
class Line:
    """One stage of one cell. points: `x,y x,y`, as SVG wants them."""

    title: str
    points: str
    single: tuple[float, float] | None
    """Where a stage of one epoch is, which is no line."""


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Curves:
    """One panel. left, right, top and bottom: the edges of its axes."""

    label: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = HEIGHT - _BOTTOM


def curves(records: Sequence[Record], key: str, label: str) -> Curves | None:
    """The entry `key` of the histories over epochs, the stages one after another but not joined; None without any."""
    found: list[tuple[str, list[tuple[int, float]]]] = []
    for record in records:
        stages: dict[str, list[tuple[int, float]]] = {}
        for number, entry in enumerate(record.data["history"], start=1):
            if entry.get(key) is not None and math.isfinite(entry[key]):
                stages.setdefault(str(entry["stage"]), []).append((number, float(entry[key])))
        cell = f"seed {record.data['seed']}, fold {record.data['fold']}"
        found += [(f"{cell}, {stage}", points) for stage, points in stages.items()]
    if not found:
        return None
    values = [value for _, points in found for _, value in points]
    last = max(number for _, points in found for number, _ in points)
    y_values = _steps(min(0.0, *values), max(values))
    x_values = [x for x in _steps(1, last) if 1 <= x <= last and x == int(x)] or [1]

    def x(number: float) -> float:
        return round(_LEFT + (number - 1) / max(1, last - 1) * (WIDTH - _RIGHT - _LEFT), 1)

    def y(value: float) -> float:
        share = (value - y_values[0]) / (y_values[-1] - y_values[0])
        return round(HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP), 1)

    return Curves(
        label,
        tuple(_line(title, [(x(number), y(value)) for number, value in points]) for title, points in found),
        tuple(Tick(x(each), f"{each:.0f}") for each in x_values),
        tuple(Tick(y(each), f"{each:g}") for each in y_values),
    )


def _line(title: str, points: list[tuple[float, float]]) -> Line:
    return Line(title, " ".join(f"{x},{y}" for x, y in points), points[0] if len(points) == 1 else None)


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`."""
    span = (high - low) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span))
    step = next((m * magnitude for m in (1, 0.5, 0.25, 0.2) if span / (m * magnitude) >= _FEWEST - 1e-9), magnitude / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 10) for number in range(first, max(last, first + 1) + 1)]
