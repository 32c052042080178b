"""What a stage's recipe means: optimiser, schedule, loss, budget."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.architecture import Stage


def epochs_of(stage: Stage, factor: float, inputs: int) -> int:
    """Epochs over `inputs` inputs under a suite's budget; at least one."""
    epochs = stage.epochs if stage.max_samples is None else min(stage.epochs, stage.max_samples / inputs)
    return max(1, round(epochs * factor))


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
    """Cross-entropy of the stage over the training labels' class counts."""
    weight = None
    if stage.class_weights == "sqrt_inverse":
        count = np.bincount(labels, minlength=num_classes)
        raw = 1 / np.sqrt(np.maximum(count, 1))
        weight = torch.tensor(raw / (raw * count).sum() * count.sum(), dtype=torch.float32, device=device)
    return nn.CrossEntropyLoss(weight=weight, label_smoothing=stage.label_smoothing)
