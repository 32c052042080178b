"""An ensemble: a weighted mean of what its members have answered, without any training of its own.

The weights are those of a grid over the simplex that score best on the validation part; of equals, the most even ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.measures.metrics import confusion_matrix, measure, tallies

if TYPE_CHECKING:
    import pandas as pd

    from ferbench.benchmark.records.record import Record

STEPS = 10
"""Weights are multiples of 1/STEPS."""


class MemberError(Exception):
    """A member has no finished record to take answers from."""


def fuse(members: Mapping[str, Record]) -> tuple[NDArray[np.float64], list[str], dict[str, float]]:
    """Fused answers to the test samples, (S,C), with the names of the samples and the weight of each member.

    Raises:
        MemberError: the members have answered different samples.
    """
    validation = [record.validation() for record in members.values()]
    test = [record.predictions() for record in members.values()]
    for tables in (validation, test):
        if any(list(table["sample"]) != list(tables[0]["sample"]) for table in tables):
            raise MemberError(f"{', '.join(members)} have answered different samples: run them again")
    weights = fit_weights([scores_of(t) for t in validation], validation[0]["label"].to_numpy())
    fused = np.tensordot(weights, np.stack([scores_of(t) for t in test]), axes=1)
    return fused, list(test[0]["sample"]), dict(zip(members, map(float, weights), strict=True))


def scores_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """(S,C) probabilities of saved predictions."""
    return table[[name for name in table if str(name).startswith("score_")]].to_numpy(dtype=np.float64)


def fit_weights(members: list[NDArray[np.float64]], label: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) weights, which sum to 1, of members' probabilities (S,C) that give the best ABAW on these labels."""
    grid = np.array([w for w in product(range(STEPS + 1), repeat=len(members)) if sum(w) == STEPS]) / STEPS
    grid = grid[np.argsort(((grid - 1 / len(members)) ** 2).sum(axis=1), kind="stable")]
    predicted = np.tensordot(grid, np.stack(members), axes=1).argmax(axis=2)
    classes = members[0].shape[1]
    abaw = [float(measure(tallies(confusion_matrix(label, row, classes)), "abaw")) for row in predicted]
    best: NDArray[np.float64] = grid[int(np.argmax(abaw))]
    return best


def fused_cost(members: Mapping[str, Record]) -> dict[str, Any]:
    """What the ensemble costs: its members one after another; memory is that of the largest."""
    costs = [record.data["cost"] for record in members.values()]

    def total(name: str) -> Any:
        values = [cost[name] for cost in costs]
        return None if any(value is None for value in values) else sum(values)

    def one_after_another(name: str) -> float:
        return 1 / sum(1 / cost[name] for cost in costs)

    return {
        **{name: total(name) for name in ("params", "macs", "params_full", "macs_full")},
        "train_samples_per_s": one_after_another("train_samples_per_s"),
        "infer_samples_per_s": one_after_another("infer_samples_per_s"),
        "infer_batch": min(cost["infer_batch"] for cost in costs),
        "latency_ms_p50": total("latency_ms_p50"),
        "latency_ms_p95": total("latency_ms_p95"),
        "latency_ms_samples": [],
        "peak_memory_mb": max(cost["peak_memory_mb"] for cost in costs),
    }
