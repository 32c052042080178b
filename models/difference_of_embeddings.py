"""Difference of Embeddings: an expression is read against the same person's neutral face.

Seed: github.com/jerry940100/Facial-Expression-Recognition (AffectNet small, CTBC).

    pair (B,2,3,H,W) = neutral, target -> frozen MobileNetV3-Large (B,2,960)
    -> concat(target - neutral, target) (B,1920) -> 256 -> 128 -> 64 -> 32 -> classes, ReLU between

Works for every H and W. The backbone is frozen, so its features are computed once a corpus (`decode` trains on them),
without augmentation; tiny trains on their mirror images too.
Deviations from the seed: none in the structure. Where a data set has no neutral image of a subject the seed states no
rule; here the protocol of the data set does. The seed's optimiser is not known, so the recipe is this project's.
Tiny has a narrower and shallower MobileNetV3; the head is the seed's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from models.architecture import Architecture, Size, Stage, Weights
from models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_tiny


class DifferenceOfEmbeddings(nn.Module):
    """(B,2,3,H,W) -> (B,classes). `embedding` is what the head reads: the ablation of the seed."""

    def __init__(
        self,
        classes: int,
        backbone: MobileNetV3,
        embedding: Literal["both", "difference", "target"] = "both",
        hidden: tuple[int, ...] = (256, 128, 64, 32),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.embedding = embedding
        widths = (backbone.width * (2 if embedding == "both" else 1), *hidden)
        layers = [layer for i, o in pairwise(widths) for layer in (nn.Linear(i, o), nn.ReLU())]
        self.head = nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of neutral and target (B,2,F) -> (B,classes)."""
        neutral, target = features.unbind(dim=1)
        if self.embedding == "difference":
            return self.head(target - neutral)
        if self.embedding == "target":
            return self.head(target)
        return self.head(torch.cat((target - neutral, target), dim=1))


ARCHITECTURE = Architecture(
    name="difference_of_embeddings",
    title="Difference of Embeddings",
    view="pair",
    source="jerry940100/Facial-Expression-Recognition",
    sizes={
        "full": Size(
            build=lambda classes: DifferenceOfEmbeddings(classes, mobilenet_v3_large()),
            image_size=224,
            frames=2,
            stages=(
                Stage(
                    epochs=30,
                    batch_size=32,
                    optimizer="adam",
                    lr=1e-3,
                    augmentation="none",
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: DifferenceOfEmbeddings(classes, mobilenet_v3_tiny()),
            image_size=48,
            frames=2,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=60_000,
                    batch_size=64,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "backbone"),),
            channels_last=True,
        ),
    },
)
