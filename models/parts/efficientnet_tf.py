"""EfficientNet-B0 as TensorFlow trained it and timm's `tf_` models keep it: (N,3,H,W) -> (N,1280), any H and W.

torchvision's has the same layers. Two things differ: a layer of stride 2 pads as TensorFlow's SAME does, an even map on
its far side only, and the norms add 1e-3 to a variance. The names of the parameters are torchvision's.
"""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import efficientnet_b0
from torchvision.ops import Conv2dNormActivation

from ferbench.models.parts.efficientnet import EfficientNet


class SamePadded(nn.Sequential):
    """Layers whose first is a convolution of stride 2: (N,C,H,W) -> (N,F,ceil(H/2),ceil(W/2))."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        convolution = layers[0]
        assert isinstance(convolution, nn.Conv2d)
        self.reach = (convolution.kernel_size[0] - 1) // 2
        convolution.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        far, height, width = self.reach, x.shape[2], x.shape[3]
        return super().forward(F.pad(x, (far - 1 + width % 2, far, far - 1 + height % 2, far)))


def efficientnet_b0_tf() -> EfficientNet:
    """EfficientNet-B0, 1280 features: 4.01 M parameters, 0.385 G multiply-adds at 224×224."""
    features = efficientnet_b0(norm_layer=partial(nn.BatchNorm2d, eps=1e-3), stochastic_depth_prob=0.0).features
    for parent in list(features.modules()):
        for name, layers in parent.named_children():
            if isinstance(layers, Conv2dNormActivation) and layers[0].stride == (2, 2):
                setattr(parent, name, SamePadded(*layers))
    return EfficientNet(features, width=1280)
