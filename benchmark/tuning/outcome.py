"""What a search leaves: its trials as a table, and the recipes that it chooses as a file that a suite names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.planning.tuned import Tuned
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.tuning.space import as_recipe
from ferbench.benchmark.tuning.study import Tried, best_of
from ferbench.benchmark.tuning.together import Candidate

RECIPES = "recipes.yaml"
TRIALS = "trials.json"
CANDIDATES = "candidates.json"


def write_trials(folder: Path, about: Mapping[str, object], rows: Mapping[str, Sequence[Tried]]) -> Path:
    """Every trial of every row with its recipe, its score and its curve on the validation part."""
    file = folder / TRIALS
    content = {**about, "rows": {row: [asdict(trial) for trial in tried] for row, tried in rows.items()}}
    with drafted(file) as draft:
        draft.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")  # curves of hundreds of epochs
    return file


def equal_chance(rows: Mapping[str, Sequence[Tried]], asked: int) -> int:
    """The number of trials that every row has had: those that more were made of have no better chance."""
    return min([asked, *(sum(not trial.by_hand for trial in tried) for tried in rows.values())])


def best_of_each(rows: Mapping[str, Sequence[Tried]], trials: int) -> dict[str, Tried]:
    """The best of each row among so many trials, without rows of which none has finished."""
    best = {row: best_of(tried, trials) for row, tried in rows.items()}
    return {row: trial for row, trial in best.items() if trial is not None}


def write_candidates(folder: Path, rows: Mapping[str, Sequence[Candidate]]) -> Path:
    """What was chosen on each data set, and its score on every one."""
    file = folder / CANDIDATES
    with drafted(file) as draft:
        draft.write_text(
            json.dumps({row: list(map(asdict, of_row)) for row, of_row in rows.items()}, indent=1), "utf-8"
        )
    return file


def write_recipes(
    folder: Path, cell: Cell, datasets: Sequence[str], seed: int, chosen: Mapping[str, Mapping[str, Any]], trials: int
) -> Path | None:
    """The chosen recipes as a suite has them; None where nothing can be chosen yet.

    Args:
        cell: of any of the rows.
        datasets: that they were chosen on, by their names on the board.
        seed: of the search, as it was asked for.
        chosen: the changes of each row.
    """
    if not trials or not chosen:
        return None
    assert cell.budget is not None
    tuned = Tuned(
        datasets=list(datasets), trials=trials, budget=cell.budget, size=cell.size, fold=cell.fold, seed=seed,
        recipes={row: as_recipe(changes) for row, changes in chosen.items()},
    )  # fmt: skip
    file = folder / RECIPES
    with drafted(file) as draft:
        text = yaml.safe_dump(tuned.model_dump(), sort_keys=False)
        draft.write_text(f"# Chosen by `tune`; a suite takes them over with `tuned: FILE`.\n{text}", encoding="utf-8")
    return file
