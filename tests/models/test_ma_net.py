"""MA-Net: what its quarters, its heads and its loss are."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from ferbench.models.ma_net import ARCHITECTURE, QUARTERS, AttentiveBlock, quarters


def tiny() -> torch.nn.Module:
    torch.manual_seed(0)
    return ARCHITECTURE.sizes["tiny"].build(4)


@pytest.mark.parametrize(("side", "half"), [(4, 2), (5, 3)])
def test_quarters_are_the_corners_of_the_map_side_by_side(side: int, half: int) -> None:
    maps = torch.arange(2 * 3 * side * side).float().view(2, 3, side, side)
    parts = quarters(maps).unflatten(1, (QUARTERS, 3))
    near, far = slice(None, half), slice(-half, None)
    corners = [maps[:, :, rows, columns] for rows in (near, far) for columns in (near, far)]
    assert all(torch.equal(parts[:, n], corner) for n, corner in enumerate(corners))


def test_a_quarter_changes_nothing_in_the_features_of_the_others() -> None:
    block, x = AttentiveBlock(8, 16, stride=2).eval(), torch.randn(1, QUARTERS * 8, 6, 6)
    other = x.clone()
    other[:, 8:16] += 1
    changed = (block(x) != block(other)).unflatten(1, (QUARTERS, 16)).flatten(2).any(-1)
    assert changed.tolist() == [[False, True, False, False]]


def test_the_gradient_of_the_summed_losses_is_that_of_the_papers_loss() -> None:
    model, truth = tiny(), torch.tensor([0, 1, 2])
    heads = model(torch.randn(3, 3, 48, 48))
    for head, layer, share in zip(heads, (model.local_head, model.whole_head), (0.6, 0.4), strict=True):
        (seen,) = torch.autograd.grad(cross_entropy(head, truth), layer.bias, retain_graph=True)
        wanted = share * (head.softmax(-1) - torch.eye(4)[truth]).mean(0)
        torch.testing.assert_close(seen, wanted)


def test_the_answer_weighs_the_heads_as_the_loss_does() -> None:
    model, x = tiny().eval(), torch.randn(2, 3, 48, 48)
    answer = model(x)
    with torch.no_grad():
        model.whole_head.weight.zero_()
        model.whole_head.bias.zero_()
        local = model(x)
        model.local_head.weight.zero_()
        model.local_head.bias.fill_(1.0)
    torch.testing.assert_close(model(x), torch.full((2, 4), 0.6))
    assert not torch.equal(answer, local)
