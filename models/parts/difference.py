"""What the two Difference of Embeddings share: their classifier, and how it sees a neutral face beside a target."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Embedding = Literal["both", "difference", "target"]
HIDDEN = (256, 128, 64, 32)


def classifier(inputs: int, classes: int, hidden: tuple[int, ...] = HIDDEN) -> nn.Sequential:
    """(B,inputs) -> 256 -> 128 -> 64 -> 32 -> (B,classes), ReLU between."""
    widths = (inputs, *hidden)
    layers = [layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def embedding_width(width: int, embedding: Embedding) -> int:
    """Length of what `embed` gives for features of this width."""
    return 2 * width if embedding == "both" else width


def embed(features: Tensor, embedding: Embedding) -> Tensor:
    """Features of neutral and target (B,2,F) -> (B,2F) target - neutral and target, or (B,F) one of the two alone."""
    neutral, target = features.unbind(dim=1)
    if embedding == "difference":
        return target - neutral
    if embedding == "target":
        return target
    return torch.cat((target - neutral, target), dim=1)
