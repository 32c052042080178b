"""What a search leaves: its trials as a table, and the recipes that it chooses as a file that a suite names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import yaml

from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.planning.tuned import Tuned
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.tuning.space import as_recipe
from ferbench.benchmark.tuning.study import Tried, best_of

RECIPES = "recipes.yaml"
TRIALS = "trials.json"


def write_trials(folder: Path, about: Mapping[str, object], rows: Mapping[str, Sequence[Tried]]) -> Path:
    """Every trial of every row with its recipe, its score and its curve on the validation part."""
    file = folder / TRIALS
    content = {**about, "rows": {row: [asdict(trial) for trial in tried] for row, tried in rows.items()}}
    with drafted(file) as draft:
        draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return file


def equal_chance(rows: Mapping[str, Sequence[Tried]], asked: int) -> int:
    """The number of trials that every row has had: those that more were made of have no better chance."""
    return min([asked, *(sum(not trial.by_hand for trial in tried) for tried in rows.values())])


def write_recipes(
    folder: Path, cell: Cell, dataset: str, seed: int, rows: Mapping[str, Sequence[Tried]], trials: int
) -> Path | None:
    """The best recipe of each row among so many trials; None where nothing can be chosen yet.

    Args:
        cell: of any of the rows.
        dataset: its name on the board.
        seed: of the search, as it was asked for.
    """
    best = {row: best_of(tried, trials) for row, tried in rows.items()}
    recipes = {row: as_recipe(trial.changes) for row, trial in best.items() if trial is not None}
    if not trials or not recipes:
        return None
    assert cell.budget is not None
    tuned = Tuned(
        dataset=dataset, trials=trials, budget=cell.budget, size=cell.size, fold=cell.fold, seed=seed, recipes=recipes
    )
    file = folder / RECIPES
    with drafted(file) as draft:
        text = yaml.safe_dump(tuned.model_dump(), sort_keys=False)
        draft.write_text(f"# Chosen by `tune`; a suite takes them over with `tuned: FILE`.\n{text}", encoding="utf-8")
    return file
