"""The one training loop: every architecture, data set and stage goes through it.

It knows no architecture by name. What differs between two of them is in their stages (`models.architecture.Stage`),
and what a stage reads, frames or a frozen part's output, is one object with one method.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.batches import Batches, ahead, reading
from ferbench.benchmark.learning.budget import plans_within
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.recipe import Plan, batches_of, learning_rate, optimizer, plan_of
from ferbench.benchmark.learning.resuming import Keeper
from ferbench.benchmark.learning.steps import objective_of, set_frozen, set_training, training_step
from ferbench.datasets.augmentation import sent
from ferbench.datasets.streams import number_of
from ferbench.datasets.views import Instances
from ferbench.models.architecture import Architecture, Size, Stage, refuse_lazy_layers
from ferbench.models.weights import start_weights

EVALUATION_BATCH = 64

Answers = NDArray[np.float64]
"""(S,C) probabilities of samples, or (S,1) values."""


class DivergedError(Exception):
    """The loss is no finite number."""


def make_deterministic() -> None:
    """One thread, and only algorithms that give the same numbers again; applies to the whole process."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # It would fill every new tensor, 5 to 15% of a step's time, to catch reads of memory that nothing has written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def build(architecture: Architecture, size: Size, num_classes: int, run: Run) -> tuple[nn.Module, str]:
    """The model with its starting weights on the run's device, and what it starts from in words."""
    torch.manual_seed(number_of(run.seed, "weights", architecture.name))
    model = size.build(num_classes)
    refuse_lazy_layers(model)
    started_from = start_weights(model, size)
    return size.placed(model, run.device), started_from


def train(
    model: nn.Module, architecture: Architecture, size: Size, material: Material, run: Run
) -> list[dict[str, Any]]:
    """Runs every stage of a size; the model ends with the weights that the last one chose.

    With a keeper (`Run.keeper`) a training that was killed goes on where its state was kept last, to the same end.

    Returns:
        One entry an epoch: stage, epoch (from 1), train_loss, val_loss, val_abaw, samples (inputs trained on), inputs
        (that there were to train on), seconds (of training alone; the first epoch's with the reading of what is
        frozen), moved (parameters that the stage changed, by their number: what was frozen by mistake is missing here).

    Raises:
        DivergedError: the loss is no finite number.
    """
    with run.keeper.at_work() if run.keeper else nullcontext():
        return _train(model, architecture, size, material, run)


def _train(
    model: nn.Module, architecture: Architecture, size: Size, material: Material, run: Run
) -> list[dict[str, Any]]:
    plans = _plans(model, size, material, run)
    history: list[dict[str, Any]] = []
    first, state = 0, run.keeper.found() if run.keeper else None
    if state:
        history, first = state["about"]["history"], state["about"]["stage"]
        model.load_state_dict(state["model"])
    for number in range(first, len(size.stages)):
        trained = _StageTraining(model, architecture, size.stages[number], plans[number], material, run)
        if state and number == first and "update" in state:
            trained.restore(state)
        history += trained.finish({"stage": number, "history": history})
        done = number + 1 == len(size.stages)  # what follows then, such as measuring, may be cut short too
        if run.keeper and (done or run.keeper.due(epoch_ends=True)):
            run.keeper.keep({"stage": number + 1, "history": history}, {"model": model.state_dict()})
    model.eval()
    return history


def _plans(model: nn.Module, size: Size, material: Material, run: Run) -> list[Plan]:
    """How long each stage trains: as its recipe says, or within the budget of the run."""
    if run.budget is None or not size.stages:
        inputs = [len(material.under(stage.view).instances(material.split.train)) for stage in size.stages]
        return [plan_of(stage, run.epochs, count) for stage, count in zip(size.stages, inputs, strict=True)]

    measured = partial(plans_within, run.budget, model, size, material, run)
    return run.keeper.planned(measured) if run.keeper else measured()


def marks(parameters: Iterable[nn.Parameter]) -> list[tuple[float, float]]:
    """Two sums over each parameter, which hardly any change leaves as they are."""
    with torch.no_grad():
        return [(float(p.sum()), float(p.square().sum())) for p in (parameter.double() for parameter in parameters)]


