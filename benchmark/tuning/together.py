"""One recipe of a row for several data sets: what was chosen on each is trained on the others too, once.

The best on average over all of them is taken. On the data set that it was chosen on its score is the best of many, on
the others that of one training: of each candidate one of the two, so that none has the better of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.planning.data import Location
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.running.claims import Claims
from ferbench.benchmark.tuning.space import row_name
from ferbench.benchmark.tuning.study import BY_HAND, CHANGES, ROW, TURN, RowStudy, Tried, is_done

if TYPE_CHECKING:
    from optuna.trial import Trial

UNFINISHED = 0.0
"""What a training counts for that failed."""


class Guests(RowStudy):
    """Recipes of a row that were chosen on other data sets, each trained once on this one. No trials of its search.

    Args:
        recipes: their changes, by the data set that each was chosen on.
    """

    PART = "guests"

    def __init__(
        self, cell: Cell, location: Location, folder: Path, device_type: str, claims: Claims,
        recipes: Mapping[str, Mapping[str, Any]],
    ) -> None:  # fmt: skip
        super().__init__(cell, location, folder, device_type, claims)
        self.recipes = {chosen_on: dict(changes) for chosen_on, changes in recipes.items()}

    def missing(self, trials: int) -> int:
        """How many are not done with, whatever the number of trials."""
        done = {trial.user_attrs[ROW] for trial in self.trials() if is_done(trial)}
        return len({row_name(self.row, changes) for changes in self.recipes.values()} - done)

    def begin(self, trials: int) -> Trial | None:
        """The next one, claimed by this process; None where all are done with or at work. Call it while `asking`."""
        begun = {t.user_attrs.get(ROW) for t in self.trials() if is_done(t) or t.state.name == "RUNNING"}
        for chosen_on, changes in self.recipes.items():
            if row_name(self.row, changes) not in begun:
                row = row_name(self.row, changes)
                return self.ask({TURN: f"as on {chosen_on}", BY_HAND: True, CHANGES: changes, ROW: row})
        return None

    def scores(self) -> dict[str, float]:
        """What came of each, by the data set that it was chosen on."""
        values = {trial.row: trial.value for trial in self.tried()}
        found = {on: values.get(row_name(self.row, changes)) for on, changes in self.recipes.items()}
        return {on: UNFINISHED if value is None else value for on, value in found.items()}


@dataclass(frozen=True)
class Candidate:
    """What was chosen for a row on one data set."""

    chosen_on: str
    changes: Mapping[str, Any]
    scores: Mapping[str, float]
    """On the validation part of each data set."""

    @property
    def mean(self) -> float:
        return fmean(self.scores.values())


def candidates(best: Mapping[str, Tried], guests: Mapping[str, Guests]) -> list[Candidate]:
    """What was chosen for one row on each data set, with its score on every one.

    Args:
        best: by data set.
        guests: by data set; of one on which nothing was chosen too.
    """
    seen = {dataset: study.scores() for dataset, study in guests.items()}
    return [
        Candidate(on, tried.changes, {
            dataset: (tried.value or UNFINISHED) if dataset == on else seen[dataset][on] for dataset in guests
        })
        for on, tried in best.items()
    ]  # fmt: skip


def best_of_all(of_row: Sequence[Candidate]) -> Candidate:
    """The best on average; of equals the first."""
    return max(of_row, key=lambda candidate: candidate.mean)
