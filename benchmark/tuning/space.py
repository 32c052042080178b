"""The search space: declared once, the same for every row.

What a row's stages cannot have is left out by rule, never by name. Rates differ from stage to stage; the rest is one
value for all stages of a row, so that a row of four stages has hardly more to be found in its trials than one of one.
The optimiser stays the recipe's own: a rate means something else to another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ferbench.benchmark.errors import RequestError
from ferbench.models.architecture import Size, Stage
from ferbench.models.recipe_changes import Value, spelled

DIGITS = 2
"""Of a number that is tried: it stands in the row's name, and more of them change nothing."""


@dataclass(frozen=True)
class Range:
    """Numbers, whose logarithms are equally likely at first."""

    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """One of these."""

    options: tuple[str | int | float, ...]


Dimension = Range | Choice
Space = Mapping[str, Dimension]
"""By the key of the change (`models/recipe_changes.py`)."""

RATES = {"adam": Range(1e-4, 3e-2), "adamw": Range(1e-4, 3e-2), "sgd": Range(1e-3, 1.0)}
SHARED: Space = {
    "weight_decay": Range(1e-5, 0.3),
    "label_smoothing": Choice((0.0, 0.05, 0.1, 0.2)),
    "class_weights": Choice(("none", "sqrt_inverse")),
    "augmentation": Choice(("none", "light", "heavy")),
    "batch_size": Choice((8, 16, 32, 64)),
}
OF_CLASSES = ("label_smoothing", "class_weights")
"""What a value that is to be told does not have."""
MIRRORED = Choice(("none", "light"))
"""Augmentations of stages that read features: all but `none` mirror them, and no more."""


class Suggests(Protocol):
    """What proposes values: a trial of Optuna."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


def space_of(row: str, size: Size, of_classes: bool = True) -> Space:
    """What is searched of a row's recipe at one size.

    Args:
        of_classes: whether the data ask for a class, not for a value.

    Raises:
        RequestError: nothing of the row is trained, so there is no choice.
    """
    if not size.stages:
        raise RequestError(f"{row}: there is no choice to search in: nothing of its own is trained; tune the row that "
                           "it starts from")  # fmt: skip
    several = len(size.stages) > 1
    space: dict[str, Dimension] = {
        f"{stage.name}.lr" if several else "lr": RATES[stage.optimizer] for stage in size.stages
    }
    space |= {key: dimension for key, dimension in SHARED.items() if of_classes or key not in OF_CLASSES}
    if all(stage.reads for stage in size.stages):
        space["augmentation"] = MIRRORED
    return space


def suggested(space: Space, trial: Suggests) -> dict[str, Value]:
    """One change for each dimension."""
    changes: dict[str, Value] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Range):
            changes[key] = rounded(trial.suggest_float(key, dimension.low, dimension.high, log=True))
        else:
            changes[key] = trial.suggest_categorical(key, dimension.options)
    return changes


def rounded(number: float) -> float:
    """A number as it stands in a recipe."""
    return float(f"{number:.{DIGITS}g}")


def told(changes: Mapping[str, Value], stages: tuple[Stage, ...]) -> dict[str, Value]:
    """The changes without those that leave every stage as it is."""

    def same(key: str, value: Value) -> bool:
        name, _, field = key.rpartition(".")
        return all(getattr(stage, field) == value for stage in stages if not name or stage.name == name)

    return {key: value for key, value in changes.items() if not same(key, value)}


def row_name(base: str, changes: Mapping[str, Value]) -> str:
    """The row under these changes: a variant, or the row itself where nothing is changed."""
    return f"{base}@{spelled(changes)}" if changes else base


def as_recipe(changes: Mapping[str, Value]) -> dict[str, Any]:
    """Changes as a suite's `recipes` has them."""
    recipe: dict[str, Any] = {key: value for key, value in changes.items() if "." not in key}
    for key, value in changes.items():
        stage, _, field = key.rpartition(".")
        if stage:
            recipe.setdefault("stages", {}).setdefault(stage, {})[field] = value
    return recipe
