"""Maximum over places and times with a gradient that is the same each time, on a GPU too."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SeparableMaxPool3d(nn.MaxPool3d):
    """(B,C,T,H,W) -> what `nn.MaxPool3d` gives: the maximum over places first, over times then.

    The one pass over all three has no deterministic backward kernel in CUDA, and raises where these are asked for; the
    two over two dimensions have one. Where several places hold the maximum, another one of them may get the gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride, padding, dilation = (
            _triple(setting) for setting in (self.kernel_size, self.stride, self.padding, self.dilation)
        )
        batch, channels = x.shape[:2]
        x = F.max_pool2d(x.flatten(0, 1), kernel[1:], stride[1:], padding[1:], dilation[1:], self.ceil_mode)
        if (kernel[0], stride[0]) != (1, 1):
            rows, columns = x.shape[2:]
            one_by_one = [
                (setting[0], first) for setting, first in ((kernel, 1), (stride, 1), (padding, 0), (dilation, 1))
            ]
            x = F.max_pool2d(x.flatten(2), *one_by_one, self.ceil_mode).unflatten(2, (rows, columns))
        return x.unflatten(0, (batch, channels))


def separated(model: nn.Module) -> nn.Module:
    """The model, each of its `nn.MaxPool3d` replaced."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.MaxPool3d and not child.return_indices:
                setattr(
                    parent,
                    name,
                    SeparableMaxPool3d(
                        child.kernel_size, child.stride, child.padding, child.dilation, ceil_mode=child.ceil_mode
                    ),
                )
    return model


def _triple(setting: int | tuple[int, ...]) -> tuple[int, ...]:
    return (setting,) * 3 if isinstance(setting, int) else tuple(setting)
