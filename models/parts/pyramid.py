"""The project's small backbones with their maps at three scales, a quarter of the picture, an eighth, a sixteenth.

What IR-50 and MobileFaceNet are at full size. Parameter names are those of `resnet_tiny` and `mobilenet_v3_tiny`.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.parts.mobilenet import mobilenet_v3_tiny
from ferbench.models.parts.resnet import ResNet


class ResNetPyramid(ResNet):
    """(N,3,H,W) -> (N,32,H/4,W/4), (N,64,H/8,W/8), (N,128,H/16,W/16): `resnet_tiny`."""

    widths = (32, 64, 128)

    def __init__(self) -> None:
        super().__init__((16, *self.widths))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        x = self.stages[0](self.stem(x))
        maps = []
        for stage in self.stages[1:]:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


class MobileNetPyramid(nn.Module):
    """(N,3,H,W) -> (N,16,H/4,W/4), (N,32,H/8,W/8), (N,288,H/16,W/16): `net` is `mobilenet_v3_tiny`."""

    widths = (16, 32, 288)

    def __init__(self) -> None:
        super().__init__()
        self.net = mobilenet_v3_tiny()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        layers = self.net.features
        quarter = layers[:2](x)
        eighth = layers[2:4](quarter)
        return quarter, eighth, layers[4:](eighth)
