"""Batches that are made ahead of whoever needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from ferbench.benchmark.learning import training
from ferbench.benchmark.learning.batches import ahead
from ferbench.benchmark.learning.material import Material
from ferbench.models.architecture import Stage
from tests.benchmark.learning.test_training import material as material  # a fixture
from tests.benchmark.learning.test_training import toy, trained


def test_they_are_the_same_in_the_same_order() -> None:
    assert list(ahead(iter(range(50)))) == list(range(50))
    assert list(ahead(iter(()))) == []


def test_they_are_made_before_they_are_asked_for_but_not_all_of_them() -> None:
    made: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for i in range(50):
            made.append(i)
            if i == 2:
                third.set()
            yield i

    found = ahead(items(), depth=2)
    assert next(found) == 0
    assert third.wait(timeout=30)
    assert len(made) <= 5
    found.close()  # type: ignore[attr-defined]


def test_what_goes_wrong_is_raised_where_they_are_asked_for() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_nobody_is_left_at_work_when_they_are_no_longer_wanted() -> None:
    before = threading.active_count()
    for item in ahead(iter(range(1000))):
        if item == 3:
            break
    assert threading.active_count() == before


def test_a_training_with_batches_made_ahead_is_the_same(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    row = toy(Stage(epochs=3, batch_size=8, augmentation="heavy"), lost=0.5)
    plain, history, answers = trained(row, material)
    loaded = training._StageTraining._loaded
    monkeypatch.setattr(training._StageTraining, "_loaded", lambda self, *batches: ahead(loaded(self, *batches)))
    other, told, same = trained(row, material)

    def without_time(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{key: value for key, value in entry.items() if key != "seconds"} for entry in entries]

    assert without_time(told) == without_time(history)
    assert (same == answers).all()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in plain.state_dict().items())
