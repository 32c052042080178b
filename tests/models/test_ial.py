"""GCA+IAL: what gates see, what moves, and what the loss dwells on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.ial import IAL, GlobalGate, Trunk, intensity_loss


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def tiny(classes: int = 4) -> IAL:
    return architectures.get("ial").sizes["tiny"].build(classes)  # type: ignore[return-value]


def test_a_channels_factor_is_the_geometric_mean_of_a_frames_and_its_clips() -> None:
    gate, maps = GlobalGate(32, side=3), torch.randn(2 * 4, 32, 3, 3)
    factor, seen = gate(maps, frames=4)
    by_hand = (maps * gate.whole.weight[:, 0]).sum((2, 3))
    torch.testing.assert_close(seen, by_hand)
    own = 2 * torch.sigmoid(gate.widen(gate.narrow(by_hand).relu())).unflatten(0, (2, 4))
    torch.testing.assert_close(factor[..., 0, 0].unflatten(0, (2, 4)) ** 2, own * own.mean(1, keepdim=True) + 1e-5)


def test_a_gate_knows_of_its_own_clip_alone() -> None:
    gate, maps = GlobalGate(32, side=3), torch.randn(2 * 4, 32, 3, 3)
    nn.init.normal_(gate.whole.weight)
    other = maps.clone()
    other[1] += 1
    changed = (gate(maps, 4)[0] != gate(other, 4)[0]).flatten(1).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 4


def test_of_a_face_that_does_not_move_the_fourth_stage_sees_nothing() -> None:
    model = tiny().eval()
    seen: list[Tensor] = []
    model.trunk.stages[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.randn(2, 1, 3, 48, 48).expand(-1, 8, -1, -1, -1))
    model(torch.randn(2, 8, 3, 48, 48))
    assert [len(changes) for changes in seen] == [14, 14]
    assert seen[0].abs().max() < 1e-5
    assert seen[1].abs().max() > 0.1


def test_the_intensity_aware_loss_is_a_cross_entropy_of_two_classes() -> None:
    logits, truth = torch.randn(5, 7, requires_grad=True), torch.tensor([0, 6, 2, 2, 5])
    pairs = []
    for row, true in zip(logits, truth.tolist(), strict=True):
        wrong = max((c for c in range(7) if c != true), key=row.tolist().__getitem__)
        pairs.append(cross_entropy(row[[true, wrong]], torch.tensor(0)))
    found = intensity_loss(logits, truth)
    torch.testing.assert_close(found, torch.stack(pairs).mean())
    (gradient,) = torch.autograd.grad(found, logits)
    assert (gradient != 0).sum(1).tolist() == [2] * 5


def test_a_loss_has_three_parts_and_of_a_value_two() -> None:
    model, x, truth = tiny().eval(), torch.randn(3, 8, 3, 48, 48), torch.tensor([0, 3, 1])
    logits, seen = model.look(x)
    side = cross_entropy(model.auxiliary(seen.mean(1)), truth)
    wanted = cross_entropy(logits, truth) + 0.05 * side + 0.1 * intensity_loss(logits, truth)
    torch.testing.assert_close(model.intense(x, truth, cross_entropy), wanted)
    value, target = tiny(1).eval(), torch.rand(3)

    def squared(outputs: Tensor, target: Tensor) -> Tensor:
        return mse_loss(outputs[:, 0], target)

    logits, seen = value.look(x)
    wanted = squared(logits, target) + 0.05 * squared(value.auxiliary(seen.mean(1)), target)
    torch.testing.assert_close(value.intense(x, target, squared), wanted)


def test_the_papers_trunk_has_one_block_a_stage_and_three_for_what_changes() -> None:
    with torch.device("meta"):
        trunk, frames = Trunk(), torch.empty(2, 3, 112, 112)
        maps = trunk.stages[:3](trunk.stem(frames))
        assert maps.shape == (2, 256, 7, 7)
        assert trunk.stages[3](maps).shape == (2, 256, 4, 4)
