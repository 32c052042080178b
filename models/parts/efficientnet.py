"""EfficientNet (arXiv 1905.11946) as a feature extractor: (N,3,H,W) -> (N,width), any H and W."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import efficientnet_b3 as torchvision_efficientnet_b3
from torchvision.models.efficientnet import EfficientNet as TorchvisionEfficientNet
from torchvision.models.efficientnet import _efficientnet_conf


class EfficientNet(nn.Module):
    """The convolutions of torchvision's EfficientNet and the mean over places.

    `features` has the parameter names of torchvision, so its official weights load into it.
    """

    def __init__(self, features: nn.Sequential, width: int) -> None:
        super().__init__()
        self.features = features
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))


def efficientnet_b3() -> EfficientNet:
    """EfficientNet-B3, 1536 features: 10.70 M parameters, 1.83 G multiply-adds at 300×300."""
    return EfficientNet(torchvision_efficientnet_b3(weights=None).features, width=1536)


def efficientnet_small() -> EfficientNet:
    """EfficientNet-B0 of half the channels whose stem keeps the size of a small picture: 640 features, 1.07 M
    parameters, 22 M multiply-adds at 48×48."""
    blocks, _ = _efficientnet_conf("efficientnet_b0", width_mult=0.5, depth_mult=1.0)
    features = TorchvisionEfficientNet(blocks, dropout=0.0, stochastic_depth_prob=0.0, num_classes=1).features
    features[0][0].stride = (1, 1)
    return EfficientNet(features, width=features[-1].out_channels)
