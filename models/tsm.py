"""TSM: a ResNet whose residual branches exchange channels between neighbouring frames.

Paper: "TSM: Temporal Shift Module for Efficient Video Understanding", Lin et al. 2019 (arXiv 1811.08383);
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,H,W) -> frames (B*T,3,H,W) -> ResNet-50, each block: x + branch(shift(x)) (B*T,2048)
    -> linear per frame (B,T,classes) -> segment consensus: mean over T

The shift moves 1/8 of the channels one frame back and 1/8 one frame on, with zeros beyond the clip's ends; it has no
parameters, so the backbone has ResNet-50's names and its official weights load. Works for every T, H and W.

Deviations from the paper: no dropout before the classifier. The seed's optimiser is not known, so the recipe is this
project's. Tiny has the shift in the four basic blocks of the project's small ResNet, whose weights were got without it;
the stem and the first block stay as they come, which takes a third off the time of a step. Small has it in the eight
blocks of a wider ResNet, from random weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet
from ferbench.models.parts.temporal_shift import shifted_block


class ShiftedResNet50(TorchvisionResNet):
    """(B,T,3,H,W) -> (B,T,2048). Parameter names are those of torchvision's resnet50, which has an `fc` besides."""

    width = 2048

    def __init__(self) -> None:
        super().__init__(Bottleneck, [3, 4, 6, 3], num_classes=1)
        self.fc = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        x = self.maxpool(self.relu(self.bn1(self.conv1(x.flatten(0, 1)))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = shifted_block(block, x, frames)
        return x.mean(dim=(2, 3)).unflatten(0, (batch, frames))


class ShiftedResNet(ResNet):
    """(B,T,3,H,W) -> (B,T,width). Parameter names are those of the ResNet."""

    def forward(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        x = self.stem(x.flatten(0, 1))
        for block in self.stages:
            x = shifted_block(block, x, frames)
        return x.mean(dim=(2, 3)).unflatten(0, (batch, frames))


class TSM(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ShiftedResNet50 | ShiftedResNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x)).mean(dim=1)


ARCHITECTURE = Architecture(
    name="tsm",
    title="TSM",
    view="clip",
    source="arXiv 1811.08383; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: TSM(classes, ShiftedResNet50()),
            image_size=224,
            frames=8,
            stages=(Stage(epochs=50, batch_size=16, optimizer="adam", lr=1e-4),),
            official=(Official("torchvision/resnet50", "backbone"), Official("tsm/resnet50", "backbone")),
            channels_last=True,
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: TSM(classes, ShiftedResNet((16, 32, 64, 128))),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=6,
                    max_samples=2_400,
                    batch_size=16,
                    lr=0.0015,
                    weight_decay=0.012,
                    label_smoothing=0.1,
                    class_weights="none",
                    augmentation="none",
                    frozen=("backbone.stem", "backbone.stages.0"),
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: TSM(classes, ShiftedResNet((32, 64, 128, 256), blocks=(2, 2, 2, 2))),
            image_size=64,
            frames=8,
            stages=(
                Stage(
                    epochs=40,
                    batch_size=16,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                ),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
    },
)
