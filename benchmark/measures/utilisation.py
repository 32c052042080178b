"""How much of a device's arithmetic a model uses: its forward pass and its training step, at the batch that is fastest,
as a share of what a large matrix product reaches on the same device in the same precision.

Operations are two a multiply-add, those of `measures.efficiency`; of a training step with those of the gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ferbench.benchmark.measures.efficiency import Clock, Precision, Shape, autocast, out_of_memory, random_input

Part = Literal["inference", "training"]

BATCHES = {"cpu": (1, 8), "cuda": (8, 32, 128, 512)}
"""Batch sizes that are tried, by device type, as long as they fit and make it faster."""

MATRIX = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrix product that stands for the peak."""

WARM_UP = 3
SAMPLES = 5
SAMPLE_SECONDS = 0.05
"""A timed sample repeats the call until it lasts at least this long."""
LONGEST_CALL = 0.3
"""Seconds; a call that takes longer has kept the device busy, and no larger batch is tried."""


@dataclass(frozen=True)
class Utilisation:
    """What a part of a model's work reaches at its fastest batch."""

    part: Part
    compiled: bool
    batch: int
    samples_per_s: float
    flops_per_s: float
    share: float
    """Of the rate of a large matrix product."""


def matrix_product_rate(device: torch.device, precision: Precision) -> float:
    """Floating-point operations a second of a large product of random matrices, which stands for the device's peak."""
    n = MATRIX[device.type]
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(n, n, device=device, dtype=kind) for _ in range(2))
    return 2 * n**3 / seconds_per_call(lambda: a @ b, device)


def utilisations(
    model: nn.Module,
    shape: Shape,
    device: torch.device,
    precision: Precision,
    peak: float,
    *,
    channels_last: bool,
    batches: Sequence[int] | None = None,
    compiled: bool = False,
) -> Iterator[Utilisation]:
    """Of inference, then of training, each at the fastest of some batches.

    Args:
        model: on the device; its weights are moved.
        shape: of a batch; its first number is replaced.
        peak: operations a second (`matrix_product_rate`).
        compiled: by `torch.compile`, at the one batch that the model as it comes is fastest at.
    """
    parts: tuple[Part, ...] = ("inference", "training")
    for part in parts:
        flops = flops_of(model, shape, part)
        found = _fastest(model, part, shape, device, precision, channels_last, batches or BATCHES[device.type])
        if found is None:
            continue
        batch, seconds = found
        yield _utilisation(part, False, batch, seconds, flops, peak)
        if compiled:
            faster: nn.Module = torch.compile(model, dynamic=False)  # type: ignore[assignment]
            seconds = _seconds(faster, part, (batch, *shape[1:]), device, precision, channels_last)
            yield _utilisation(part, True, batch, seconds, flops, peak)


def _utilisation(part: Part, compiled: bool, batch: int, seconds: float, flops: int, peak: float) -> Utilisation:
    """From the seconds of one call, and the operations of one sample."""
    rate = batch * flops / seconds
    return Utilisation(part, compiled, batch, batch / seconds, rate, rate / peak)


def flops_of(model: nn.Module, shape: Shape, part: Part) -> int:
    """Floating-point operations of a part for one sample, two a multiply-add, counted on a copy without data."""
    copied = copy.deepcopy(model).to("meta").train(part == "training")
    # Of two, since in training mode a normalisation over one sample's single place is refused.
    x = torch.empty((2, *shape[1:]), device="meta")
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(part == "training"):
        output = copied(x)
        if part == "training":
            output.sum().backward()
    return int(counter.get_total_flops()) // 2


def _fastest(
    model: nn.Module, part: Part, shape: Shape, device: torch.device, precision: Precision, channels_last: bool,
    batches: Sequence[int],
) -> tuple[int, float] | None:  # fmt: skip
    """The batch with the most samples a second, and its seconds; None where not even the smallest fits."""
    best: tuple[int, float] | None = None
    for batch in batches:
        try:
            seconds = _seconds(model, part, (batch, *shape[1:]), device, precision, channels_last)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            break
        finally:
            model.zero_grad(set_to_none=True)
            if device.type == "cuda":
                torch.cuda.empty_cache()
        if best is not None and batch / seconds < best[0] / best[1]:
            break
        best = batch, seconds
        if seconds > LONGEST_CALL:
            break
    return best


def _seconds(
    model: nn.Module, part: Part, shape: Shape, device: torch.device, precision: Precision, channels_last: bool
) -> float:
    """Of one call at a batch of this shape."""
    x = random_input(tuple(shape), device, channels_last)
    with _mode(model, part):
        return seconds_per_call(_call(model, part, x, device, precision), device)


@contextmanager
def _mode(model: nn.Module, part: Part) -> Iterator[None]:
    was_training = model.training
    model.train(part == "training")
    try:
        yield
    finally:
        model.train(was_training)


def _call(model: nn.Module, part: Part, x: Tensor, device: torch.device, precision: Precision) -> Callable[[], object]:
    """One forward pass, or one step of AdamW on a cross-entropy."""
    if part == "inference":

        def infer() -> Tensor:
            with torch.inference_mode(), autocast(device, precision):
                output: Tensor = model(x)
                return output

        return infer
    update = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-6, fused=True)

    def step() -> None:
        with autocast(device, precision):
            scores = model(x).float()
        scores = scores.flatten(0, -2)
        loss = F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.long, device=device))
        update.zero_grad(set_to_none=True)
        loss.backward()
        update.step()

    return step


def seconds_per_call(call: Callable[[], object], device: torch.device) -> float:
    """The fastest of some samples, each the mean of calls that follow one another: what the device can, not what else
    happens on it."""
    clock = Clock(device, SAMPLE_SECONDS)
    return min(clock.seconds_per_call(call, SAMPLES, WARM_UP, wait_each_call=False))
