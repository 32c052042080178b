"""DAN: several attention heads on a ResNet-18's last map, which the loss keeps from looking at the same thing.

Paper: "Distract Your Attention: Multi-head Cross Attention Network for Facial Expression Recognition", Wen et al. 2021
(arXiv 2109.07270); seed: github.com/yaoing/DAN.

    image (B,3,224,224) -> ResNet-18 (B,512,7,7)
    -> 4 heads, each: the map times a weight for each place, mean over places, times a weight for each channel (B,512)
    -> log-softmax across the heads (B,4,512), their sum (B,512) -> linear -> batch norm of the logits

A place's weight is the sum over channels of relu(3×3 + 1×3 + 3×1 convolution) after a 1×1 convolution to half of the
channels; a channel's is a sigmoid after two layers, 32 wide. Works for every H and W.

The loss is, with a weight of 1 each, the stage's own, the affinity loss (squared distance of the pooled map to its
class's centre, over the variance of the centres) and the partition loss (log(1 + heads / variance between them)). The
centres are learned with the rest and asked by nothing else; a value has no classes, so there is no affinity loss.

19.73 M parameters with the centres, which the seed's build of 19.72 M has in its loss, and 2.22 G multiply-adds; the
paper says 2.23 G.
Momentum SGD, 0.1, weight decay 1e-4, batch 256 and 40 epochs are the seed's for RAF-DB.
Deviations from the seed: the rate falls along a cosine, there by ten each 10 epochs; faces are turned, shifted and
relit, there a fifth is turned and cut, and half loses a rectangle; the epoch is chosen on the validation part, there on
the test part. Tiny has the project's small ResNet, of whose 128 channels a head has a quarter where the paper has half.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import resnet_tiny, trunk_of
from ferbench.models.parts.resnet18 import resnet18_trunk

EPSILON = torch.finfo(torch.float64).eps
"""What keeps the partition loss finite while all heads are alike."""


def convolution(inputs: int, outputs: int, height: int, width: int) -> nn.Sequential:
    """Convolution and norm; the map stays as large."""
    padding = (height // 2, width // 2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, (height, width), padding=padding), nn.BatchNorm2d(outputs))


class SpatialAttention(nn.Module):
    """(B,C,H,W) -> the same, each place weighed."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.narrow = convolution(width, inner, 1, 1)
        self.shapes = nn.ModuleList(convolution(inner, width, *shape) for shape in ((3, 3), (1, 3), (3, 1)))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.narrow(x)
        square, row, column = (shape(seen) for shape in self.shapes)
        return x * (square + row + column).relu().sum(dim=1, keepdim=True)


class ChannelAttention(nn.Module):
    """(B,C,H,W) -> (B,C): the mean over places, each channel weighed."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(width, inner), nn.BatchNorm1d(inner), nn.ReLU(), nn.Linear(inner, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3))
        return mean * self.gate(mean)


class AttentionHead(nn.Sequential):
    """(B,C,H,W) -> (B,C)."""

    def __init__(self, width: int, places: int, channels: int) -> None:
        super().__init__(OrderedDict(space=SpatialAttention(width, places), channel=ChannelAttention(width, channels)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.001)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)


class AffinityLoss(nn.Module):
    """Features (B,F) and their classes (B,) -> squared distance to the class's centre, over the centres' variance."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(classes, width))

    def forward(self, features: Tensor, truth: Tensor) -> Tensor:
        distance = (features.float() - self.centres[truth]).square().sum(dim=1).mean()
        return distance / self.centres.var(dim=0).sum()


def partition_loss(heads: Tensor) -> Tensor:
    """(B,K,F) -> a number that is the smaller, the more the K heads differ."""
    return torch.log1p(heads.shape[1] / (heads.float().var(dim=1).mean() + EPSILON))


class DAN(nn.Module):
    """(B,3,H,W) -> (B,classes).

    Args:
        classes: number of classes.
        backbone: (B,3,H,W) -> (B,width,h,w).
        width: of its map.
        places: channels from which a head weighs places.
        channels: features from which it weighs channels.
        heads: how many.
    """

    def __init__(
        self, classes: int, backbone: nn.Module, width: int, places: int, channels: int, heads: int = 4
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(AttentionHead(width, places, channels) for _ in range(heads))
        self.classifier = nn.Linear(width, classes)
        self.norm = nn.BatchNorm1d(classes)
        self.affinity = AffinityLoss(classes, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.answer(self.attend(self.backbone(x)))

    def attend(self, maps: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,heads,C)."""
        return torch.stack([head(maps) for head in self.heads], dim=1).log_softmax(dim=1)

    def answer(self, heads: Tensor) -> Tensor:
        """(B,heads,C) -> (B,classes)."""
        return self.norm(self.classifier(heads.sum(dim=1)))

    def distracted(self, inputs: Tensor, truth: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The paper's loss of a batch."""
        maps = self.backbone(inputs)
        heads = self.attend(maps)
        total = loss(self.answer(heads), truth) + partition_loss(heads)
        return total if truth.is_floating_point() else total + self.affinity(maps.mean(dim=(2, 3)), truth)


def dan_tiny(classes: int) -> DAN:
    """0.59 M parameters, 11.5 M multiply-adds."""
    return DAN(classes, trunk_of(resnet_tiny()), width=128, places=32, channels=8)


ARCHITECTURE = Architecture(
    name="dan",
    title="DAN",
    view="image",
    source="arXiv 2109.07270; yaoing/DAN",
    sizes={
        "full": Size(
            build=lambda classes: DAN(classes, resnet18_trunk(4), width=512, places=256, channels=32),
            image_size=224,
            stages=(
                Stage(
                    epochs=40,
                    batch_size=256,
                    optimizer="sgd",
                    lr=0.1,
                    weight_decay=1e-4,
                    warmup=0.0,
                    objective="distracted",
                ),
            ),
            official=(
                Official("torchvision/resnet18", "backbone"),
                Official("dan", without=("classifier", "norm")),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=dan_tiny,
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=8_000,
                    batch_size=32,
                    lr=4e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    objective="distracted",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
        ),
    },
)
