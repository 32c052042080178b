"""EfficientNet (arXiv 1905.11946) as a feature extractor: (N,3,H,W) -> (N,width), any H and W."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import efficientnet_b3 as torchvision_efficientnet_b3


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
