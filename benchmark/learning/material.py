"""What a cell trains and is tested on, and how it is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ferbench.benchmark.learning.features import Shelf
from ferbench.benchmark.learning.resuming import Keeper
from ferbench.benchmark.learning.task import Task, task_of
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol as DataProtocol
from ferbench.datasets.frames import FrameStore
from ferbench.datasets.splits import Split
from ferbench.datasets.views import Instances, frames_seen, instances, shuffled
from ferbench.models.architecture import View


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
    budget: float | None = None
    """Seconds of training, in place of `epochs`: every stage has as many epochs as fit (`learning.budget`)."""
    clock: Callable[[], float] = time.perf_counter
    """What the seconds of a budget are read from."""
    shelf: Shelf | None = None
    """Where what frozen parts make of frames is kept, for this cell's test and for other cells; None: nowhere."""
    keeper: Keeper | None = None
    """Keeps the state of the training, so that it can go on after a kill; None: it begins anew."""

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision, where the cell runs in it."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            yield
