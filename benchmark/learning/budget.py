"""A budget of seconds -> epochs: what a step of each stage takes is measured before the first one."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.batches import FrameBatches, passed_through
from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.recipe import Plan, optimizer, plan_within
from ferbench.benchmark.learning.steps import objective_of, set_frozen, set_training, training_step
from ferbench.models.architecture import Size, Stage

LEAST_CALLS, MOST_CALLS = 3, 20
LOOK = 0.02
"""Share of a budget that each look at one stage's speed may take, once its fewest calls are done."""
LEAST_SECONDS = 1.0
"""Of a stage whose budget the reading of frames has used up."""


@dataclass(frozen=True)
class Speed:
    """What a stage takes, in seconds."""

    an_input: float
    an_epoch: float
    """What each epoch costs besides its inputs: the validation."""
    once: float
    """What is read before the first epoch."""


def plans_within(seconds: float, model: nn.Module, size: Size, material: Material, run: Run) -> list[Plan]:
    """The plans of a size's stages that take so many seconds together.

    The time is shared as the recipe's own epochs would share it, and what is read once is taken off first.
    """
    speeds, inputs = [], []
    for stage in size.stages:
        run.report(f"{stage.name}: measuring how many epochs fit into {seconds:.0f} s")
        speeds.append(speed_of(model, stage, material, run, LOOK * seconds))
        inputs.append(len(material.under(stage.view).instances(material.split.train)))
    own = [
        stage.epochs * (count * speed.an_input + speed.an_epoch)
        for stage, speed, count in zip(size.stages, speeds, inputs, strict=True)
    ]
    left = max(LEAST_SECONDS, seconds - sum(speed.once for speed in speeds))
    return [
        plan_within(left * share / sum(own), speed.an_input, speed.an_epoch, count)
        for share, speed, count in zip(own, speeds, inputs, strict=True)
    ]


def speed_of(model: nn.Module, stage: Stage, material: Material, run: Run, most: float) -> Speed:
    """Trains a copy of the model for a few steps, and lets it answer; neither weights nor random streams move."""
    material = material.under(stage.view)
    training, chosen_on = (material.instances(part) for part in (material.split.train, material.split.validation))
    rows = np.resize(np.arange(len(training)), stage.batch_size)  # from the start again where there are fewer
    with torch.random.fork_rng(devices=[run.device] if run.device.type == "cuda" else []):
        trial = copy.deepcopy(model)
        set_frozen(trial, stage)
        read, once = _source(trial, stage, material, training.frames[rows], run)
        forward = passed_through(trial, stage)
        objective = objective_of(trial, stage, forward, material.task.loss(stage, material.split.train, run.device))
        update = optimizer(stage, (p for p in trial.parameters() if p.requires_grad))
        truth = material.task.truth(training.sample[rows]).to(run.device)
        generator = torch.Generator().manual_seed(0)

        def answer() -> Tensor:
            with torch.inference_mode(), run.autocast():
                return forward(read(None))

        set_training(trial, stage)
        a_step = _seconds(lambda: training_step(objective, update, read(generator), truth, stage, run), most, run)
        trial.eval()
        an_answer = _seconds(answer, most, run) / len(rows)
    return Speed(a_step / len(rows), an_answer * len(chosen_on), once)


def _source(
    model: nn.Module, stage: Stage, material: Material, shown: NDArray[np.int64], run: Run
) -> tuple[Callable[[torch.Generator | None], Tensor], float]:
    """What reads the inputs of the frames (B,K) that are shown, and what is read once, in seconds."""
    if not stage.reads:
        frames = FrameBatches(material, run, stage.augmentation)
        return lambda generator: frames(shown, generator), 0.0
    single = FrameBatches(material.under("image"), run, "none")
    encoder = model.get_submodule(stage.reads).eval()

    def encode() -> Tensor:
        with torch.inference_mode(), run.autocast():
            return encoder(single(shown.reshape(-1, 1), None)).float()

    features = encode().clone().unflatten(0, shown.shape)
    features = features.squeeze(1) if material.view == "image" else features
    seen = len(material.frames_seen(np.sort(np.concatenate(list(material.split.parts.values())))))
    sides = 1 if stage.augmentation == "none" else 2
    return lambda generator: features, _seconds(encode, 0.0, run) / shown.size * seen * sides


def _seconds(call: Callable[[], Tensor], most: float, run: Run) -> float:
    """Median seconds of a call, after one that prepares."""
    took: list[float] = []
    call()
    while len(took) < LEAST_CALLS or (sum(took) < most and len(took) < MOST_CALLS):
        began = run.clock()
        call()
        if run.device.type == "cuda":
            torch.cuda.synchronize(run.device)
        took.append(run.clock() - began)
    return statistics.median(took)


def processor_seconds() -> float:
    """Seconds that this process's threads have worked, each of them: what else the machine does takes nothing off."""
    return time.process_time() / torch.get_num_threads()
