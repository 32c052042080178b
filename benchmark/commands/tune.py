"""`tune`: the same search for every row, on validation parts alone; then the recipes that it chooses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from ferbench.benchmark.commands.run import BACKENDS, choose_device
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, data_folder, locate
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import Cell, SizeName, budget_of, cells_of, load_suite
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.running.claims import Claims
from ferbench.benchmark.running.scheduler import refuse_read_only
from ferbench.benchmark.running.worker import threads
from ferbench.benchmark.tuning.outcome import best_of_each, equal_chance, write_candidates, write_recipes, write_trials
from ferbench.benchmark.tuning.search import search
from ferbench.benchmark.tuning.storage import refuse_without_optuna
from ferbench.benchmark.tuning.study import RowStudy, Tried, asks_for_a_value, best_of, seed_of
from ferbench.benchmark.tuning.together import Guests, best_of_all, candidates

SUITE = "tuning"
"""Of the cells of trials, which leave no record."""
LEAST_LIMIT, TIMES = 60, 4
"""A trial may take a minute and so many times its budget: to read what is frozen, to validate, beside other work."""


@dataclass(frozen=True)
class TuneRequest:
    """What is asked of `tune`."""

    architectures: list[str]
    """None at all: all rows of the suite on the data set that have a choice."""
    datasets: list[str]
    trials: int
    budget: str
    suite: str = "default"
    """It says how large a twin is, under which protocol data are read, and which rows there are."""
    size: str = ""
    """Other than the suite's."""
    seed: int = 0
    study: Path = Path("results/tuning")
    workers: int = 0
    device: str = "auto"
    data: Path | None = None
    together: bool = False
    """Also one recipe a row for all the data sets."""
    backend: str = "local"
    address: str = ""


def tune(asked: TuneRequest) -> int:
    """Searches on each data set in turn; returns the exit code.

    Raises:
        RequestError: the request itself is wrong; nothing has run then.
    """
    _refuse(asked)
    refuse_without_optuna()
    budget, device_type, folder = budget_of(asked.budget), choose_device(asked.device), data_folder(asked.data)
    cells = {dataset: _cells(asked, dataset, budget, folder) for dataset in asked.datasets}
    refuse_read_only(asked.study, "--study")
    placed = {dataset: (own, locate(own[0], folder)) for dataset, own in cells.items()}
    begun = [_Search(own, place, asked, device_type) for own, place in placed.values()]
    workers = asked.workers or (available_cores() if device_type == "cpu" else _gpus())
    for one in begun:
        print(one.words(workers))
        try:
            search(one.studies, asked.trials, device_type, workers, one.folder)
        finally:
            one.write()
        for line in one.chosen():
            print(line)
    if asked.together:
        _choose_together(begun, asked, workers)
    return 0


def _refuse(asked: TuneRequest) -> None:
    """Raises RequestError where options do not go together, or are none."""
    threads()
    if asked.backend not in BACKENDS:
        raise RequestError(f"unknown backend {asked.backend!r}: use local")
    if asked.backend != "local" or asked.address:
        raise RequestError("tune has no --backend ray: several searches on machines that share the --study folder "
                           "share its trials: start one on each")  # fmt: skip
    if not asked.datasets:
        raise RequestError("name the data sets to tune on: --datasets D")
    if asked.together and len(set(asked.datasets)) < 2:
        raise RequestError("--together: one recipe for several data sets: name two or more as --datasets D,E")
    if asked.together:
        _refuse_unlike(asked.datasets)
    if asked.trials < 1:
        raise RequestError(f"--trials {asked.trials}: at least one trial a row is needed")
    if not 0 <= asked.seed < 2**32:
        raise RequestError(f"--seed {asked.seed}: use a number from 0 to {2**32 - 1}")
    for row in asked.architectures:
        if "@" in row:
            raise RequestError(f"{row}: a variant has its recipe already: tune {row.partition('@')[0]}")


def _refuse_unlike(datasets: list[str]) -> None:
    """Raises RequestError where the mean of scores on these data sets would be one of unlike things."""
    known = [name for name in datasets if name in data_sets.names()]  # others are refused with the suite
    values, classes = ([name for name in known if asks_for_a_value(name) is kind] for kind in (True, False))
    if values and classes:
        raise RequestError(f"--together: {values[0]} asks for a value, {classes[0]} for a class: their scores have no "
                           "mean: tune on each")  # fmt: skip


def _cells(asked: TuneRequest, dataset: str, budget: float, data: Path | None) -> list[Cell]:
    """One cell a row on a data set: the first fold of the suite, under the budget, with a seed of the search's own.

    Raises:
        RequestError: an unknown row or data set, a row without that size, a row without a choice that is named.
    """
    name, suite = load_suite(asked.suite)
    changes: dict[str, object] = {"recipes": {}, "budget": None, "pairs": "all", "datasets": [dataset]}
    changes |= {"size": asked.size} if asked.size else {}
    changes |= {"architectures": asked.architectures, "also": []} if asked.architectures else {}
    if asked.size and asked.size not in get_args(SizeName):
        raise RequestError(f"--size {asked.size}: use {', '.join(get_args(SizeName))}")
    suite = suite.model_copy(update=changes)
    suite._tuned = None  # a search begins at the recipes of the files, not at those of an earlier one
    found = cells_of(name, suite, asked.architectures or None, [dataset], data)
    cells: dict[str, Cell] = {}
    for cell in found:
        if cell.kind == "architecture" and (asked.architectures or _has_choice(cell)):
            cells.setdefault(cell.architecture, cell)
    if not cells:
        raise RequestError("no row to tune: name architectures that are trained")
    return [
        replace(
            cell, suite=SUITE, seed=seed_of(asked.seed, dataset), budget=budget, epochs=1.0,
            time_limit=LEAST_LIMIT + int(TIMES * budget),
        )
        for cell in cells.values()
    ]  # fmt: skip


