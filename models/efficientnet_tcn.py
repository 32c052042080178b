"""EfficientNet-B3 + TCN: the third of the SENDv1 study's three comparisons.

Papers: arXiv 1905.11946 (EfficientNet); "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for
Sequence Modeling", Bai et al. 2018 (arXiv 1803.01271); seed: github.com/HonneLi/ENGN8602 (SENDv1).

    clip (B,T,3,H,W) -> EfficientNet-B3, frozen on ImageNet (B,T,1536) -> linear 128, dropout 0.5
    -> TCN: 5 blocks of two causal convolutions of 2 frames, dilations 1, 2, 4, 8, 16 (B,T,128)
    -> the last frame's (B,128) -> 64 -> classes, ReLU between

The last frame sees the 62 before it, so a whole window. The convolutions are weight-normalised. The backbone has
torchvision's parameter names, so its official weights load; 300×300 is the size they were made for. Works for every
T, H and W. The seed classifies a window by its last frame, hence the view `clip` and not `sequence`.

Deviations from the seed: it hands the TCN a pair of features and logits, which fails; the features, whose 1536 its next
layer expects, are meant. It draws the weights of the convolutions with a deviation of 0.01, which its weight norm
undoes at the first forward pass: they begin as PyTorch's do. The frozen norms use the statistics that they come with;
logits where the seed gives the softmax to a loss that takes it again. Widths, dropout and recipe are those of the
seed's training script for a TCN, as this model has none of its own.
Tiny has the project's small MobileNetV3, made of the same inverted residuals with squeeze-and-excitation, and 4 blocks
of 64 channels, whose last frame sees the 30 before it.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.efficientnet import EfficientNet, efficientnet_b3
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_tiny
from ferbench.models.parts.tcn import TCN


class EfficientNetTCN(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(
        self, classes: int, backbone: EfficientNet | MobileNetV3, channels: int = 128, blocks: int = 5, hidden: int = 64
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.project = nn.Sequential(nn.Linear(backbone.width, channels), nn.Dropout(0.5))
        self.tcn = TCN((channels,) * (blocks + 1), kernel=2, dropout=0.1)
        self.head = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes)."""
        return self.head(self.tcn(self.project(features).transpose(1, 2))[:, :, -1])


ARCHITECTURE = Architecture(
    name="efficientnet_tcn",
    title="EfficientNet-B3 + TCN",
    view="clip",
    source="arXiv 1905.11946; arXiv 1803.01271; HonneLi/ENGN8602",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: EfficientNetTCN(classes, efficientnet_b3()),
            image_size=300,
            frames=12,
            stages=(
                Stage(
                    epochs=30,
                    batch_size=8,
                    optimizer="adam",
                    lr=3e-5,
                    schedule="constant",
                    warmup=0.0,
                    augmentation="none",
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            official=(Official("torchvision/efficientnet_b3", "backbone"),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: EfficientNetTCN(classes, mobilenet_v3_tiny(), channels=64, blocks=4),
            image_size=48,
            frames=12,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=32,
                    lr=0.0035,
                    weight_decay=0.034,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "backbone"),),
            channels_last=True,
            searched=True,
        ),
    },
)
