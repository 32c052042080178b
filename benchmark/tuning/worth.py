"""What a search was worth: the expected best score over the number of trials, and how ranks change with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.measures.expected_best import agreement, expected_best, expected_best_interval, ranks_of
from ferbench.benchmark.measures.metrics import Array
from ferbench.benchmark.tuning.outcome import TRIALS

NOTHING_LEARNED = 0.0
"""What a trial counts for that failed before it was asked once."""


@dataclass(frozen=True)
class RowWorth:
    """One row of a search."""

    row: str
    by_hand: float | None
    """Score of the recipe of the file; None where that training failed."""
    trials: tuple[float, ...]
    """Score of each trial, in the order in which they were tried."""
    pruned: int
    failed: int

    def expected(self, numbers: Sequence[int]) -> Array:
        """Expected score of the best of so many trials."""
        return expected_best(self.trials, numbers)

    def interval(self, numbers: Sequence[int]) -> tuple[Array, Array]:
        """Its 95% interval over trials."""
        return expected_best_interval(self.trials, numbers)

    def found(self, number: int) -> float:
        """Score of what the search itself had found after so many trials."""
        return max(self.trials[:number])


@dataclass(frozen=True)
class Worth:
    """The search of several rows on one data set."""

    dataset: str
    size: str
    budget: float
    rows: tuple[RowWorth, ...]

    @property
    def trials(self) -> int:
        """That every row has had."""
        return min(len(row.trials) for row in self.rows)

    def scores(self, number: int) -> list[float]:
        """Expected score of each row at a number of trials; 0: its recipe by hand."""
        if number:
            return [float(row.expected([number])[0]) for row in self.rows]
        return [NOTHING_LEARNED if row.by_hand is None else row.by_hand for row in self.rows]

    def ranks(self, number: int) -> list[int]:
        """Rank of each row there."""
        return ranks_of(self.scores(number))

    def agreement(self, one: int, other: int) -> float:
        """Kendall's tau between the ranks at two numbers of trials."""
        return agreement(self.scores(one), self.scores(other))


def searches_in(folder: Path) -> list[Worth]:
    """The searches below a folder of studies, or in the folder of one; by name.

    Raises:
        RequestError: there is none, or one that cannot be read, or has not had a trial.
    """
    files = [folder / TRIALS] if (folder / TRIALS).is_file() else sorted(folder.glob(f"*/{TRIALS}"))
    if not files:
        raise RequestError(f"{folder}: no search is kept there: name a --study folder of `tune`")
    return [_worth(file) for file in files]


def _worth(file: Path) -> Worth:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        rows = tuple(_row(row, tried) for row, tried in content["rows"].items())
        worth = Worth(str(content["dataset"]), str(content["size"]), float(content["budget"]), rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{file}: not what `tune` writes ({type(error).__name__}: {error})") from None
    if lacking := next((row.row for row in rows if not row.trials), None):
        raise RequestError(f"{file}: {lacking} has had no trial yet: let `tune` go on")
    if not rows:
        raise RequestError(f"{file}: no row was searched")
    return worth


def _row(row: str, tried: list[dict[str, Any]]) -> RowWorth:
    hand = next((trial["value"] for trial in tried if trial["by_hand"]), None)
    trials = [trial for trial in tried if not trial["by_hand"]]
    states = [trial["state"] for trial in trials]
    return RowWorth(row, hand, tuple(map(_score, trials)), states.count("pruned"), states.count("failed"))


def _score(trial: dict[str, Any]) -> float:
    """What a trial counts for: its score; of one that was pruned, or failed on the way, the best that it had shown of
    its last stage, which is no more than it would have had."""
    if trial["value"] is not None:
        return float(trial["value"])
    stages = [epoch["stage"] for epoch in trial["curve"]]
    return max((epoch["val"] for epoch in trial["curve"] if epoch["stage"] == stages[-1]), default=NOTHING_LEARNED)
