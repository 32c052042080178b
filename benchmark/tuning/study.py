"""The search of one row: what it was made with, its trials, and what it chooses."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location
from ferbench.benchmark.planning.identity import key_parts, keys_below
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.provenance import code_hash
from ferbench.benchmark.running.claims import Claims
from ferbench.benchmark.tuning.space import Space, row_name, space_of, suggested, told
from ferbench.benchmark.tuning.storage import JOURNAL, sampler, study_in
from ferbench.benchmark.tuning.trial import Attempt, Task
from ferbench.datasets.streams import number_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

MADE_WITH, BY_HAND, TURN, ROW, CHANGES, ATTEMPT = "made with", "by hand", "turn", "row", "changes", "attempt"
"""Under which a study and its trials keep what Optuna does not ask for. What is `by hand` is no trial of the search."""

IN_WORDS = {
    "code": "code of the row", "training_code": "training code", "data": "data", "space": "search space",
    "storage": "sampler or pruner",
    "starting_weights": "starting weights", "budget": "budget", "size": "size", "seed": "seed", "fold": "fold",
    "protocol": "protocol", "device_type": "kind of device", "lenders": "code of rows that it starts from",
}  # fmt: skip
LAST_SEED = 2**32


@dataclass(frozen=True)
class Tried:
    """A trial that is done with, as the table and the report have it."""

    number: int
    """From 1 for the trials of the search, 0 for the recipe by hand and what is kept apart from the search."""
    row: str
    """The name that runs this recipe."""
    by_hand: bool
    """The recipe of the row's own file, which is tried first and beside the search's trials."""
    changes: dict[str, Any]
    state: str
    value: float | None
    reason: str
    seconds: float
    curve: list[dict[str, Any]]


def seed_of(seed: int, dataset: str) -> int:
    """The seed of all trainings of a search: of a stream of its own, far above the seeds that people write."""
    return LAST_SEED // 2 + number_of(seed, "tuning", dataset) % (LAST_SEED // 2)


class RowStudy:
    """The search of a row on one data set.

    Raises:
        RequestError: there is no choice, or the study was made with something else.
    """

    PART = ""
    """Of a row's trainings, those that are kept apart from its search."""

    def __init__(self, cell: Cell, location: Location, folder: Path, device_type: str, claims: Claims) -> None:
        self.row, self.cell, self.location = cell.architecture, cell, location
        self.device_type, self.claims, self.folder = device_type, claims, folder
        self.size = architectures.get(self.row).sizes[cell.size]
        self.space: Space = space_of(self.row, self.size, of_classes=not asks_for_a_value(cell.dataset))
        self.name = "/".join(filter(None, (location.name, self.row, self.PART)))
        self.study = study_in(folder / JOURNAL, self.name)
        self._refuse_another(made_with(cell, location, device_type))

    def _refuse_another(self, now: Mapping[str, Any]) -> None:
        """Keeps what this search is made with, or refuses one that was made with something else."""
        before = self.study.user_attrs.get(MADE_WITH)
        if before is None:
            if self.study.get_trials(deepcopy=False):
                raise RequestError(f"{self.folder}: its study of {self.row} says not what it was made with: use --study"
                                   " DIR for a new one")  # fmt: skip
            self.study.set_user_attr(MADE_WITH, dict(now))
            return
        other = [part for part in dict.fromkeys([*now, *before]) if now.get(part) != before.get(part)]
        if other:
            words = ", ".join(IN_WORDS.get(part, part) for part in other)
            raise RequestError(f"{self.folder}: its study of {self.row} was made with another version: other {words}: "
                               "use --study DIR for a new one")  # fmt: skip

    def trials(self) -> list[FrozenTrial]:
        """All that were begun, by number."""
        return self.study.get_trials(deepcopy=False)

    def counted(self) -> list[FrozenTrial]:
        """The search's trials that are done with, whatever came of them, by number."""
        return [trial for trial in self.trials() if is_done(trial) and not trial.user_attrs.get(BY_HAND)]

    def begun(self) -> int:
        """How many are done with or at work, the recipe of the file included."""
        return sum(is_done(trial) or trial.state.name == "RUNNING" for trial in self.trials())

    def missing(self, trials: int) -> int:
        """How many of so many trials, and of the recipe of the file, are not done with."""
        done = [trial for trial in self.trials() if is_done(trial)]
        by_hand = any(trial.user_attrs.get(BY_HAND) for trial in done)
        return max(0, trials - len(done) + by_hand) + (not by_hand)

    def running(self) -> list[FrozenTrial]:
        """Those that are at work here or elsewhere."""
        return [trial for trial in self.trials() if trial.state.name == "RUNNING"]

    def forget_left(self, own: Iterable[int]) -> None:
        """Gives up the trials that a search left when it was killed: they do not count. Call it while `asking`.

        Args:
            own: numbers of the trials that are at work for this process.
        """
        from optuna.trial import TrialState

        for trial in self.running():
            if trial.number not in own and self.claims.take(self._claim(trial.number)):
                self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
                self.claims.leave(self._claim(trial.number))

    def begin(self, trials: int) -> Trial | None:
        """The next trial, claimed by this process; None where enough are done or at work. Call it while `asking`."""
        seen = self.trials()
        by_hand = any(t.user_attrs.get(BY_HAND) and (is_done(t) or t.state.name == "RUNNING") for t in seen)
        at_work = [t for t in self.running() if not t.user_attrs.get(BY_HAND)]
        if by_hand and len(self.counted()) + len(at_work) >= trials:
            return None
        taken = {t.user_attrs.get(TURN) for t in seen if is_done(t) or t.state.name == "RUNNING"}
        turn = next(turn for turn in count() if turn not in taken)
        trial = self.ask({TURN: turn, BY_HAND: not by_hand})
        # A sampler of its own for each turn: a search that goes on draws what it would have drawn.
        self.study.sampler = sampler(number_of(self.cell.seed, "sampler", self.name, turn))
        changes = told(suggested(self.space, trial), self.size.stages) if by_hand else {}
        trial.set_user_attr(CHANGES, changes)
        trial.set_user_attr(ROW, row_name(self.row, changes))
        return trial

    def ask(self, about: Mapping[str, Any]) -> Trial:
        """A trial, claimed by this process, with what is known of it."""
        trial = self.study.ask()
        self.claims.take(self._claim(trial.number))
        for name, value in about.items():
            trial.set_user_attr(name, value)
        return trial

    def task(self, trial: Trial) -> Task:
        """What a worker is given of a trial."""
        cell = replace(self.cell, architecture=trial.user_attrs[ROW])
        name = f"{self.location.name} / {self.row} {label(trial.user_attrs[TURN])}"
        keys = {cell.architecture: "", **keys_below(cell, self.location, self.device_type)}
        return Task(
            name, cell, self.location, keys, self.device_type, self.folder / JOURNAL, self.name, trial._trial_id,
            unpruned=trial.user_attrs[BY_HAND],
        )  # fmt: skip

    def tell(self, trial: Trial, attempt: Attempt, seconds: float) -> None:
        """Keeps what came of a trial. One that failed is a bad one, which the sampler keeps away from."""
        from optuna.trial import TrialState

        trial.set_user_attr(ATTEMPT, {**asdict(attempt), "seconds": seconds})
        if attempt.state == "finished":
            self.study.tell(trial, attempt.value)
        else:
            self.study.tell(trial, state=TrialState.PRUNED)
        self.claims.leave(self._claim(trial.number))

    def leave(self, trial: Trial) -> None:
        """Gives a trial up that was stopped: it does not count."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        self.claims.leave(self._claim(trial.number))

    def tried(self) -> list[Tried]:
        """Every trial that is done with, the recipe of the file first."""
        done = [trial for trial in self.trials() if is_done(trial)]
        return sorted(map(_tried, done), key=lambda trial: (not trial.by_hand, trial.number))

    def _claim(self, number: int) -> str:
        return f"trial {self.name} {number}"


def label(turn: int | str) -> str:
    """What a trial is called beside its row."""
    if isinstance(turn, str):
        return turn
    return f"trial {turn}" if turn else "by hand"


def asks_for_a_value(dataset: str) -> bool:
    """Whether a data set asks for a value and not for a class."""
    return len(data_sets.get(dataset).classes) == 1


def made_with(cell: Cell, location: Location, device_type: str) -> dict[str, Any]:
    """All that a search's values depend on, by name."""
    parts = key_parts(cell, location, device_type)
    searched = {part: code_hash(f"ferbench.benchmark.tuning.{part}") for part in ("space", "storage")}
    return {**parts, **searched}


