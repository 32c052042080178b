"""The recipes that a search chose are those of the published search, and every row of the default suite has one."""

from __future__ import annotations

from typing import Any

import pytest

from ferbench.benchmark.commands.leaderboard import PUBLISHED
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.planning.suite import cells_of, load_suite
from ferbench.benchmark.planning.tuned import SHIPPED, read_tuned

TUNED = read_tuned(PUBLISHED / "tuning" / "recipes.yaml", "tiny", "the published search")


def test_records_say_how_they_were_chosen() -> None:
    assert TUNED.words == SHIPPED


def test_every_row_of_the_default_suite_that_trains_has_had_the_same_chance() -> None:
    rows = {cell.architecture for cell in cells_of(*load_suite("default")) if cell.kind == "architecture"}
    assert rows == TUNED.recipes.keys()


@pytest.mark.parametrize(("row", "recipe"), TUNED.recipes.items())
def test_its_file_has_what_was_chosen(row: str, recipe: dict[str, Any]) -> None:
    size = architectures.get(row).sizes["tiny"]
    assert size.searched
    of_all = {key: value for key, value in recipe.items() if key != "stages"}
    for stage in size.stages:
        chosen = of_all | recipe.get("stages", {}).get(stage.name, {})
        assert {key: getattr(stage, key) for key in chosen} == chosen


def test_no_other_row_says_so() -> None:
    others = [name for name in architectures.names() if name not in TUNED.recipes]
    assert not [name for name in others if any(size.searched for size in architectures.get(name).sizes.values())]
    assert not architectures.get("timm:resnet18").sizes["tiny"].searched
    assert not architectures.get("timm:test_resnet@probe").sizes["tiny"].searched
