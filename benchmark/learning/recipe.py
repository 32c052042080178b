"""What a stage's recipe means: optimiser, schedule, loss, budget."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.models.architecture import Stage


@dataclass(frozen=True)
class Plan:
    """How long a stage trains."""

    epochs: int
    samples: int | None
    """Most inputs of an epoch: where there are more, each epoch draws so many of them. None: all there are."""


def plan_of(stage: Stage, factor: float, inputs: int) -> Plan:
    """Epochs over `inputs` inputs under a suite's factor; at least one. A longer training raises the stage's cap too,
    a shorter one has fewer epochs before it has less of each."""
    if stage.max_samples is None:
        return Plan(max(1, round(stage.epochs * factor)), None)
    epochs = min(stage.epochs, stage.max_samples / inputs)
    return Plan(max(1, round(epochs * factor)), round(stage.max_samples * max(1.0, factor)))


def plan_within(seconds: float, an_input: float, an_epoch: float, inputs: int) -> Plan:
    """As much of a stage as fits into so many seconds, in epochs of one length.

    Args:
        an_input: seconds to train on one.
        an_epoch: seconds of what each epoch costs besides, the validation.
        inputs: that there are to train on.
    """
    epochs = max(1, math.ceil(seconds / (inputs * an_input + an_epoch)))
    return Plan(epochs, max(1, round((seconds / epochs - an_epoch) / an_input)))


def batches_of(order: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Inputs in batches that differ by one at most. Where batches are asked for, none has a single input, which a batch
    normalisation cannot take: one may be larger by one, and a single input comes twice."""
    if batch_size > 1 and len(order) == 1:
        return [np.repeat(order, 2)]
    count = math.ceil(len(order) / batch_size)
    if batch_size > 1 and len(order) < 2 * count:
        count = len(order) // 2
    return np.array_split(order, count)


def optimizer(stage: Stage, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The stage's optimiser over the parameters that it trains. SGD has the seeds' momentum of 0.9."""
    trained = list(parameters)
    if stage.optimizer == "sgd":
        return torch.optim.SGD(trained, lr=stage.lr, momentum=0.9, weight_decay=stage.weight_decay, fused=True)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[stage.optimizer]
    return kind(trained, lr=stage.lr, weight_decay=stage.weight_decay, fused=True)


def learning_rate(stage: Stage, step: int, steps: int) -> float:
    """Rate of a step, counted from 0: a linear rise, then constant or a cosine to zero."""
    rise = stage.warmup * steps
    if step < rise:
        return stage.lr * (step + 1) / (rise + 1)
    if stage.schedule == "constant":
        return stage.lr
    return stage.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


def loss_function(stage: Stage, labels: NDArray[np.int64], num_classes: int, device: torch.device) -> nn.Module:
    """Cross-entropy of the stage over the training labels' class counts, summed over a model's heads."""
    weight = None
    if stage.class_weights == "sqrt_inverse":
        count = np.bincount(labels, minlength=num_classes)
        raw = 1 / np.sqrt(np.maximum(count, 1))
        weight = torch.tensor(raw / (raw * count).sum() * count.sum(), dtype=torch.float32, device=device)
    return ClassificationLoss(stage, weight)


class ClassificationLoss(nn.Module):
    """Outputs (B,C) or (B,T,C), with heads in front (S,...) or not, and labels (B,) or (B,T) -> a scalar.

    A label of -1 (a frame without one) is left out of the cross-entropy, not of the smoothing.
    """

    def __init__(self, stage: Stage, weight: Tensor | None) -> None:
        super().__init__()
        self.smoothing = stage.smoothing
        self.cross_entropy = nn.CrossEntropyLoss(weight, ignore_index=-1, label_smoothing=stage.label_smoothing)

    def forward(self, output: Tensor, label: Tensor) -> Tensor:
        heads = output if output.ndim > label.ndim + 1 else output[None]
        labels = label.expand(len(heads), *label.shape)
        # the mean over equally weighted heads, times their number, is the sum of their losses
        loss: Tensor = len(heads) * self.cross_entropy(heads.flatten(0, -2), labels.flatten())
        if self.smoothing and label.ndim == 2 and label.shape[1] > 1:
            loss = loss + self.smoothing * len(heads) * smoothing_loss(heads.log_softmax(-1).flatten(0, 1))
        return loss


def smoothing_loss(log_probabilities: Tensor, threshold: float = 4.0) -> Tensor:
    """Truncated mean squared error between neighbouring frames' log-probabilities (B,T,C), T > 1.

    Source: MS-TCN, arXiv 1903.01945, equations 8 to 10: no gradient reaches the earlier frame.
    """
    step = log_probabilities[:, 1:] - log_probabilities[:, :-1].detach()
    return step.abs().clamp(max=threshold).square().mean()


class RegressionLoss(nn.Module):
    """Squared error in units of the training targets' variance, summed over a model's heads.

    Outputs (B,1) or (B,T,1), with heads in front or not; targets (B,) or (B,T), NaN where there is none.
    """

    def __init__(self, stage: Stage, deviation: float) -> None:
        super().__init__()
        self.smoothing = stage.smoothing
        self.scale = 1 / max(deviation, 1e-3)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        value = output[..., 0]
        heads = value if value.ndim > target.ndim else value[None]
        known = target.isfinite()
        error = (heads - target.nan_to_num()) * self.scale
        loss = (error.square() * known).sum() / known.sum()
        if self.smoothing and target.ndim == 2 and target.shape[1] > 1:
            step = (heads[..., 1:] - heads[..., :-1].detach()) * self.scale
            loss = loss + self.smoothing * len(heads) * step.square().mean()
        return loss
