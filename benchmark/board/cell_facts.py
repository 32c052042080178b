"""What is told of a cell, or of a row of cells, wherever it is shown: how to run it again, what it finds hardest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
import pandas as pd

from benchmark.board.rows import Row

_HARDEST = 10


@dataclass(frozen=True)
class Hard:
    """A sample that a row is most wrong about."""

    sample: str
    truth: str
    predicted: str
    measure: float
    """Score of the true class, averaged over the seeds; of a regression the error of the mean prediction."""


def command(row: Row) -> str:
    """What runs these cells, if nothing has changed since; the others of the same architecture with them."""
    data = row.records[0].data
    dataset = data["dataset"].removesuffix("-twin")
    words = ["--suite", data["suite"], "--architectures", data["architecture"], "--datasets", dataset]
    words += ["--data", "DIR"] if data["source"] == "real" else []
    return " ".join(["python -m benchmark run", *map(quote, words)])


def hardest(row: Row) -> list[Hard]:
    """The samples whose true class got the lowest score, averaged over the seeds; of a regression those with the
    largest error. The hardest first."""
    names = row.records[0].data["classes"]
    tables = []
    for record in row.finished:
        table = record.predictions().assign(fold=record.data["fold"])
        if row.headline == "ccc":
            tables.append(table[["fold", "sample", "target", "value"]])
            continue
        scores = table[[f"score_{name}" for name in names]].to_numpy()
        tables.append(table.assign(given=scores[np.arange(len(table)), table["label"]]))
    if not tables:
        return []
    every = pd.concat(tables).groupby(["fold", "sample"], sort=True)
    if row.headline == "ccc":
        means = every.agg({"target": "first", "value": "mean"})
        means = means.assign(error=(means["value"] - means["target"]).abs())
        worst = means.sort_values("error", ascending=False, kind="stable").head(_HARDEST).reset_index()
        return [Hard(str(w.sample), f"{w.target:.3f}", f"{w.value:.3f}", float(w.error)) for w in worst.itertuples()]
    means = every.agg({"given": "mean", "label": "first", "predicted": "first"})
    worst = means.sort_values("given", kind="stable").head(_HARDEST).reset_index()
    return [Hard(str(w.sample), names[w.label], names[w.predicted], float(w.given)) for w in worst.itertuples()]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested entries as `stages.0.lr: 0.001`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            value = {str(index): each for index, each in enumerate(value)}
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
