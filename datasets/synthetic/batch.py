"""Dataclasses of tensors with one leading dimension, and the per-item random numbers that fill them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor


class Batch:
    """Base of a dataclass whose every field is a tensor (N, ...) of the same N."""

    def __len__(self) -> int:
        first: Tensor = getattr(self, fields(self)[0].name)  # type: ignore[arg-type]
        return int(first.shape[0])

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with `change` applied to each tensor."""
        values: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            values[field.name] = change(getattr(self, field.name))
        return type(self)(**values)

    def __getitem__(self, index: Tensor | slice | Sequence[int]) -> Self:
        """Items by slice, or gathered by an integer index (M,); an item may be repeated."""
        if isinstance(index, slice):
            return self.map(lambda value: value[index])
        rows = torch.as_tensor(index, dtype=torch.long)
        return self.map(lambda value: value[rows.to(value.device)])

    def on_pixels(self) -> Self:
        """The same batch with two trailing axes of size 1, to be spread over pixels."""
        return self.map(lambda value: value.reshape(*value.shape, 1, 1))

    def to(self, device: torch.device | str) -> Self:
        return self.map(lambda value: value.to(device))


class Draws:
    """Columns of random numbers, one row an item; a row depends on that item's seed alone.

    Columns are handed out in order of the calls, so add new draws at the end of a function:
    then what exists keeps its value.
    """

    def __init__(self, tag: int, seeds: Sequence[int], columns: int) -> None:
        rows = [np.random.default_rng([tag, int(seed) & 0xFFFFFFFFFFFFFFFF]).random(columns) for seed in seeds]
        self._values = np.stack(rows) if rows else np.zeros((0, columns))
        self._next = 0

    def __len__(self) -> int:
        return len(self._values)

    def unit(self) -> np.ndarray:
        """(N,) uniform in 0 to 1."""
        return self.units(1)[:, 0]

    def units(self, count: int) -> np.ndarray:
        """(N, count) uniform in 0 to 1."""
        self._next += count
        if self._next > self._values.shape[1]:
            raise IndexError(f"only {self._values.shape[1]} columns of random numbers: ask for more")
        return np.asarray(self._values[:, self._next - count : self._next])

    def between(self, low: float, high: float) -> np.ndarray:
        return low + (high - low) * self.unit()

    def around(self, mean: float, spread: float) -> np.ndarray:
        """Bell-shaped (sum of three uniforms), never further than 3 `spread` from `mean`."""
        return mean + spread * 2.0 * (self.units(3).sum(1) - 1.5)

    def chance(self, probability: float | np.ndarray) -> np.ndarray:
        return np.asarray(self.unit() < probability, dtype=np.float64)

    def pick(self, table: np.ndarray, weights: Sequence[float]) -> np.ndarray:
        """(N, K) rows of `table` (M, K), drawn with the given weights (M)."""
        bounds = np.cumsum(np.asarray(weights) / np.sum(weights))
        chosen = np.minimum(np.searchsorted(bounds, self.unit(), side="right"), len(table) - 1)
        return np.asarray(table[chosen])


def tensor(values: np.ndarray, device: torch.device | str) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)
