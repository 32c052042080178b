"""What is told of a cell, or of a row of cells, wherever it is shown: how to run it again, what it finds hardest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.records.installation import PROGRAM

if TYPE_CHECKING:
    import pyarrow as pa

AGAIN = "results/again"
"""Where cells go that are run again."""
_HARDEST = 10


@dataclass(frozen=True)
class Hard:
    """A sample that a row is most wrong about."""

    sample: str
    truth: str
    predicted: str
    measure: float
    """Score of the true class, averaged over the seeds; of a regression the error of the mean prediction."""


def commands(row: Row) -> list[str]:
    """What runs these cells again, the others of the same architecture with them: one line for each request that they
    were made by. It makes them in a folder of their own, since where they lie they are finished."""
    asked = dict.fromkeys(tuple(record.data.get("asked") or _asked(record.data)) for record in row.records)
    return [" ".join([f"{PROGRAM} run", *map(quote, words), "--results", AGAIN]) for words in asked]


def _asked(data: Mapping[str, Any]) -> list[str]:
    """The words of the request, as far as an older record tells them."""
    dataset = data["dataset"].removesuffix("-twin")
    words = ["--suite", data["suite"], "--architectures", data["architecture"], "--datasets", dataset]
    return [*words, *(["--data", "DIR"] if data["source"] == "real" else [])]


def hardest(row: Row) -> list[Hard]:
    """The samples whose true class got the lowest score, averaged over the seeds; of a regression those with the
    largest error of the mean prediction. The hardest first."""
    if not row.finished:
        return []
    names = row.finished[0].data["classes"]
    truth, said = ("target", "value") if row.headline == "ccc" else ("label", "predicted")
    scores = [] if row.headline == "ccc" else [f"score_{name}" for name in names]
    read = [(record.data["fold"], record.opened().read(["sample", truth, said, *scores])) for record in row.finished]
    keys = [(fold, name) for fold, table in read for name in table["sample"].to_pylist()]
    truths = np.concatenate([table[truth].to_numpy() for _, table in read])
    first: dict[tuple[int, str], int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    place = {key: number for number, key in enumerate(first)}
    inverse = np.array([place[key] for key in keys])
    where = np.array(list(first.values()))
    predictions = np.concatenate([table[said].to_numpy() for _, table in read])
    given = np.concatenate([_of_truth(table, truth, scores) for _, table in read]) if scores else predictions
    means = np.bincount(inverse, given) / np.bincount(inverse)
    hard = means if scores else -np.abs(means - truths[where])
    worst = sorted(range(len(where)), key=lambda number: (hard[number], *keys[where[number]]))[:_HARDEST]
    if not scores:
        return [
            Hard(str(keys[where[n]][1]), f"{truths[where[n]]:.3f}", f"{means[n]:.3f}", float(-hard[n])) for n in worst
        ]
    return [
        Hard(str(keys[i][1]), names[truths[i]], names[predictions[i]], float(means[n]))
        for n, i in ((n, where[n]) for n in worst)
    ]


def _of_truth(table: pa.Table, truth: str, scores: Sequence[str]) -> NDArray[np.float64]:
    """(N,) the score that each sample's true class got."""
    given = np.stack([table[name].to_numpy() for name in scores], axis=1)
    return given[np.arange(len(given)), table[truth].to_numpy()]


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
