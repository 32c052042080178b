"""ResNet-18 (arXiv 1512.03385) as far as one of its stages, under torchvision's names."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn
from torchvision.models import resnet18


def resnet18_trunk(stages: int) -> nn.Sequential:
    """(N,3,H,W) -> (N,32·2^s,H/2^(s+1),W/2^(s+1)) for s stages: (N,512,7,7) of 224×224 after all four."""
    resnet = resnet18()
    layers = ("conv1", "bn1", "relu", "maxpool", *(f"layer{n + 1}" for n in range(stages)))
    return nn.Sequential(OrderedDict((name, getattr(resnet, name)) for name in layers))
