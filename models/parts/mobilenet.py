"""MobileNetV3 (arXiv 1905.02244) as a feature extractor: (N,3,H,W) -> (N,width), any H and W."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn
from torchvision.models.mobilenetv3 import InvertedResidualConfig, _mobilenet_v3_conf
from torchvision.models.mobilenetv3 import MobileNetV3 as TorchvisionMobileNetV3


class MobileNetV3(nn.Module):
    """The convolutions of torchvision's MobileNetV3 and the mean over positions.

    `features` has the parameter names of torchvision, so its official weights load into it.
    """

    def __init__(self, blocks: Sequence[InvertedResidualConfig], momentum: float = 0.01) -> None:
        super().__init__()
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=momentum)
        self.features = TorchvisionMobileNetV3(list(blocks), last_channel=1, num_classes=1, norm_layer=norm).features
        self.width: int = self.features[-1].out_channels

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))


def mobilenet_v3_large() -> MobileNetV3:
    """MobileNetV3-Large, 960 features: 2.97 M parameters, 0.214 G multiply-adds at 224×224."""
    blocks, _ = _mobilenet_v3_conf("mobilenet_v3_large")
    return MobileNetV3(blocks)


def mobilenet_v3_tiny() -> MobileNetV3:
    """The same blocks, fewer and narrower, for 48×48 on one CPU core.

    288 features, 0.05 M parameters, 1.0 M multiply-adds.
    """
    # input, kernel, expanded, output, squeeze-excitation, activation, stride, dilation, width multiplier
    return MobileNetV3(
        [
            InvertedResidualConfig(8, 3, 8, 16, False, "RE", 2, 1, 1.0),  # 24×24 -> 12×12
            InvertedResidualConfig(16, 3, 64, 32, False, "RE", 2, 1, 1.0),  # 6×6
            InvertedResidualConfig(32, 3, 96, 32, True, "HS", 1, 1, 1.0),
            InvertedResidualConfig(32, 3, 128, 48, True, "HS", 2, 1, 1.0),  # 3×3
        ],
        momentum=0.1,  # a tiny recipe has a few hundred steps: at 0.01 the running statistics would lag behind them
    )


def mobilenet_v3_small() -> MobileNetV3:
    """MobileNetV3-Small whose stem keeps the size of a small picture: 576 features, 0.93 M parameters, 10 M
    multiply-adds at 48×48."""
    blocks, _ = _mobilenet_v3_conf("mobilenet_v3_small")
    network = MobileNetV3(blocks, momentum=0.1)
    network.features[0][0].stride = (1, 1)
    return network
