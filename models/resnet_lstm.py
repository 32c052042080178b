"""ResNet-152 + LSTM: the first of the SENDv1 study's three comparisons.

Papers: arXiv 1512.03385 (ResNet); Hochreiter and Schmidhuber 1997 (LSTM); seed: github.com/HonneLi/ENGN8602 (SENDv1).

    clip (B,T,3,H,W) -> ResNet-152, frozen on ImageNet (B,T,2048) -> linear 500 -> linear 128, dropout 0.5
    -> LSTM of 2 layers (B,T,128) -> linear per frame (B,T,classes) -> mean over T

The backbone has torchvision's parameter names, so its official weights load. Works for every T, H and W. The seed
averages the logits of a window's frames before the loss, hence the view `clip` and not `sequence`.

Deviations from the seed: the frozen norms use the statistics that they come with (the seed lets them follow its
batches); logits where the seed gives the softmax to a loss that takes it again. It states no widths and no recipe for
this model: those here are the ones of its training script for a TCN.
Tiny has the project's small ResNet in the place of ResNet-152, and is 64 wide.
"""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.lstm import FeatureLSTM
from ferbench.models.parts.resnet import resnet_tiny


class ResNet152(ResNet):
    """(N,3,H,W) -> (N,2048). Parameter names are those of torchvision's resnet152, which has an `fc` besides."""

    width = 2048

    def __init__(self) -> None:
        # Without official weights and with norms that stay as they are, fifty blocks that each add to what they get
        # would end beyond any number that the LSTM can take: each begins as the identity.
        super().__init__(Bottleneck, [3, 8, 36, 3], num_classes=1, zero_init_residual=True)
        self.fc = nn.Identity()


ARCHITECTURE = Architecture(
    name="resnet_lstm",
    title="ResNet-152 + LSTM",
    view="clip",
    source="arXiv 1512.03385; HonneLi/ENGN8602",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: FeatureLSTM(classes, ResNet152(), widths=(2048, 500, 128), hidden=128),
            image_size=224,
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
            official=(Official("torchvision/resnet152", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: FeatureLSTM(classes, resnet_tiny(), widths=(128, 96, 64), hidden=64),
            image_size=48,
            frames=12,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=16,
                    lr=0.0018,
                    weight_decay=3.7e-05,
                    label_smoothing=0.2,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
            searched=True,
        ),
    },
)
