"""ResNet-50 and SE-ResNet-50 as VGGFace2 trained them (arXiv 1710.08092): (N,3,H,W) -> (N,2048), any H and W.

Both follow Caffe: the first 1×1 convolution of a stage has its stride, not the 3×3 as in torchvision's ResNet-50, and
the pooling of the stem pads nothing and rounds up. The numbers of parameters are torchvision's and timm's; the
multiply-adds are 3.86 G, not 4.09 G. VGGFace2's weights are wrong in any other build.
"""

from __future__ import annotations

from typing import Any

from timm.models.senet import SENet, SEResNetBottleneck
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet


class CaffeBottleneck(Bottleneck):
    """torchvision's block with the stride in its first convolution."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv1.stride, self.conv2.stride = self.conv2.stride, self.conv1.stride


class VGGFace2ResNet50(TorchvisionResNet):
    """Parameter names are those of torchvision's resnet50, which has an `fc` besides."""

    width = 2048

    def __init__(self) -> None:
        super().__init__(CaffeBottleneck, [3, 4, 6, 3], num_classes=1)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.fc = nn.Identity()


class VGGFace2SEResNet50(SENet):
    """timm's legacy SENet, which is Caffe's. Parameter names are those of its `legacy_seresnet50`."""

    width = 2048

    def __init__(self) -> None:
        super().__init__(
            SEResNetBottleneck,
            (3, 4, 6, 3),
            groups=1,
            reduction=16,
            drop_rate=0.0,
            inplanes=64,
            input_3x3=False,
            downsample_kernel_size=1,
            downsample_padding=0,
            num_classes=0,
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_features(x).mean(dim=(2, 3))
