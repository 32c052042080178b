"""The one training loop: every architecture, data set and stage goes through it.

It knows no architecture by name. What differs between two of them is in their stages (`models.architecture.Stage`),
and what a stage reads, frames or a frozen part's output, is one object with one method.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.features import Shelf, features
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.learning.recipe import batches_of, epochs_of, learning_rate, optimizer
from ferbench.benchmark.learning.task import Task, task_of
from ferbench.datasets.augmentation import augment, normalise
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol as DataProtocol
from ferbench.datasets.frames import FrameStore
from ferbench.datasets.splits import Split
from ferbench.datasets.streams import number_of
from ferbench.datasets.views import Instances, frames_seen, instances, shuffled
from ferbench.models.architecture import Architecture, Size, Stage, View, refuse_lazy_layers
from ferbench.models.weights import start_weights

EVALUATION_BATCH = 64

Answers = NDArray[np.float64]
"""(S,C) probabilities of samples, or (S,1) values."""


class DivergedError(Exception):
    """The loss is no finite number."""


@dataclass(frozen=True)
class Material:
    """What a cell trains and is tested on."""

    corpus: Corpus
    protocol: DataProtocol
    split: Split
    store: FrameStore
    view: View
    frames: int
    """T of a clip or a sequence."""
    shuffle_frames: bool = False
    """Whether the frames of a clip or a sequence come in a random order (`Size.shuffle_frames`)."""

    @property
    def task(self) -> Task:
        """What the samples ask."""
        return task_of(self.corpus)

    def under(self, view: View | None) -> Material:
        """The same samples, seen under another view."""
        return self if view is None else replace(self, view=view)

    def instances(self, samples: NDArray[np.int64], rng: np.random.Generator | None = None) -> Instances:
        """Inputs of these samples under the view; `rng` draws a clip's frames (training)."""
        seen = instances(self.view, self.corpus, self.protocol, samples, self.frames, self.split.train, rng)
        return shuffled(seen, self.corpus, rng) if self.shuffle_frames and self.view in ("clip", "sequence") else seen

    def frames_seen(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Every frame that any draw of these samples shows under the view."""
        return frames_seen(self.view, self.corpus, self.protocol, samples, self.split.train)


class Report(Protocol):
    """Hears of every step; must look at the loss, which may wait for the device, only now and then."""

    def __call__(self, text: str, loss: Tensor | None = None) -> None: ...


@dataclass(frozen=True)
class Run:
    """How a cell is run."""

    device: torch.device
    precision: Literal["float32", "bfloat16"]
    channels_last: bool
    seed: int
    epochs: float
    """Factor on the epochs of every stage."""
    report: Report
    """Told what is going on, at every step."""
    shelf: Shelf | None = None
    """Where what frozen parts make of frames is kept, for this cell's test and for other cells; None: nowhere."""

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision, where the cell runs in it."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            yield


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


def on_device(batch: Tensor, device: torch.device) -> Tensor:
    """A batch from this machine's memory on the device, without waiting for it."""
    return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch


class Batches(Protocol):
    """Where a stage's inputs come from."""

    def __call__(self, frames: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        """The input of instances (B,K); a generator augments it (training)."""

    def seconds(self, frames: NDArray[np.int64]) -> float:
        """What was spent on these frames before the first batch, by whichever cell it was."""


class FrameBatches:
    """Inputs from the frame store: (B,3,H,W) of an image, else (B,K,3,H,W)."""

    def __init__(self, material: Material, run: Run, augmentation: str) -> None:
        self.material = material
        self.run = run
        self.augmentation = augmentation

    def __call__(self, frames: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        store = self.material.store
        pixels = torch.from_numpy(store.read(frames))
        clips = normalise(on_device(pixels, self.run.device))
        if generator is not None:
            clips = augment(clips, self.augmentation, generator)
        if self.material.view != "image":
            return clips
        images = clips.squeeze(1)
        return images.contiguous(memory_format=torch.channels_last) if self.run.channels_last else images

    def seconds(self, frames: NDArray[np.int64]) -> float:
        return 0.0


class FeatureBatches:
    """Inputs from a frozen part: (B,F) or (B,K,F). It reads every frame that the samples of all three parts show, once,
    or has done so for an earlier cell.

    Of the augmentations only mirroring is left: any but `none` mirrors half of the inputs.
    """

    def __init__(self, material: Material, run: Run, model: nn.Module, stage: Stage) -> None:
        self.view = material.view
        self.device = run.device
        encoder = folded(model.get_submodule(stage.reads))
        read = FrameBatches(material.under("image"), run, "none")

        def encode(frames: NDArray[np.int64], mirror: bool) -> Tensor:
            with torch.inference_mode(), run.autocast():
                images = read(frames[:, None], None)
                return encoder(images.flip(-1) if mirror else images).float()

        # Of all parts at once: the cells of other folds, and the test of this one, read the same file.
        frames = material.frames_seen(np.sort(np.concatenate(list(material.split.parts.values()))))
        self.sides = [
            features(
                encoder, partial(encode, mirror=mirror), frames, material.store, run.shelf,
                (mirror, run.device.type, run.precision),
                lambda done, total: run.report(f"{stage.name}: {stage.reads} reads frame {done}/{total}"),
            )
            for mirror in ((False,) if stage.augmentation == "none" else (False, True))
        ]  # fmt: skip

    def __call__(self, frames: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        found = torch.from_numpy(self.sides[0].of(frames))
        if generator is not None and len(self.sides) > 1:
            mirrored = torch.randint(2, (len(frames),), generator=generator).bool()
            found[mirrored] = torch.from_numpy(self.sides[1].of(frames[mirrored.numpy()]))
        found = on_device(found, self.device)
        return found.squeeze(1) if self.view == "image" else found

    def seconds(self, frames: NDArray[np.int64]) -> float:
        return sum(side.seconds for side in self.sides) * len(frames) / len(self.sides[0].frames)


def train(
    model: nn.Module, architecture: Architecture, size: Size, material: Material, run: Run
) -> list[dict[str, Any]]:
    """Runs every stage of a size; the model ends with the weights that the last one chose.

    Returns:
        One entry an epoch: stage, epoch (from 1), train_loss, val_loss, val_abaw, samples (inputs trained on), seconds
        (of training alone; the first epoch's with the reading of what is frozen), moved (parameters that the stage
        changed, by their number: what was frozen by mistake is missing here).

    Raises:
        DivergedError: the loss is no finite number.
    """
    history = []
    for stage in size.stages:
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        for part in stage.frozen:
            model.get_submodule(part).requires_grad_(False)
        free = [parameter for parameter in model.parameters() if parameter.requires_grad]
        before = marks(free)
        epochs = list(_train_stage(model, architecture, stage, material, run))
        moved = sum(p.numel() for p, old, new in zip(free, before, marks(free), strict=True) if old != new)
        history += [{**epoch, "moved": moved} for epoch in epochs]
    return history


def marks(parameters: Iterable[nn.Parameter]) -> list[tuple[float, float]]:
    """Two sums over each parameter, which hardly any change leaves as they are."""
    with torch.no_grad():
        return [(float(p.sum()), float(p.square().sum())) for p in (parameter.double() for parameter in parameters)]


def _train_stage(
    model: nn.Module, architecture: Architecture, stage: Stage, material: Material, run: Run
) -> Iterator[dict[str, Any]]:
    material = material.under(stage.view)
    split, corpus, task = material.split, material.corpus, material.task
    axes = (architecture.name, corpus.name, stage.name)
    torch.manual_seed(number_of(run.seed, "dropout", *axes))
    generator = torch.Generator().manual_seed(number_of(run.seed, "augmentation", *axes))
    rng = np.random.default_rng(number_of(run.seed, "order", corpus.name, stage.name))
    model.eval()
    run.report(f"{stage.name} begins")
    batches, forward = reading(model, stage, material, run)
    # What is read once is a cost of the first epoch.
    spent = batches.seconds(material.frames_seen(np.concatenate([split.train, split.validation])))
    objective = objective_of(model, stage, forward, task.loss(stage, split.train, run.device))
    update = optimizer(stage, (p for p in model.parameters() if p.requires_grad))
    epochs = epochs_of(stage, run.epochs, len(material.instances(split.train)))
    best: tuple[float, float] = (-math.inf, -math.inf)
    chosen: dict[str, Tensor] = {}
    stays = tuple(f"{part}." for part in stage.frozen)
    for epoch in range(1, epochs + 1):
        drawn = material.instances(split.train, rng)
        order = rng.permutation(len(drawn))[: stage.max_samples]
        dealt = batches_of(order, stage.batch_size)
        steps = epochs * len(dealt)
        began, total = time.perf_counter(), torch.zeros((), device=run.device)
        set_training(model, stage)
        # Windows are drawn anew in each epoch, and not always as many: each epoch takes its own share of the schedule.
        for step, rows in enumerate(dealt, start=(epoch - 1) * len(dealt)):
            for group in update.param_groups:
                group["lr"] = learning_rate(stage, step, steps)
            inputs, truth = batches(drawn.frames[rows], generator), task.truth(drawn.sample[rows]).to(run.device)
            loss = training_step(objective, update, inputs, truth, stage, run)
            total += loss * len(rows)
            run.report(f"{stage.name} epoch {epoch}/{epochs}, step {step + 1}/{steps}", loss)
        mean = float(total) / sum(map(len, dealt))
        seconds = time.perf_counter() - began + (spent if epoch == 1 else 0.0)
        if not math.isfinite(mean):
            raise DivergedError(f"the training loss is {mean} in epoch {epoch} of stage {stage.name!r}: lower its rate")
        model.eval()
        quality = validate(forward, batches, material, run)
        if stage.selection == "last" or quality >= best:
            best, chosen = quality, {n: v.clone() for n, v in model.state_dict().items() if not n.startswith(stays)}
        yield {
            "stage": stage.name, "epoch": epoch, "train_loss": mean, f"val_{task.headline}": quality[0],
            "val_loss": -quality[1], "samples": len(order), "seconds": seconds,
        }  # fmt: skip
    model.load_state_dict(chosen, strict=False)
    model.eval()


def reading(model: nn.Module, stage: Stage, material: Material, run: Run) -> tuple[Batches, Callable[[Tensor], Tensor]]:
    """Where a stage reads from, and what it sends its inputs through."""
    method = stage.through or ("decode" if stage.reads else "")
    through: Callable[[Tensor], Tensor] = getattr(model, method) if method else model
    if not stage.reads:
        return FrameBatches(material, run, stage.augmentation), through
    return FeatureBatches(material, run, model, stage), through


def predict_with(model: nn.Module, size: Size, material: Material, samples: NDArray[np.int64], run: Run) -> Answers:
    """Answers of a trained model to samples, read as its last stage read them."""
    last = size.stages[-1] if size.stages else Stage()
    whole = Stage(reads=last.reads) if last.view is None and not last.through else Stage()
    batches, forward = reading(folded(model), replace(whole, augmentation="none"), material, run)
    return predict(forward, batches, material, samples, run)


def set_training(model: nn.Module, stage: Stage) -> None:
    """Training mode for what the stage trains, evaluation mode for what it leaves as it is."""
    model.train()
    for part in stage.frozen:
        model.get_submodule(part).eval()


Objective = Callable[[Tensor, Tensor], Tensor]
"""The loss of a batch, by its inputs and truths."""


def objective_of(model: nn.Module, stage: Stage, forward: Callable[[Tensor], Tensor], loss: nn.Module) -> Objective:
    """What a stage lessens: the loss of the model's outputs, or what the model makes of it."""

    def of_outputs(outputs: Tensor, truth: Tensor) -> Tensor:
        found: Tensor = loss(outputs.float(), truth)  # never in half precision
        return found

    if not stage.objective:
        return lambda inputs, truth: of_outputs(forward(inputs), truth)
    method = getattr(model, stage.objective)
    return lambda inputs, truth: method(inputs, truth, of_outputs)


def training_step(
    objective: Objective, update: torch.optim.Optimizer, inputs: Tensor, truth: Tensor, stage: Stage, run: Run
) -> Tensor:
    """One step of the optimiser; returns the loss, detached."""
    with run.autocast():
        loss = objective(inputs, truth)
    update.zero_grad(set_to_none=True)
    loss.backward()
    if stage.gradient_norm is not None:
        nn.utils.clip_grad_norm_([p for g in update.param_groups for p in g["params"]], stage.gradient_norm)
    update.step()
    return loss.detach()


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
