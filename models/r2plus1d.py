"""R(2+1)D with 18 layers.

Paper: "A Closer Look at Spatiotemporal Convolutions for Action Recognition", Tran et al. 2018 (arXiv 1711.11248);
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,H,W) -> (B,3,T,H,W) -> stem: 1×7×7 of stride 2 to 45 channels, 3×1×1 to 64
    -> 4 stages of two basic blocks (64, 128, 256, 512 channels; all but the first halve T, H and W), each convolution
       as 1×3×3, BatchNorm, ReLU, 3×1×1 -> mean over T, H and W (B,512) -> linear

As in the paper, a convolution's middle has as many channels as give it the parameters of a 3×3×3. Works for every T, H
and W. Parameter names of the trunk are those of torchvision's r2plus1d_18, so its Kinetics-400 weights load.

Deviations from the seed: none in the structure. The seed's optimiser is not known, so the recipe is this project's.
Tiny has one block a stage instead of two, 12 to 96 channels and a stem of stride 4. Small has full's blocks with 16 to
128 channels, from random weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights


class R2Plus1DTrunk(nn.Module):
    """(B,T,3,H,W) -> (B,width): torchvision's, which has its numbers of channels written into it, for any of them."""

    def __init__(self, channels: Sequence[int], stem: int, blocks: int, stride: int = 2) -> None:
        super().__init__()
        self.width = channels[-1]
        self.stem = nn.Sequential(
            nn.Conv3d(3, stem, (1, 7, 7), stride=(1, stride, stride), padding=(0, 3, 3), bias=False),
            nn.BatchNorm3d(stem),
            nn.ReLU(),
            nn.Conv3d(stem, channels[0], (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(channels[0]),
            nn.ReLU(),
        )
        self.layer1 = _stage(channels[0], channels[0], blocks)
        self.layer2 = _stage(channels[0], channels[1], blocks)
        self.layer3 = _stage(channels[1], channels[2], blocks)
        self.layer4 = _stage(channels[2], channels[3], blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.transpose(1, 2))  # (B,3,T,H,W)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3, 4))


def _stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    if inputs == outputs:
        first = BasicBlock(inputs, outputs, Conv2Plus1D)
    else:
        shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm3d(outputs))
        first = BasicBlock(inputs, outputs, Conv2Plus1D, stride=2, downsample=shortcut)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, Conv2Plus1D) for _ in range(blocks - 1)))


class R2Plus1D(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, trunk: R2Plus1DTrunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.classifier = nn.Linear(trunk.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.trunk(x))


def r2plus1d_18() -> R2Plus1DTrunk:
    """512 features: 31.30 M parameters, 40.52 G multiply-adds at 16×112×112."""
    return R2Plus1DTrunk((64, 128, 256, 512), stem=45, blocks=2)


def r2plus1d_tiny() -> R2Plus1DTrunk:
    """96 features, 0.44 M parameters, 2.2 M multiply-adds a frame at 8×48×48: for one CPU core."""
    return R2Plus1DTrunk((12, 24, 48, 96), stem=8, blocks=1, stride=4)


def r2plus1d_small() -> R2Plus1DTrunk:
    """128 features, 1.96 M parameters, 53 M multiply-adds a frame at 8×64×64."""
    return R2Plus1DTrunk((16, 32, 64, 128), stem=12, blocks=2)


ARCHITECTURE = Architecture(
    name="r2plus1d",
    title="R(2+1)D-18",
    view="clip",
    source="arXiv 1711.11248; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: R2Plus1D(classes, r2plus1d_18()),
            image_size=112,
            frames=16,
            stages=(Stage(epochs=50, batch_size=16, optimizer="adam", lr=1e-4),),
            official=(Official("torchvision/r2plus1d_18", "trunk"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: R2Plus1D(classes, r2plus1d_tiny()),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=12,
                    max_samples=4_900,
                    batch_size=16,
                    lr=0.0098,
                    weight_decay=0.0002,
                    label_smoothing=0.2,
                    class_weights="none",
                    augmentation="none",
                ),
            ),
            weights=(Weights("motion-r2plus1d", "trunk"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: R2Plus1D(classes, r2plus1d_small()),
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
            channels_last=True,
        ),
    },
)
