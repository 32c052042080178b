"""Where a stage's inputs come from: frames, or what a frozen part makes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from queue import Full, Queue
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.features import features
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.learning.material import Material, Run
from ferbench.datasets.augmentation import augment, normalise, sent
from ferbench.models.architecture import Stage

Item = TypeVar("Item")


def ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """The same items, of which another thread makes so many before they are asked for: a GPU need not wait for them."""
    queue: Queue[tuple[Item | None, BaseException | None]] = Queue(depth)
    left = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None]) -> None:
        while not left.is_set():
            with suppress(Full):
                queue.put(entry, timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put((item, None))
            put((None, StopIteration()))
        except BaseException as error:
            put((None, error))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while True:
            item, error = queue.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        left.set()
        maker.join()


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
        clips = normalise(sent(pixels, self.run.device))
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
        found = sent(found, self.device)
        return found.squeeze(1) if self.view == "image" else found

    def seconds(self, frames: NDArray[np.int64]) -> float:
        return sum(side.seconds for side in self.sides) * len(frames) / len(self.sides[0].frames)


def passed_through(model: nn.Module, stage: Stage) -> Callable[[Tensor], Tensor]:
    """What a stage sends its inputs through."""
    method = stage.through or ("decode" if stage.reads else "")
    through: Callable[[Tensor], Tensor] = getattr(model, method) if method else model
    return through


def reading(model: nn.Module, stage: Stage, material: Material, run: Run) -> tuple[Batches, Callable[[Tensor], Tensor]]:
    """Where a stage reads from, and what it sends its inputs through."""
    through = passed_through(model, stage)
    if not stage.reads:
        return FrameBatches(material, run, stage.augmentation), through
    return FeatureBatches(material, run, model, stage), through
