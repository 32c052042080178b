"""Disentangled Difference of Embeddings: first an encoder of expression that need not know who it sees.

Seed: github.com/jerry940100/Facial-Expression-Recognition (AffectNet small, CTBC).

    stage 1, image (B,3,H,W): MobileNetV3-Large (B,960), the emotion encoder, is trained
                              beside a frozen ResNet-50 of VGGFace2 (B,2048), the identity encoder
        -> concat(emotion, identity) (B,3008) -> 256 -> 128 -> 64 -> 32 -> classes
    stage 2, pair (B,2,3,H,W) = neutral, target: the emotion encoder, now frozen (B,2,960)
        -> concat(target - neutral, target) (B,1920) -> 256 -> 128 -> 64 -> 32 -> classes, ReLU between

What tells people apart is there for stage 1 to read from the identity encoder, so the emotion encoder has no need to
learn it. Prediction uses the second line alone: of 27.85 M parameters (8 classes) that training needs, 3.51 M and
0.43 G multiply-adds a pair stay, as many as of Difference of Embeddings. Works for every H and W.

Variants: `@without_identity` trains stage 1 without the identity encoder's features (zeros stand in their place);
`@without_stage_1` leaves the emotion encoder as it comes, which makes it Difference of Embeddings.
Deviations from the seed: it leaves out the max-pool of the ResNet-50 and puts VGGFace2's weights into a build whose
strides lie elsewhere; here it is VGGFace2's own ResNet-50. Nothing in it keeps the batch norms of the frozen encoder as
they are; here they stay. Of its optimiser the seed says Adam, batch 32, 30 epochs; the rates are this project's. Tiny
has a narrower and shallower MobileNetV3 and a small ResNet; the two heads are the seed's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.difference import classifier, embed, embedding_width
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_tiny
from ferbench.models.parts.resnet import ResNet, resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class DisentangledDifferenceOfEmbeddings(nn.Module):
    """(B,2,3,H,W) -> (B,classes); trained through `disentangle` first, then through `decode`."""

    def __init__(
        self, classes: int, emotion: MobileNetV3, identity: ResNet | VGGFace2ResNet50, beside_identity: bool = True
    ) -> None:
        super().__init__()
        self.emotion = emotion
        self.identity = identity
        self.beside_identity = beside_identity
        self.emotion_head = classifier(emotion.width + identity.width, classes)
        self.head = classifier(embedding_width(emotion.width, "both"), classes)

    def disentangle(self, x: Tensor) -> Tensor:
        """Stage 1: images (B,3,H,W) -> (B,classes). No gradient goes to the identity encoder."""
        emotion = self.emotion(x)
        if self.beside_identity:
            with torch.no_grad():
                identity = self.identity(x)
        else:
            identity = emotion.new_zeros(len(x), self.identity.width)
        return self.emotion_head(torch.cat((emotion, identity), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.emotion(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Stage 2: emotion features of neutral and target (B,2,F) -> (B,classes)."""
        return self.head(embed(features, "both"))


STAGE_1 = Stage(name="disentangle", view="image", through="disentangle", frozen=("identity", "head"))
STAGE_2 = Stage(name="difference", frozen=("emotion", "identity", "emotion_head"), reads="emotion")


def sizes(beside_identity: bool = True) -> Mapping[str, Size]:
    """Both sizes, with the identity encoder beside the emotion encoder or without."""
    return {
        "full": Size(
            build=lambda classes: DisentangledDifferenceOfEmbeddings(
                classes, mobilenet_v3_large(), VGGFace2ResNet50(), beside_identity
            ),
            image_size=224,
            frames=2,
            stages=(
                replace(STAGE_1, epochs=30, batch_size=32, optimizer="adam", lr=1e-4),
                replace(STAGE_2, epochs=30, batch_size=32, optimizer="adam", lr=1e-3, augmentation="none"),
            ),
            official=(
                Official("torchvision/mobilenet_v3_large", "emotion"),
                Official("vggface2/resnet50", "identity"),
            ),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: DisentangledDifferenceOfEmbeddings(
                classes, mobilenet_v3_tiny(), resnet_tiny(), beside_identity
            ),
            image_size=48,
            frames=2,
            stages=(
                replace(
                    STAGE_1,
                    epochs=6,
                    max_samples=8_000,
                    batch_size=64,
                    lr=0.0022,
                    weight_decay=0.004,
                    label_smoothing=0.2,
                    class_weights="none",
                    augmentation="light",
                ),
                replace(
                    STAGE_2,
                    epochs=20,
                    max_samples=60_000,
                    batch_size=64,
                    lr=0.017,
                    weight_decay=0.004,
                    label_smoothing=0.2,
                    class_weights="none",
                    augmentation="light",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "emotion"), Weights("identity-resnet", "identity")),
            channels_last=True,
            searched=True,
        ),
    }


def without_stage_1(both: Mapping[str, Size]) -> Mapping[str, Size]:
    """The same sizes, with the emotion encoder left as it comes."""
    return {name: replace(size, stages=size.stages[1:]) for name, size in both.items()}


ARCHITECTURE = Architecture(
    name="disentangled_difference_of_embeddings",
    title="Disentangled Difference of Embeddings",
    view="pair",
    source="jerry940100/Facial-Expression-Recognition",
    sizes=sizes(),
    variants={"without_identity": sizes(beside_identity=False), "without_stage_1": without_stage_1(sizes())},
)
