"""Recipes that a search chose, in a suite: whose they are, what is said of them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import locate
from ferbench.benchmark.planning.identity import key_parts
from ferbench.benchmark.planning.suite import Cell, cells_of, load_suite
from ferbench.benchmark.planning.tuned import said_on

TUNED = {
    "datasets": ["affectnet_small-twin"], "trials": 20, "budget": 30.0, "size": "tiny", "fold": 0, "seed": 0,
    "recipes": {"cnn": {"lr": 0.005}, "vit_se": {}, "tsm": {"lr": 0.1}},
}  # fmt: skip
SUITE = {
    "description": "tuned rows", "size": "tiny", "architectures": ["cnn", "senet50", "vit_se"],
    "datasets": ["affectnet_small"], "twins": {"affectnet_small": {"scale": 0.01}}, "tuned": "chosen/recipes.yaml",
}  # fmt: skip


def cells(folder: Path, suite: dict[str, Any], tuned: Any = TUNED) -> list[Cell]:
    (folder / "chosen").mkdir(exist_ok=True)
    (folder / "chosen" / "recipes.yaml").write_text(yaml.safe_dump(tuned))
    (folder / "own.yaml").write_text(yaml.safe_dump(suite))
    found = cells_of(*load_suite(str(folder / "own.yaml")))
    return [cell for cell in found if cell.kind == "architecture"]


def test_rows_that_run_have_their_recipe_and_say_so(tmp_path: Path) -> None:
    words = "tuned: 20 trials on affectnet_small-twin"
    found = {cell.architecture: cell.chosen for cell in cells(tmp_path, SUITE)}
    assert found == {"cnn@lr=0.005": words, "senet50": "", "vit_se": words}


def test_no_key_changes_by_how_a_recipe_was_chosen(tmp_path: Path) -> None:
    plain = {**SUITE, "recipes": {"cnn": {"lr": 0.005}}}
    del plain["tuned"]
    one, other = (
        [key_parts(cell, locate(cell, None), "cpu") for cell in cells(tmp_path, suite)] for suite in (SUITE, plain)
    )
    assert one == other


def test_another_data_set_is_said() -> None:
    words = "tuned: 20 trials on ctbc"
    assert said_on(words, "ctbc") == words
    assert said_on(words, "ctbc-twin") == f"{words}, another data set"
    assert said_on("", "ctbc") == "by hand"


def test_a_recipe_of_several_data_sets_is_of_each_of_them(tmp_path: Path) -> None:
    tuned = {**TUNED, "datasets": ["affectnet_small-twin", "ctbc-twin"]}
    words = "tuned: 20 trials on each of affectnet_small-twin, ctbc-twin"
    assert {cell.chosen for cell in cells(tmp_path, SUITE, tuned)} == {words, ""}
    assert said_on(words, "ctbc-twin") == said_on(words, "affectnet_small-twin") == words
    assert said_on(words, "ctbc") == f"{words}, another data set"


BAD: dict[str, tuple[dict[str, Any], Any]] = {
    "no such file": ({"tuned": "nowhere.yaml"}, TUNED),
    "not what `tune` writes: trials": ({}, {**TUNED, "trials": 0}),
    "not what `tune` writes: more": ({}, {**TUNED, "more": 1}),
    "not what `tune` writes": ({}, ["cnn"]),
    "chosen at size full, not at tiny": ({}, {**TUNED, "size": "full"}),
    "'cnn' has a recipe of `tuned` already": ({"recipes": {"cnn": {"lr": 0.1}}}, TUNED),
    r"'\*' has a recipe of `tuned` already": ({"recipes": {"*": {"lr": 0.1}}}, TUNED),
    "unknown field 'rate'": ({}, {**TUNED, "recipes": {"cnn": {"rate": 1}}}),
}


@pytest.mark.parametrize("said", BAD)
def test_what_cannot_be_used_is_refused_in_one_line(tmp_path: Path, said: str) -> None:
    suite, tuned = BAD[said]
    with pytest.raises(RequestError, match=said) as caught:
        cells(tmp_path, {**SUITE, **suite}, tuned)
    assert "\n" not in str(caught.value)


def test_beside_tuned_rows_another_may_be_changed(tmp_path: Path) -> None:
    found = [cell.architecture for cell in cells(tmp_path, {**SUITE, "recipes": {"senet50": {"lr": 0.1}}})]
    assert found == ["cnn@lr=0.005", "senet50@lr=0.1", "vit_se"]