def best_of(tried: Iterable[Tried], trials: int) -> Tried | None:
    """What a search of so many trials chooses: the best of the first so many, of equals the first; None where none has
    finished. The recipe of the file is no candidate: nobody knows how long it was searched for."""
    first = [trial for trial in tried if not trial.by_hand][:trials]
    finished = [(t.value, t) for t in first if t.value is not None]
    return max(finished, key=lambda pair: pair[0], default=(0.0, None))[1]


class asking:  # noqa: N801 - used as `with asking(claims):`
    """Held by one process at a time while it looks which trials are missing and takes one."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    def __enter__(self) -> None:
        while not self.claims.take("asking"):
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self.claims.leave("asking")


def is_done(trial: FrozenTrial) -> bool:
    """Whether a trial is done with, whatever came of it."""
    return trial.state.name in ("COMPLETE", "PRUNED")


def _tried(trial: FrozenTrial) -> Tried:
    attrs = trial.user_attrs
    attempt = attrs[ATTEMPT]
    return Tried(
        number=0 if attrs[BY_HAND] else attrs[TURN],
        row=attrs[ROW],
        by_hand=attrs[BY_HAND],
        changes=attrs[CHANGES],
        state=attempt["state"],
        value=trial.value if attempt["state"] == "finished" else None,
        reason=attempt["reason"],
        seconds=attempt["seconds"],
        curve=attempt["curve"],
    )
