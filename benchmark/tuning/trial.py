"""One trial inside a worker: a recipe trained for its seconds and asked about the validation part, epoch by epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ferbench.benchmark.cell import Told, shelf_on, trained_model
from ferbench.benchmark.learning.resuming import Keeper
from ferbench.benchmark.planning.closed import parts_without_test
from ferbench.benchmark.planning.data import Location, Report, open_data, read_corpus_once
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.running.worker import or_leave, telling, told_in_one_line
from ferbench.benchmark.tuning.storage import study_in

if TYPE_CHECKING:
    from ferbench.benchmark.learning.material import Material
    from ferbench.benchmark.learning.recipe import Plan

LOOKS = 10
"""How often a stage is compared with other trials, at most."""

State = Literal["finished", "pruned", "failed"]


@dataclass(frozen=True)
class Task:
    """A trial as a worker needs it."""

    name: str
    """As it is called on the terminal."""
    cell: Cell
    """The row under the recipe that is tried, with the seed of the search."""
    location: Location
    keys: dict[str, str]
    """Under which the training of rows that it starts from is kept, by row."""
    device_type: str
    journal: Path
    study: str
    trial_id: int
    """Of the trial in its journal."""
    unpruned: bool
    """Whether it is trained to its end, whatever others have shown: what is compared with the search's trials."""


@dataclass(frozen=True)
class Attempt:
    """What came of a trial."""

    state: State
    value: float | None
    """Headline measure on the validation part of the epoch that the recipe chooses; None where it did not finish."""
    curve: list[dict[str, Any]] = field(default_factory=list)
    """One entry an epoch: stage, epoch, train_loss and val, the headline measure on the validation part."""
    reason: str = ""
    """Why it failed."""


class PrunedError(Exception):
    """Others were better at this point."""


class Watch(Keeper):
    """Is told of every epoch in place of what keeps a training; keeps nothing."""

    def __init__(self, tell: Callable[[int, float], None]) -> None:
        self.tell = tell
        self.plans: list[Plan] = []
        self.step = -1
        self.entries: list[dict[str, Any]] = []

    def found(self) -> None:
        return None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        yield

    def planned(self, plan: Callable[[], list[Plan]]) -> list[Plan]:
        self.plans = plan()
        return self.plans

    @property
    def is_over(self) -> bool:
        """Whether every epoch is done."""
        return len(self.entries) == sum(plan.epochs for plan in self.plans)

    def due(self, *, epoch_ends: bool) -> bool:
        return epoch_ends

    def keep(self, about: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Hears of the epochs that are done: of the stage at work, or of a whole stage."""
        at_work = about.get("entries")
        stage = about["stage"] if at_work is not None else about["stage"] - 1
        self.entries = [*about["history"], *(at_work or [])]
        done = len(at_work) if at_work is not None else self.plans[stage].epochs
        best = max(value_of(entry) for entry in self.entries[-done:])
        step = stage * (LOOKS + 1) + LOOKS * done // self.plans[stage].epochs
        if step > self.step:
            self.step = step
            self.tell(step, best)


def value_of(entry: dict[str, Any]) -> float:
    """The headline measure of an epoch on the validation part."""
    return float(next(entry[name] for name in entry if name.startswith("val_") and name != "val_loss"))


@told_in_one_line()
def prepare(location: Location, image_size: int, fold: int, processes: int) -> None:
    """Writes the twin and decodes all frames but those of the test part, where that is not done yet."""
    with telling(f"data of {location.name}") as say:
        open_data(location, image_size, say, processes, closed=fold)


@told_in_one_line()
def attempt(task: Task) -> Attempt:
    """Trains a recipe; raises where it cannot be trained, which is for the search to count as a bad trial."""
    import optuna

    trial = optuna.trial.Trial(study_in(task.journal, task.study), task.trial_id)

    def tell(step: int, value: float) -> None:
        trial.report(value, step)
        if not task.unpruned and trial.should_prune():
            raise PrunedError

    with telling(task.name) as say:
        return or_leave(lambda: trained(task, tell, say))


def trained(task: Task, tell: Callable[[int, float], None], report: Report) -> Attempt:
    """Trains a recipe on the training part and asks about the validation part."""
    import torch

    from ferbench.benchmark.learning.budget import processor_seconds
    from ferbench.benchmark.learning.determinism import deterministic_if_it_can
    from ferbench.benchmark.learning.material import Run

    device, architecture = torch.device(task.device_type), architectures.get(task.cell.architecture)
    size = architecture.sizes[task.cell.size]
    run = Run(
        device=device,
        precision=size.precision_on(device.type),
        channels_last=size.channels_last,
        seed=task.cell.seed,
        epochs=1.0,
        report=Told(report),
        clock=time.perf_counter if device.type == "cuda" else processor_seconds,
        shelf=shelf_on(device),
    )
    material = material_of(task.cell, task.location, report)
    watch = Watch(tell)
    try:
        deterministic_if_it_can(lambda: trained_model(task.cell, material, run, task.keys, watch))
    except PrunedError:
        if not watch.is_over:  # there is nothing left to save, and its score is known
            return Attempt("pruned", None, curve_of(watch.entries))
    last = size.stages[-1]
    own = [entry for entry in watch.entries if entry["stage"] == last.name]
    chosen = own[-1] if last.selection == "last" else max(own, key=lambda e: (value_of(e), -e["val_loss"]))
    value = value_of(chosen)
    if not math.isfinite(value):
        raise ValueError(f"the score on the validation part is {value}")
    return Attempt("finished", value, curve_of(watch.entries))


def material_of(cell: Cell, location: Location, report: Report) -> Material:
    """What a trial trains on, with a test part that is empty: nothing of it was opened.

    Raises:
        DataError: the data cannot be used.
    """
    from ferbench.benchmark.learning.material import Material
    from ferbench.datasets.corpus import DataError
    from ferbench.datasets.integrity import too_much_lost

    architecture = architectures.get(cell.architecture)
    size = architecture.sizes[cell.size]
    corpus, store = open_data(location, size.image_size, report, closed=cell.fold)
    if reason := too_much_lost(corpus, store.missing, data_sets.get(cell.dataset).sparse):
        raise DataError(f"{corpus.name}: {reason}")
    parts = parts_without_test(read_corpus_once(location), corpus, cell.protocol, cell.fold, store.content)
    return Material(corpus, cell.protocol, parts, store, architecture.view, size.frames, size.shuffle_frames)


def curve_of(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is kept of each epoch of a trial's own stages."""
    return [
        {name: entry[name] for name in ("stage", "epoch", "train_loss", "seconds")} | {"val": value_of(entry)}
        for entry in entries
    ]
