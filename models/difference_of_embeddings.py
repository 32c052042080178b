"""Difference of Embeddings: an expression is read against the same person's neutral face.

Seed: github.com/jerry940100/Facial-Expression-Recognition (AffectNet small, CTBC).

    pair (B,2,3,H,W) = neutral, target -> frozen MobileNetV3-Large (B,2,960)
    -> concat(target - neutral, target) (B,1920) -> 256 -> 128 -> 64 -> 32 -> classes, ReLU between

Works for every H and W. The backbone is frozen, so its features are computed once a corpus (`decode` trains on them),
without augmentation; tiny trains on their mirror images too.
Variants, the seed's ablation: `@difference_only` and `@target_only` read one half of the embedding.
Deviations from the seed: none in the structure. Where a data set has no neutral image of a subject the seed states no
rule; here the protocol of the data set does. Of its optimiser the seed says Adam, batch 32, 30 epochs; the rate is this
project's. Tiny has a narrower and shallower MobileNetV3; the head is the seed's. Small has
MobileNetV3-Small without the stem's stride, from random weights, so that it is trained together with the head.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.difference import Embedding, classifier, embed, embedding_width
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_small, mobilenet_v3_tiny


class DifferenceOfEmbeddings(nn.Module):
    """(B,2,3,H,W) -> (B,classes). `embedding` is what the head reads."""

    def __init__(self, classes: int, backbone: MobileNetV3, embedding: Embedding = "both") -> None:
        super().__init__()
        self.backbone = backbone
        self.embedding = embedding
        self.head = classifier(embedding_width(backbone.width, embedding), classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of neutral and target (B,2,F) -> (B,classes)."""
        return self.head(embed(features, self.embedding))


def sizes(embedding: Embedding) -> Mapping[str, Size]:
    """Every size, with a head that reads this."""
    return {
        "full": Size(
            build=lambda classes: DifferenceOfEmbeddings(classes, mobilenet_v3_large(), embedding),
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
            official=(Official("torchvision/mobilenet_v3_large", "backbone"),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: DifferenceOfEmbeddings(classes, mobilenet_v3_tiny(), embedding),
            image_size=48,
            frames=2,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=60_000,
                    batch_size=64,
                    lr=0.003,
                    weight_decay=0.18,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "backbone"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: DifferenceOfEmbeddings(classes, mobilenet_v3_small(), embedding),
            image_size=48,
            frames=2,
            stages=(
                Stage(
                    epochs=60,
                    batch_size=64,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="heavy",
                ),
            ),
            channels_last=True,
        ),
    }


ARCHITECTURE = Architecture(
    name="difference_of_embeddings",
    title="Difference of Embeddings",
    view="pair",
    source="jerry940100/Facial-Expression-Recognition",
    sizes=sizes("both"),
    variants={"difference_only": sizes("difference"), "target_only": sizes("target")},
)
