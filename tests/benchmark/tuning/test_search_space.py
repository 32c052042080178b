"""The search space: what each row gets, as recipes that a suite takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.tuning.space import (
    MIRRORED,
    OF_CLASSES,
    SHARED,
    Range,
    as_recipe,
    rounded,
    row_name,
    space_of,
    suggested,
    told,
)
from ferbench.models.recipe_changes import LONGEST, changed, checked, spelled


class Longest:
    """Proposes what is longest to write."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low * 1.234567

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return max(choices, key=lambda choice: len(str(choice)))


def sizes() -> list[tuple[str, str]]:
    names = architectures.names()
    return [(name, size) for name in names for size, built in architectures.get(name).sizes.items() if built.stages]


@pytest.mark.parametrize(("name", "size"), sizes())
def test_every_row_can_be_named_by_every_recipe_of_its_space(name: str, size: str) -> None:
    built = architectures.get(name).sizes[size]
    space = space_of(name, built)
    changes = suggested(space, Longest())
    assert all(checked(key, value) == value for key, value in changes.items())
    assert len(spelled(changes)) <= LONGEST
    changed = architectures.get(row_name(name, told(changes, built.stages)))
    for stage in changed.sizes[size].stages:
        for key, value in changes.items():
            of, _, field = key.rpartition(".")
            assert of not in ("", stage.name) or getattr(stage, field) == value


def test_what_a_row_cannot_have_is_left_out_by_rule() -> None:
    frozen = architectures.get("cnn_rnn").sizes["tiny"]
    assert all(stage.reads for stage in frozen.stages)
    assert space_of("cnn_rnn", frozen)["augmentation"] == MIRRORED
    assert space_of("cnn", architectures.get("cnn").sizes["tiny"])["augmentation"] == SHARED["augmentation"]
    assert not {*OF_CLASSES} & space_of("cnn_rnn", frozen, of_classes=False).keys()
    two = architectures.get("emotieffnet").sizes["tiny"]
    assert {"head.lr", "whole.lr"} < space_of("emotieffnet", two).keys()


def test_rates_are_of_the_optimiser() -> None:
    size = architectures.get("cnn").sizes["tiny"]
    slow = replace(size, stages=tuple(replace(stage, optimizer="sgd") for stage in size.stages))
    adam, sgd = space_of("cnn", size)["lr"], space_of("cnn", slow)["lr"]
    assert isinstance(adam, Range)
    assert isinstance(sgd, Range)
    assert sgd.high > adam.high


def test_a_row_without_a_choice_is_refused() -> None:
    size = replace(architectures.get("cnn").sizes["tiny"], stages=())
    with pytest.raises(RequestError, match="cnn: there is no choice to search in"):
        space_of("cnn", size)


def test_a_recipe_says_what_differs_and_no_more() -> None:
    stages = architectures.get("emotieffnet").sizes["tiny"].stages
    changes = {"head.lr": 0.005, "whole.lr": 0.01, "label_smoothing": 0.1, "batch_size": 16}
    left = told(changes, stages)
    assert left == {"whole.lr": 0.01, "batch_size": 16}  # the head has batches of 32
    assert as_recipe(left) == {"batch_size": 16, "stages": {"whole": {"lr": 0.01}}}
    assert row_name("emotieffnet", left) == "emotieffnet@batch_size=16+whole.lr=0.01"
    assert row_name("emotieffnet", {}) == "emotieffnet"


def test_numbers_have_two_digits() -> None:
    assert [rounded(x) for x in (0.0012345, 0.02999, 1e-5)] == [0.0012, 0.03, 1e-5]


def test_a_changed_recipe_is_no_longer_the_one_that_a_search_chose() -> None:
    cnn = architectures.get("cnn")
    searched = replace(cnn, sizes={name: replace(size, searched=True) for name, size in cnn.sizes.items()})
    assert not any(size.searched for size in changed(searched, "lr=0.5").sizes.values())
    assert all(size.searched for size in changed(searched, "image_size=64").sizes.values())
