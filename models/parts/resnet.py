"""A small ResNet (arXiv 1512.03385), in the role that ResNet-50 has at full size."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class ResNet(nn.Module):
    """(N,3,H,W) -> (N,width), any H and W: a 3×3 stem, then stages of basic blocks, each but the first halving the map.

    Args:
        channels: of each stage; the stem has those of the first.
        blocks: of each stage; None: one.
        stride: of the stem.
    """

    def __init__(self, channels: Sequence[int], blocks: Sequence[int] | None = None, stride: int = 2) -> None:
        super().__init__()
        counts = blocks or [1] * len(channels)
        self.channels = tuple(c for c, count in zip(channels, counts, strict=True) for _ in range(count))
        """Of each block."""
        self.width = channels[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels[0], 3, stride, padding=1, bias=False), nn.BatchNorm2d(channels[0]), nn.ReLU()
        )
        before = (channels[0], *self.channels)
        self.stages = nn.Sequential(*(_block(i, o) for i, o in zip(before, self.channels, strict=False)))
        """All blocks in order."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def maps(self, x: Tensor) -> Tensor:
        """Feature maps before pooling: (N,width,H/16,W/16) at either size."""
        return self.stages(self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).mean(dim=(2, 3))


def _block(inputs: int, outputs: int) -> BasicBlock:
    if inputs == outputs:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride=2, downsample=shortcut)


def trunk_of(resnet: ResNet) -> nn.Sequential:
    """What makes its maps, without the pooling, by the names that they have in it."""
    return nn.Sequential(OrderedDict(stem=resnet.stem, stages=resnet.stages))


def resnet_tiny() -> ResNet:
    """Four stages, 128 features: 0.31 M parameters, 9.1 M multiply-adds at 48×48."""
    return ResNet((16, 32, 64, 128))


def resnet_small() -> ResNet:
    """Five stages, the first as large as the picture, 256 features: 1.6 M parameters, 66 M multiply-adds at 48×48."""
    return ResNet((16, 32, 64, 128, 256), blocks=(1, 1, 2, 2, 1), stride=1)
