"""Recipes that `tune` has chosen, as a suite takes them over (`tuned: FILE`), each marked with how it was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.yaml_file import read_yaml
from ferbench.benchmark.records.record import BY_HAND, ELSEWHERE

SHIPPED = "tuned: 30 trials on each of oulu_casia-twin, affectnet_small-twin"
"""How the recipes of architecture files were chosen that are by search (`Size.searched`)."""
EACH = "each of "
"""Before the names of several data sets."""


class Tuned(BaseModel):
    """The content of a file of chosen recipes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    datasets: Annotated[list[str], Field(min_length=1)]
    """On the validation parts of which they were chosen, by their names on the board."""
    trials: Annotated[int, Field(ge=1)]
    """Of each row, on each data set."""
    budget: Annotated[float, Field(gt=0)]
    """Seconds of training a trial."""
    size: Literal["tiny", "small", "full"]
    fold: int
    seed: int
    recipes: dict[str, dict[str, Any]]
    """What differs from the recipe of the row's file."""

    @property
    def words(self) -> str:
        """How the recipes were chosen, as a record says it."""
        each = EACH * (len(self.datasets) > 1)
        return f"tuned: {self.trials} trial{'s' * (self.trials != 1)} on {each}{', '.join(self.datasets)}"


def read_tuned(file: Path, size: str, where: str) -> Tuned:
    """The recipes in a file.

    Raises:
        RequestError: no such file, none that `tune` wrote, or one of another size.
    """
    if not file.is_file():
        raise RequestError(f"{where}, tuned: {file}: no such file: name the recipes.yaml that `tune` wrote")
    try:
        tuned = Tuned.model_validate(read_yaml(file))
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(map(str, fault["loc"])) or "it"
        raise RequestError(f"{where}, tuned: {file}: not what `tune` writes: {key}: {fault['msg']}") from None
    if tuned.size != size:
        raise RequestError(f"{where}, tuned: {file}: chosen at size {tuned.size}, not at {size}: tune at --size {size}")
    return tuned


def said_on(chosen: str, dataset: str) -> str:
    """How a recipe was chosen, in words, for a cell on this data set (by its name on the board)."""
    if not chosen:
        return BY_HAND
    chosen_on = chosen.rpartition(" on ")[2].removeprefix(EACH).split(", ")
    return chosen if dataset in chosen_on else f"{chosen}{ELSEWHERE}"
