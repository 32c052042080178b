"""A budget of seconds becomes epochs that fit."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ferbench.benchmark.learning import budget
from ferbench.benchmark.learning.budget import Speed, plans_within, processor_seconds, speed_of
from ferbench.benchmark.learning.material import Material
from ferbench.benchmark.learning.recipe import Plan, plan_within
from ferbench.benchmark.learning.resuming import Keeper
from ferbench.models.architecture import Stage
from tests.benchmark.learning.test_training import CLASSES, Toy, run_of, toy, trained
from tests.benchmark.learning.test_training import material as material  # a fixture

ONE = Stage("one", epochs=2, batch_size=8)
TWO = Stage("two", epochs=6, batch_size=8, frozen=("encoder",), reads="encoder")


@pytest.mark.parametrize(
    ("seconds", "plan"),
    [
        (100, Plan(5, 100)),  # five whole epochs of 15 s and validations of 5 s
        (90, Plan(5, 86)),  # as many as fit, of one length
        (20, Plan(1, 100)),
        (11, Plan(1, 40)),  # a part of one
        (0.1, Plan(1, 1)),
    ],
)
def test_as_much_is_planned_as_fits(seconds: float, plan: Plan) -> None:
    found = plan_within(seconds, an_input=0.15, an_epoch=5.0, inputs=100)
    assert found.epochs == plan.epochs
    assert found.samples == pytest.approx(plan.samples, abs=1)


def test_stages_share_the_time_as_their_epochs_do(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {"one": Speed(0.1, 1.0, 0.0), "two": Speed(0.05, 1.0, 20.0)}
    monkeypatch.setattr(budget, "speed_of", lambda model, stage, *_: speeds[stage.name])
    size = toy(ONE, TWO).sizes["tiny"]
    inputs = len(material.split.train)
    plans = plans_within(420.0, Toy(3), size, material, run_of())
    took = [
        plan.epochs * (min(plan.samples or inputs, inputs) * speed.an_input + speed.an_epoch)
        for plan, speed in zip(plans, speeds.values(), strict=True)
    ]
    assert sum(took) == pytest.approx(400, rel=0.05), "what is read once is taken off first"
    own = [
        stage.epochs * (inputs * s.an_input + s.an_epoch) for stage, s in zip((ONE, TWO), speeds.values(), strict=True)
    ]
    assert took[0] / took[1] == pytest.approx(own[0] / own[1], rel=0.1)


@pytest.mark.parametrize(
    "stage", [ONE, replace(ONE, augmentation="heavy"), TWO, replace(ONE, view="image", through="classify")]
)
def test_looking_at_the_speed_moves_nothing(material: Material, stage: Stage) -> None:
    torch.manual_seed(0)
    model = Toy(len(CLASSES), lost=0.5)
    before, stream = {name: value.clone() for name, value in model.state_dict().items()}, torch.get_rng_state()
    speed = speed_of(model, stage, replace(material, frames=3), run_of(), 0.01)
    assert speed.an_input > 0
    assert speed.an_epoch > 0
    assert (speed.once > 0) == bool(stage.reads)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), stream)


def test_time_that_others_take_is_none_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    before = processor_seconds()
    time.sleep(0.3)
    assert processor_seconds() - before < 0.2
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(time, "process_time", lambda: 8.0)
    assert processor_seconds() == 2.0


def test_seconds_are_read_from_the_clock_of_the_run(material: Material) -> None:
    ticks = itertools.count()
    run = replace(run_of(), clock=lambda: next(ticks))
    speed = speed_of(Toy(len(CLASSES)), ONE, replace(material, frames=3), run, 0)
    assert speed.an_input == 1 / ONE.batch_size  # a step takes one tick
    assert speed.an_epoch == len(material.split.validation) / ONE.batch_size


def test_a_plan_is_kept_and_a_cap_is_not(material: Material, tmp_path: Path) -> None:
    capped = toy(replace(ONE, max_samples=5))
    keeper = Keeper(tmp_path / "it.pt")
    run = replace(run_of(), budget=0.3, keeper=keeper)
    history = trained(capped, material, run)[1]
    assert max(entry["samples"] for entry in history) > 5
    keeper.forget()
    again = trained(capped, material, replace(run, keeper=Keeper(keeper.file)))[1]
    assert [entry["train_loss"] for entry in again] == [entry["train_loss"] for entry in history]
