"""MobileFaceNet (arXiv 1804.07573) as it finds 68 landmarks: (N,3,112,112) -> its maps at three scales.

Parameter names are those of cunjian/pytorch_face_landmark; the layers that make coordinates of the last map are left
out.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


def block(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, norm, PReLU."""
    layers = linear_block(inputs, outputs, kernel, stride, groups)
    layers.add_module("prelu", nn.PReLU(outputs))
    return layers


def linear_block(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and norm."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(outputs)))


def bottleneck(inputs: int, middle: int, outputs: int, stride: int) -> nn.Sequential:
    """Widen, filter each channel by itself, narrow."""
    return nn.Sequential(
        OrderedDict(
            conv=block(inputs, middle),
            conv_dw=block(middle, middle, kernel=3, stride=stride, groups=middle),
            project=linear_block(middle, outputs),
        )
    )


class Residuals(nn.Module):
    """`count` bottlenecks, each with a shortcut; the shape stays."""

    def __init__(self, width: int, middle: int, count: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(bottleneck(width, middle, width, stride=1) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.model:
            x = x + layer(x)
        return x


class MobileFaceNet(nn.Module):
    """(N,3,H,W) -> (N,64,H/4,W/4), (N,128,H/8,W/8), (N,512,H/16,W/16): 0.91 M parameters, 0.22 G multiply-adds."""

    widths = (64, 128, 512)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = block(3, 64, kernel=3, stride=2)
        self.conv2_dw = block(64, 64, kernel=3, groups=64)
        self.conv_23 = bottleneck(64, 128, 64, stride=2)
        self.conv_3 = Residuals(64, 128, count=4)
        self.conv_34 = bottleneck(64, 256, 128, stride=2)
        self.conv_4 = Residuals(128, 256, count=6)
        self.conv_45 = bottleneck(128, 512, 128, stride=2)
        self.conv_5 = Residuals(128, 256, count=2)
        self.conv_6_sep = block(128, 512)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter = self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))
        eighth = self.conv_4(self.conv_34(quarter))
        return quarter, eighth, self.conv_6_sep(self.conv_5(self.conv_45(eighth)))