def _has_choice(cell: Cell) -> bool:
    """Whether a row has this size and trains anything of its own."""
    sizes = architectures.get(cell.architecture).sizes
    return cell.size in sizes and bool(sizes[cell.size].stages)


class _Search:
    """The search on one data set."""

    def __init__(self, cells: list[Cell], location: Location, asked: TuneRequest, device_type: str) -> None:
        self.asked, self.location, self.cell = asked, location, cells[0]
        self.folder = asked.study / location.name
        claims = Claims(self.folder)
        for cell in cells:
            _ = cell.image_size  # refuses a row without that size
        self.studies = [RowStudy(cell, location, self.folder, device_type, claims) for cell in cells]
        self.device_type = device_type

    def words(self, workers: int) -> str:
        missing = sum(study.missing(self.asked.trials) for study in self.studies)
        return (
            f"tuning {len(self.studies)} rows on {self.location.name} in {self.folder}: {self.asked.trials} trials of "
            f"{self.asked.budget} each beside the recipe by hand, {missing} trainings to do, {workers} at a time on "
            f"{self.device_type}; fold {self.cell.fold}, validation part of its training subjects; the test part stays "
            "closed"
        )

    def write(self) -> None:
        """Writes what there is, also of a search that was stopped."""
        rows = {study.row: study.tried() for study in self.studies}
        about = {
            "dataset": self.location.name, "size": self.cell.size, "budget": self.cell.budget, "seed": self.asked.seed,
            "fold": self.cell.fold, "trials": self.asked.trials,
        }  # fmt: skip
        write_trials(self.folder, about, rows)
        trials = equal_chance(rows, self.asked.trials)
        seed, chosen = self.asked.seed, {row: best.changes for row, best in best_of_each(rows, trials).items()}
        self.recipes = write_recipes(self.folder, self.cell, [self.location.name], seed, chosen, trials)

    def best(self) -> dict[str, Tried]:
        """What was chosen for each row; without those of which no trial has finished."""
        return best_of_each({study.row: study.tried() for study in self.studies}, self.asked.trials)

    def guests(self, chosen: Mapping[str, Mapping[str, Tried]]) -> dict[str, Guests]:
        """Of each row what was chosen on the other data sets, to be trained on this one.

        Args:
            chosen: by row and data set.
        """
        return {
            study.row: Guests(study.cell, study.location, self.folder, self.device_type, study.claims, {
                on: tried.changes for on, tried in chosen[study.row].items() if on != self.location.name
            })
            for study in self.studies if study.row in chosen
        }  # fmt: skip

    def chosen(self) -> list[str]:
        """What was chosen, a line a row."""
        lines = []
        for study in self.studies:
            tried = study.tried()
            best, hand = best_of(tried, self.asked.trials), next(trial for trial in tried if trial.by_hand)
            failed = sum(trial.state == "failed" for trial in tried)
            before = "failed" if hand.value is None else f"{hand.value:.3f}"
            found = "nothing finished" if best is None else f"{best.value:.3f} with {best.row}"
            also = f", {failed} failed" if failed else ""
            lines.append(f"{study.row}: by hand {before}, chosen {found}{also}")
        return [*lines, f"{self.recipes} written" if self.recipes else "no recipe could be chosen"]


def _choose_together(searches: list[_Search], asked: TuneRequest, workers: int) -> None:
    """Trains what was chosen on each data set on the others, and writes the recipes that are the best on average."""
    best = {one.location.name: one.best() for one in searches}
    rows = [row for row in best[searches[0].location.name] if all(row in own for own in best.values())]
    chosen = {row: {name: own[row] for name, own in best.items()} for row in rows}
    guests = {one.location.name: one.guests(chosen) for one in searches}
    for one in searches:
        studies = list(guests[one.location.name].values())
        print(f"what was chosen on other data sets, trained on {one.location.name}: "
              f"{sum(study.missing(asked.trials) for study in studies)} trainings to do")  # fmt: skip
        search(list[RowStudy](studies), asked.trials, one.device_type, workers, one.folder)
    found = {row: candidates(chosen[row], {name: own[row] for name, own in guests.items()}) for row in rows}
    write_candidates(asked.study, found)
    taken = {row: best_of_all(of_row) for row, of_row in found.items()}
    for row, one_recipe in taken.items():
        scores = ", ".join(f"{name} {score:.3f}" for name, score in one_recipe.scores.items())
        print(f"{row}: what was chosen on {one_recipe.chosen_on}: {scores}")
    changes = {row: one_recipe.changes for row, one_recipe in taken.items()}
    file = write_recipes(asked.study, searches[0].cell, list(best), asked.seed, changes, asked.trials)
    print(f"{file} written" if file else "no recipe could be chosen")


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
