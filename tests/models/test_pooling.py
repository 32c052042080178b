from __future__ import annotations

import pytest
import torch
from torch import nn

from ferbench.models.parts.pooling import SeparableMaxPool3d, separated


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(2, 2, 0), (3, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((3, 1, 2), (2, 1, 1), (1, 0, 1))],
)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_separable_maximum_is_that_of_one_pass_with_the_same_gradient(
    kernel: int | tuple[int, ...], stride: int | tuple[int, ...], padding: int | tuple[int, ...], ceil_mode: bool
) -> None:
    x = torch.randn(2, 3, 7, 9, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = {}
    for kind in (nn.MaxPool3d, SeparableMaxPool3d):
        y = kind(kernel, stride, padding, ceil_mode=ceil_mode)(x)
        (gradient,) = torch.autograd.grad(y.square().sum(), x)
        found[kind] = y.detach(), gradient
    for ours, theirs in zip(found[SeparableMaxPool3d], found[nn.MaxPool3d], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_every_pool_of_a_model_is_replaced_but_those_that_tell_the_places() -> None:
    model = nn.Sequential(
        nn.MaxPool3d(2), nn.Sequential(nn.MaxPool3d(3, padding=1)), nn.MaxPool3d(2, return_indices=True)
    )
    kinds = [type(m) for m in separated(model).modules() if isinstance(m, nn.MaxPool3d)]
    assert kinds == [SeparableMaxPool3d, SeparableMaxPool3d, nn.MaxPool3d]
