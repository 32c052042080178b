"""Residual attention modules (arXiv 1704.06904): a trunk whose features a soft mask of the same size multiplies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from ferbench.models.parts.resnet import ResNet, resnet_small, resnet_tiny


def norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    """What comes before a convolution: everything here is pre-activated (arXiv 1603.05027)."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size of the map at stride 1, with no bias: a norm follows each."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class ResidualUnit(nn.Module):
    """Pre-activated bottleneck: (N,I,H,W) -> (N,O,H/stride,W/stride).

    Only a unit that changes the shape has a convolution in its shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        middle = outputs // 4
        self.activation = nn.Sequential(*norm_relu(inputs))
        self.residual = nn.Sequential(
            conv(inputs, middle),
            *norm_relu(middle),
            conv(middle, middle, kernel=3, stride=stride),
            *norm_relu(middle),
            conv(middle, outputs),
        )
        self.shortcut = conv(inputs, outputs, stride=stride) if inputs != outputs or stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x)
        return self.residual(activated) + (x if self.shortcut is None else self.shortcut(activated))


class Hourglass(nn.Module):
    """Bottom-up, top-down: halves the map `depth` times and brings it back, (N,C,H,W) -> (N,C,H,W).

    At every level but the deepest a unit leads around what lies below, beside a plain shortcut.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        deepest = depth == 1
        self.down = nn.Sequential(*(ResidualUnit(channels, channels) for _ in range(2 if deepest else 1)))
        self.below = None if deepest else Hourglass(channels, depth - 1)
        self.around = None if deepest else ResidualUnit(channels, channels)
        self.up = None if deepest else ResidualUnit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(max_pool2d(x, kernel_size=3, stride=2, padding=1))
        if self.below is not None and self.around is not None and self.up is not None:
            y = self.up(self.below(y) + y + self.around(y))
        return interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=True)


class AttentionModule(nn.Module):
    """Attention residual learning: (1 + M(x)) T(x), between one unit before and one after; any H and W.

    T is two residual units; M, in 0 to 1 for every channel and place, is an hourglass that the trunk's output is added
    to, two 1×1 convolutions and a sigmoid. The hyper-parameters of the paper are p = 1, t = 2, r = 1.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.before = ResidualUnit(channels, channels)
        self.trunk = nn.Sequential(*(ResidualUnit(channels, channels) for _ in range(2)))
        self.hourglass = Hourglass(channels, depth)
        self.gate = nn.Sequential(
            *norm_relu(channels), conv(channels, channels), *norm_relu(channels), conv(channels, channels), nn.Sigmoid()
        )
        self.after = ResidualUnit(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        trunk = self.trunk(x)
        return self.after((1 + self.mask(x, trunk)) * trunk)

    def mask(self, x: Tensor, trunk: Tensor) -> Tensor:
        """M: (N,C,H,W) in 0 to 1, from what the trunk reads and what it gives."""
        return self.gate(self.hourglass(x) + trunk)


class ResidualAttentionBackbone(nn.Module):
    """(N,3,H,W) -> (N,width): stem, stages of attention modules, residual units, mean over places. Any H and W.

    Args:
        channels: of the stem's output, of each stage with attention, and of the units at the end.
        modules: attention modules of each stage.
        depths: how often their masks halve the map.
        last: residual units at the end.
        stem: kernel of the first convolution, of stride 2; a max-pool halves the map again.
    """

    def __init__(
        self, channels: Sequence[int], modules: Sequence[int], depths: Sequence[int], last: int, stem: int
    ) -> None:
        super().__init__()
        self.width = channels[-1]
        first, *staged, width = channels
        self.stem = nn.Sequential(
            nn.Conv2d(3, first, stem, stride=2, padding=stem // 2, bias=False),
            *norm_relu(first),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        layers: list[nn.Module] = []
        inputs = first
        for number, (outputs, count, depth) in enumerate(zip(staged, modules, depths, strict=True)):
            layers += [ResidualUnit(inputs, outputs, stride=1 if number == 0 else 2)]
            layers += [AttentionModule(outputs, depth) for _ in range(count)]
            inputs = outputs
        self.stages = nn.Sequential(*layers)
        self.last = nn.Sequential(
            ResidualUnit(inputs, width, stride=2), *(ResidualUnit(width, width) for _ in range(last - 1))
        )
        self.norm = nn.Sequential(*norm_relu(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.last(self.stages(self.stem(x)))).mean(dim=(2, 3))


def attention_92() -> ResidualAttentionBackbone:
    """Attention-92: 2048 features, 50.42 M parameters, 10.53 G multiply-adds at 224×224."""
    return ResidualAttentionBackbone(
        channels=(64, 256, 512, 1024, 2048), modules=(1, 2, 3), depths=(3, 2, 1), last=3, stem=7
    )


class AttentiveResNet(nn.Module):
    """A ResNet of the project with an attention module before each of its last two stages; any H and W.

    `trunk` keeps its parameters and their names. The modules begin close to doing nothing but scaling,
    which the norms of the next stage undo: so the network begins as the ResNet that its weights come from.
    """

    def __init__(self, trunk: ResNet) -> None:
        super().__init__()
        self.trunk = trunk
        self.width = trunk.width
        self.before = [i for i, block in enumerate(trunk.stages) if block.downsample is not None][-2:]
        """The first block of each of the last two stages."""
        widths = [trunk.channels[i - 1] for i in self.before]
        self.attention = nn.ModuleList(AttentionModule(w, depth) for w, depth in zip(widths, (2, 1), strict=True))
        for module in self.attention.modules():
            if isinstance(module, ResidualUnit):
                _scale(module.residual[-1])
            elif isinstance(module, AttentionModule):
                _scale(module.gate[-2])

    def forward(self, x: Tensor) -> Tensor:
        blocks, (first, second) = self.trunk.stages, self.before
        x = self.attention[0](blocks[:first](self.trunk.stem(x)))
        x = self.attention[1](blocks[first:second](x))
        return blocks[second:](x).mean(dim=(2, 3))


def _scale(convolution: nn.Module) -> None:
    with torch.no_grad():
        convolution.weight.mul_(0.1)  # type: ignore[operator]


def attention_tiny() -> AttentiveResNet:
    """128 features: 0.35 M parameters, 11 M multiply-adds at 48×48."""
    return AttentiveResNet(resnet_tiny())


def attention_small() -> AttentiveResNet:
    """256 features: 3.0 M parameters, 95 M multiply-adds at 48×48."""
    return AttentiveResNet(resnet_small())
