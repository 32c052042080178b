"""Batch normalisations are folded into the convolutions before them, and only where that changes no answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ferbench.benchmark.learning.folding import folded, pairs


def with_statistics(model: nn.Module) -> nn.Module:
    """As after some training: every batch normalisation does something."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) for module in model.modules())


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).relu().mean(dim=(2, 3)))


class UsedTwice(Plain):
    """What the convolution gives is read beside the normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        return self.head((self.norm(maps).relu() + maps).mean(dim=(2, 3)))


class CalledTwice(Plain):
    """The convolution is also called without the normalisation."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.norm(self.conv(x)).relu() + self.conv(x.flip(-1))).mean(dim=(2, 3)))


class NormTwice(Plain):
    """One normalisation after two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.norm(self.conv(x)) + self.norm(self.other(x))).mean(dim=(2, 3)))


class Before(Plain):
    """The normalisation comes before the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.norm(x).relu()).mean(dim=(2, 3)))


class OfTheBatch(Plain):
    """No running statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)


class Depends(nn.Module):
    """What it does depends on its input, so it cannot be traced; its part can."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Plain()

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x if float(x.sum()) > 0 else -x)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (Plain, [("conv", "norm")]), (Depends, [("part.conv", "part.norm")]),
        (UsedTwice, []), (CalledTwice, []), (NormTwice, []), (Before, []), (OfTheBatch, []),
    ],
)  # fmt: skip
def test_what_is_folded(kind: type[nn.Module], found: list[tuple[str, str]]) -> None:
    torch.manual_seed(0)
    model, x = kind().eval(), torch.randn(5, 3, 8, 8)
    if kind is not OfTheBatch:
        with_statistics(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert list(pairs(model)) == found
    torch.testing.assert_close(folded(model)(x), model(x))
    assert norms(folded(model)) == norms(model) - len(found)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("convolution", "norm", "shape"),
    [
        (nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), (2, 3, 9)),
        (nn.Conv2d(4, 8, 3, groups=4, stride=2), nn.BatchNorm2d(8), (2, 4, 9, 9)),
        (nn.Conv3d(3, 4, (1, 3, 3), bias=False), nn.BatchNorm3d(4), (2, 3, 4, 9, 9)),
    ],
)
def test_every_dimension(convolution: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    model, x = with_statistics(nn.Sequential(convolution, norm)), torch.randn(shape)
    torch.testing.assert_close(folded(model)(x), model(x))
    assert norms(folded(model)) == 0


def test_a_copy_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4), nn.Dropout())
    model.train()
    copied = folded(model)
    assert model.training
    assert not any(module.training for module in copied.modules())
    assert copied[0].weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[index,union-attr]
    assert folded(copied)[0].weight.equal(copied[0].weight)  # type: ignore[index,union-attr,operator]