class _StageTraining:
    """A stage at work: all that moves while it trains, so that it can be kept and taken up again."""

    def __init__(
        self, model: nn.Module, architecture: Architecture, stage: Stage, plan: Plan, material: Material, run: Run
    ) -> None:
        self.model, self.stage, self.plan, self.run = model, stage, plan, run
        self.material = material = material.under(stage.view)
        split = material.split
        set_frozen(model, stage)
        self.free = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.before = marks(self.free)
        axes = (architecture.name, material.corpus.name, stage.name)
        torch.manual_seed(number_of(run.seed, "dropout", *axes))
        self.generator = torch.Generator().manual_seed(number_of(run.seed, "augmentation", *axes))
        self.rng = np.random.default_rng(number_of(run.seed, "order", material.corpus.name, stage.name))
        model.eval()
        run.report(f"{stage.name} begins")
        self.batches, self.forward = reading(model, stage, material, run)
        loss = material.task.loss(stage, split.train, run.device)
        self.objective = objective_of(model, stage, self.forward, loss)
        self.update = optimizer(stage, self.free)
        self.stays = tuple(f"{part}." for part in stage.frozen)
        self.entries: list[dict[str, Any]] = []
        """Of the epochs that are done."""
        self.best: tuple[float, float] = (-math.inf, -math.inf)
        self.chosen: dict[str, Tensor] = {}
        self.done = 0
        """Steps of the epoch at work that are done."""
        self.total = torch.zeros((), device=run.device)
        """Of the losses of their inputs."""
        # What is read once is a cost of the first epoch.
        self.spent = self.batches.seconds(material.frames_seen(np.concatenate([split.train, split.validation])))
        """Seconds that the epoch at work has taken."""

    def finish(self, context: dict[str, Any]) -> list[dict[str, Any]]:
        """Trains to the end, and leaves the model with what was chosen.

        Args:
            context: what is kept with the stage's state.
        """
        while len(self.entries) < self.plan.epochs:
            self._epoch(context)
        self.model.load_state_dict(self.chosen, strict=False)
        self.model.eval()
        moved = [p.numel() for p, old, new in zip(self.free, self.before, marks(self.free), strict=True) if old != new]
        return [{**entry, "moved": sum(moved)} for entry in self.entries]

    def _epoch(self, context: dict[str, Any]) -> None:
        stage, run, task, split = self.stage, self.run, self.material.task, self.material.split
        epoch, epochs = len(self.entries) + 1, self.plan.epochs
        at_start = self.rng.bit_generator.state
        drawn = self.material.instances(split.train, self.rng)
        order = self.rng.permutation(len(drawn))[: self.plan.samples]
        dealt = batches_of(order, stage.batch_size)
        steps = epochs * len(dealt)
        began = time.perf_counter()
        set_training(self.model, stage)
        # Windows are drawn anew in each epoch, and not always as many: each epoch takes its own share of the schedule.
        for rows, inputs, truth, drawn_to in self._loaded(dealt[self.done :], drawn):
            step = (epoch - 1) * len(dealt) + self.done
            for group in self.update.param_groups:
                group["lr"] = learning_rate(stage, step, steps)
            loss = training_step(self.objective, self.update, inputs, truth, stage, run)
            self.total += loss * len(rows)
            self.done += 1
            run.report(f"{stage.name} epoch {epoch}/{epochs}, step {step + 1}/{steps}", loss)
            if run.keeper and self.done < len(dealt) and run.keeper.due(epoch_ends=False):
                spent = self.spent + time.perf_counter() - began
                self._keep(run.keeper, context, at_start, drawn_to, spent)
        mean = float(self.total) / sum(map(len, dealt))
        seconds = self.spent + time.perf_counter() - began
        if not math.isfinite(mean):
            raise DivergedError(f"the training loss is {mean} in epoch {epoch} of stage {stage.name!r}: lower its rate")
        self.model.eval()
        quality = validate(self.forward, self.batches, self.material, run)
        if stage.selection == "last" or quality >= self.best:
            state = self.model.state_dict()
            self.best, self.chosen = quality, {n: v.clone() for n, v in state.items() if not n.startswith(self.stays)}
        self.entries.append({
            "stage": stage.name, "epoch": epoch, "train_loss": mean, f"val_{task.headline}": quality[0],
            "val_loss": -quality[1], "samples": len(order), "inputs": len(drawn), "seconds": seconds,
        })  # fmt: skip
        self.done, self.spent = 0, 0.0
        self.total = torch.zeros((), device=run.device)
        if run.keeper and epoch < epochs and run.keeper.due(epoch_ends=True):
            self._keep(run.keeper, context, self.rng.bit_generator.state, self.generator.get_state(), 0.0)

    def _loaded(
        self, dealt: list[NDArray[np.int64]], drawn: Instances
    ) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]]:
        """Each batch's rows, inputs and truths, with where the augmentation's stream is after it."""

        def load() -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor, Tensor]]:
            for rows in dealt:
                inputs = self.batches(drawn.frames[rows], self.generator)
                truth = sent(self.material.task.truth(drawn.sample[rows]), self.run.device)
                yield rows, inputs, truth, self.generator.get_state()

        return ahead(load()) if self.run.device.type == "cuda" else load()

    def _keep(
        self, keeper: Keeper, context: dict[str, Any], order: Any, drawn_to: Tensor,
        spent: float,
    ) -> None:  # fmt: skip
        """Keeps all that moves: `order` is the order's stream at the start of the epoch, `drawn_to` the augmentation's
        after its last step."""
        about = {
            "entries": self.entries, "best": self.best, "done": self.done, "spent": spent, "before": self.before,
            "order": order,
        }  # fmt: skip
        device = self.run.device
        tensors = {
            "model": self.model.state_dict(), "chosen": self.chosen, "update": self.update.state_dict(),
            "total": self.total, "augmentation": drawn_to, "dropout": torch.get_rng_state(),
            "dropout_there": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
        }  # fmt: skip
        keeper.keep({**context, **about}, tensors)

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a kept state; the model has its weights already."""
        about, device = state["about"], self.run.device
        self.entries, self.best, self.done = about["entries"], tuple(about["best"]), about["done"]
        self.spent, self.before = about["spent"], [tuple(sums) for sums in about["before"]]
        self.rng.bit_generator.state = about["order"]
        self.generator.set_state(state["augmentation"])
        self.update.load_state_dict(state["update"])
        self.chosen = {name: value.to(device) for name, value in state["chosen"].items()}
        self.total = state["total"].to(device)
        torch.set_rng_state(state["dropout"])
        if device.type == "cuda" and state["dropout_there"] is not None:
            torch.cuda.set_rng_state(state["dropout_there"], device)


def predict_with(model: nn.Module, size: Size, material: Material, samples: NDArray[np.int64], run: Run) -> Answers:
    """Answers of a trained model to samples, read as its last stage read them."""
    last = size.stages[-1] if size.stages else Stage()
    whole = Stage(reads=last.reads) if last.view is None and not last.through else Stage()
    batches, forward = reading(folded(model), replace(whole, augmentation="none"), material, run)
    return predict(forward, batches, material, samples, run)


def validate(
    forward: Callable[[Tensor], Tensor], batches: Batches, material: Material, run: Run
) -> tuple[float, float]:
    """Quality on the validation part: the larger pair is the better epoch."""
    samples = material.split.validation
    return material.task.quality(samples, predict(forward, batches, material, samples, run))


def predict(
    forward: Callable[[Tensor], Tensor], batches: Batches, material: Material, samples: NDArray[np.int64], run: Run
) -> Answers:
    """(S,C) answers to samples (probabilities, or a value), each the mean over what was seen of it."""
    inputs, task = material.instances(samples), material.task
    chunks = np.array_split(np.arange(len(inputs)), math.ceil(len(inputs) / EVALUATION_BATCH))
    with torch.inference_mode(), run.autocast():
        found = [task.answer(forward(batches(inputs.frames[rows], None)).float()).cpu() for rows in chunks]
    answers = torch.cat(found).double().flatten(0, -2).numpy()
    if not np.isfinite(answers).all():
        raise DivergedError("the model's scores are no finite numbers: lower the learning rate")
    sample = inputs.sample.ravel()
    place = np.searchsorted(samples, sample[sample >= 0])
    total = np.zeros((len(samples), answers.shape[1]))
    np.add.at(total, place, answers[sample >= 0])
    return total / np.bincount(place, minlength=len(samples))[:, None]
