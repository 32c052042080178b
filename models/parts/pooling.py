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
        settings = [_triple(s) for s in (self.kernel_size, self.stride, self.padding, self.dilation)]
        batch, channels = x.shape[:2]
        kernel, stride, padding, dilation = (s[1:] for s in settings)
        x = F.max_pool2d(x.flatten(0, 1), kernel, stride, padding, dilation, ceil_mode=self.ceil_mode)
        if settings[0][0] > 1 or settings[1][0] > 1:
            places = x.shape[2:]
            kernel, stride, padding, dilation = ((s[0], idle) for s, idle in zip(settings, (1, 1, 0, 1), strict=True))
            x = F.max_pool2d(x.flatten(2), kernel, stride, padding, dilation, ceil_mode=self.ceil_mode)
            x = x.unflatten(2, places)
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


def _triple(setting: int | tuple[int, ...]) -> tuple[int, int, int]:
    time, height, width = (setting,) * 3 if isinstance(setting, int) else setting
    return time, height, width
