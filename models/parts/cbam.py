"""CBAM (arXiv 1807.06521): a map is gated by what its channels say, then by what its places say.

With several groups of channels each has gates of its own, all computed at once: (B,G·C,H,W) is G maps side by side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GroupedLinear(nn.Linear):
    """A linear layer for each group of features: (B,G·inputs) -> (B,G·outputs)."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__(inputs, groups * outputs)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x[..., None], self.weight[..., None], self.bias, groups=self.groups)[..., 0]


class ChannelGate(nn.Module):
    """x * sigmoid(f(mean of x) + f(maximum of x)) over places, f being two layers."""

    def __init__(self, width: int, groups: int, reduction: int) -> None:
        super().__init__()
        narrow = width // reduction
        self.mlp = nn.Sequential(GroupedLinear(width, narrow, groups), nn.ReLU(), GroupedLinear(narrow, width, groups))

    def forward(self, x: Tensor) -> Tensor:
        gate = self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3)))
        return x * gate.sigmoid()[:, :, None, None]


class SpatialGate(nn.Module):
    """x * sigmoid(convolution of the maximum and the mean of x) over channels."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.conv = nn.Conv2d(2 * groups, groups, 7, padding=3, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(groups, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        maps = x.unflatten(1, (self.groups, -1))  # (B,G,C,H,W)
        seen = torch.stack([maps.amax(dim=2), maps.mean(dim=2)], dim=2).flatten(1, 2)  # (B,2G,H,W)
        return (maps * self.bn(self.conv(seen)).sigmoid()[:, :, None]).flatten(1, 2)


class CBAM(nn.Sequential):
    """(B,G·width,H,W) -> the same shape."""

    def __init__(self, width: int, groups: int = 1, reduction: int = 16) -> None:
        super().__init__(ChannelGate(width, groups, reduction), SpatialGate(groups))
