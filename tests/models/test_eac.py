"""EAC: what is erased, what attention maps are, and what the loss asks of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ferbench.benchmark.planning.registry import architectures
from ferbench.models import eac
from ferbench.models.eac import AREA, EAC, RATIO, ResNet50Maps, erased
from ferbench.models.parts.vggface2 import VGGFace2ResNet50
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    loaded,
    on_meta,
    random_values,
    reference,
    written,
)


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def tiny(classes: int = 4) -> EAC:
    return architectures.get("eac").sizes["tiny"].build(classes)  # type: ignore[return-value]


def test_about_half_of_the_images_lose_a_rectangle_of_the_papers_size() -> None:
    side = 200
    gone = erased(torch.ones(400, 3, side, side)) == 0
    assert torch.equal(gone[:, 0], gone[:, 2])
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert torch.equal(rows * columns, gone[:, 0].sum((1, 2))), "it is no rectangle"
    hit = rows > 0
    assert 0.4 < hit.float().mean() < 0.6
    share, ratio = (rows * columns)[hit] / side**2, rows[hit] / columns[hit]
    assert AREA[0] * 0.9 < share.min() < share.max() < AREA[1] * 1.1
    assert RATIO[0] * 0.9 < ratio.min() < 0.5 < 2 < ratio.max() < RATIO[1] * 1.1
    corners = gone[hit, 0][:, [0, -1]].any(), gone[hit, 0][:, :, [0, -1]].any()
    assert all(corners), "a rectangle may touch the edge"


def test_what_is_erased_is_drawn_from_torchs_own_random_state_and_leaves_the_input_as_it_is() -> None:
    x = torch.randn(8, 3, 20, 30)
    kept = x.clone()
    torch.manual_seed(1)
    once = erased(x)
    torch.manual_seed(1)
    assert torch.equal(erased(x), once)
    assert not torch.equal(erased(x), once)
    assert torch.equal(x, kept)


def test_an_attention_map_has_the_mean_of_its_classs_logit() -> None:
    model, x = tiny().eval(), torch.randn(2, 3, 48, 48)
    logits, attention = model.attend(x)
    torch.testing.assert_close(logits, model(x))
    torch.testing.assert_close(attention.mean(dim=(2, 3)) + model.classifier.bias, logits)


def test_the_loss_is_that_of_the_erased_image_and_of_the_difference_to_its_mirror_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def black(images: Tensor) -> Tensor:
        return images.masked_fill(torch.arange(images.shape[-1]) < 9, 0.0)

    monkeypatch.setattr(eac, "erased", black)
    model, x, truth = tiny().eval(), torch.randn(3, 3, 48, 48), torch.tensor([0, 3, 1])
    (logits, one), (_, other) = model.attend(black(x)), model.attend(black(x).flip(-1))
    wanted = cross_entropy(logits, truth) + 5 * (one - other.flip(-1)).square().mean()
    torch.testing.assert_close(model.consistent(x, truth, cross_entropy), wanted)


def test_the_difference_of_maps_moves_the_backbone_and_no_weight_of_a_class() -> None:
    model, x = tiny().eval(), torch.randn(2, 3, 48, 48)

    def nothing(outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs * 0).sum()

    model.consistent(x, torch.zeros(2), nothing).backward()
    assert model.classifier.weight.grad is not None
    assert not model.classifier.weight.grad.any()
    assert model.backbone.stages[0].conv1.weight.grad.any()


def test_the_maps_are_those_that_vggface2s_net_takes_the_mean_of(folder: Path) -> None:  # noqa: F811
    theirs = reference(VGGFace2ResNet50)
    mine = reference(ResNet50Maps)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(mine.maps(x).mean(dim=(2, 3)), theirs(x))
    values = random_values(on_meta(VGGFace2ResNet50).state_dict())
    head = {"fc.weight": torch.zeros(8631, 2048), "fc.bias": torch.zeros(8631)}
    model, entry, report = loaded("eac", written({**values, **head}, folder / "resnet50_ft_weight.pth"))
    assert (entry.source, entry.into, report.dropped) == ("vggface2/resnet50", "backbone", tuple(head))
    assert_equal_but_first(model, values, {"conv1.weight", "bn1.running_mean"}, "backbone")
