"""Changed recipes of a suite -> the rows that have them, each a variant of its row (`models/recipe_changes.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures, ensembles

if TYPE_CHECKING:
    from ferbench.benchmark.planning.suite import Cell
    from ferbench.benchmark.planning.tuned import Tuned

EVERY = "*"
RecipeChanges = dict[str, Any]
"""`field: value` for every stage or for the size, and `stages: {name: {field: value}}`."""


def with_changes(
    cells: list[Cell], recipes: Mapping[str, RecipeChanges], where: str, tuned: Tuned | None = None
) -> list[Cell]:
    """The cells under the recipes that a suite changes; an ensemble of which a member is changed is left out.

    Changes of a row come on top of those of all (`*`), which pass over what a row lacks: a stage, or frames.

    Args:
        tuned: recipes that a search has chosen; its rows that do not run are passed over.

    Raises:
        RequestError: no such row, field or stage, or a value that is not allowed.
    """
    if not recipes and tuned is None:
        return cells
    trained = dict.fromkeys(cell.architecture for cell in cells if cell.kind == "architecture")
    found = {row: changes for row, changes in tuned.recipes.items() if row in trained} if tuned else {}
    if twice := [row for row in recipes if row in found or (row == EVERY and found)]:
        raise RequestError(f"{where}, recipes: {twice[0]!r} has a recipe of `tuned` already: leave one of the two out")
    recipes = {**recipes, **found}
    for row in recipes:
        if row != EVERY and row not in trained:
            raise RequestError(
                f"{where}, recipes: {row!r} is none of the rows that run: name one, or {EVERY!r} for all"
            )
    renamed = {row: _changed_name(row, recipes, where) for row in trained}
    fused = {name for name in ensembles.names()
             if any(renamed.get(member, member) != member for member in ensembles.get(name).members)}  # fmt: skip
    return [
        replace(
            cell,
            architecture=renamed.get(cell.architecture, cell.architecture),
            beside=tuple(renamed.get(row, row) for row in cell.beside),
            chosen=tuned.words if tuned and cell.architecture in found else "",
        )
        for cell in cells
        if cell.architecture not in fused
    ]


def _changed_name(row: str, recipes: Mapping[str, RecipeChanges], where: str) -> str:
    """A row's name under its changes."""
    from ferbench.models.recipe_changes import SIZE_FIELDS, spelled

    if "@" in row and row not in recipes:
        return row
    architecture = architectures.get(row)
    every_stage = [stage for size in architecture.sizes.values() for stage in size.stages]
    stages = {stage.name for stage in every_stage}
    of_its_own = any(stage.objective for stage in every_stage)  # such a loss takes no mixed inputs
    changes: dict[str, Any] = {}
    for name in (EVERY, row):
        for key, value in _flat(recipes.get(name, {}), f"{where}, recipes, {name}"):
            stage = key.rpartition(".")[0]
            lacks = (stage and stage not in stages) or (not stages and key not in SIZE_FIELDS)
            lacks = lacks or (key == "frames" and architecture.view not in ("clip", "sequence"))
            lacks = lacks or (key.rpartition(".")[2] == "mixup" and of_its_own)
            if not (lacks and name == EVERY):
                changes[key] = value
    if not changes:
        return row
    if "@" in row:
        raise RequestError(f"{where}, recipes: {row!r} is a variant already: change {row.partition('@')[0]!r}")
    try:
        name = f"{row}@{spelled(changes)}"
    except ValueError as error:
        raise RequestError(f"{where}, recipes, {row}: {error}") from None
    architectures.get(name)  # refuses what it cannot have
    return name


def _flat(changes: RecipeChanges, where: str) -> Iterable[tuple[str, Any]]:
    """Each change with its key, `field` or `stage.field`, and its value as its field has it."""
    from ferbench.models.recipe_changes import checked

    stages = changes.get("stages", {})
    if not isinstance(stages, dict) or not all(isinstance(fields, dict) for fields in stages.values()):
        raise RequestError(f"{where}: stages: {str(stages)[:80]!r} is not allowed: write {{stage: {{field: value}}}}")
    flat = {key: value for key, value in changes.items() if key != "stages"}
    flat |= {f"{stage}.{field}": value for stage, fields in stages.items() for field, value in fields.items()}
    for key, value in flat.items():
        try:
            yield key, checked(key, value)
        except ValueError as error:
            raise RequestError(f"{where}: {error}") from None
