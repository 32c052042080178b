"""DAN: what its heads see, its two losses, and its official files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from torchvision.models import resnet18

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.dan import DAN, AffinityLoss, ChannelAttention, SpatialAttention, dan_tiny, partition_loss
from ferbench.models.released import load_released
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    loaded,
    on_meta,
    random_values,
    reference,
    written,
)

TRUNK = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def tiny(classes: int = 4) -> DAN:
    return dan_tiny(classes)


def theirs(name: str) -> str:
    """A name of ours as the authors' checkpoint has it."""
    for own, there in {
        "classifier.": "fc.", "norm.": "bn.", ".space.narrow.": ".sa.conv1x1.", ".space.shapes.0.": ".sa.conv_3x3.",
        ".space.shapes.1.": ".sa.conv_1x3.", ".space.shapes.2.": ".sa.conv_3x1.", ".channel.gate.": ".ca.attention.",
    }.items():  # fmt: skip
        name = name.replace(own, there)
    name = re.sub(r"^heads\.(\d)", r"cat_head\1", name)
    return re.sub(r"^backbone\.(\w+)", lambda layer: f"features.{TRUNK.index(layer[1])}", name)


def checkpoint() -> tuple[dict[str, Tensor], dict[str, object]]:
    """Random values under our names, and as the authors' script saves them."""
    model = on_meta(lambda: architectures.get("dan").sizes["full"].build(7))
    values = random_values({n: t for n, t in model.state_dict().items() if not n.startswith("affinity.")})
    saved = {theirs(name): tensor for name, tensor in values.items()}
    return values, {"iter": 21, "model_state_dict": saved, "optimizer_state_dict": {}}


def test_a_place_is_weighed_by_the_sum_over_channels_and_a_channel_by_the_mean_over_places() -> None:
    maps = torch.randn(2, 8, 5, 5)
    weight = SpatialAttention(8, 4).eval()(maps) / maps
    torch.testing.assert_close(weight, weight[:, :1].expand_as(weight), rtol=1e-3, atol=1e-3)
    gate = ChannelAttention(8, 4).eval()(maps) / maps.mean(dim=(2, 3))
    assert ((gate > 0) & (gate < 1)).all()


def test_the_affinity_loss_is_the_distance_to_ones_own_centre() -> None:
    loss, features, truth = AffinityLoss(3, 5), torch.randn(4, 5), torch.tensor([2, 0, 0, 1])
    distances = [(features[i] - loss.centres[truth[i]]).square().sum() for i in range(4)]
    variance = torch.stack([loss.centres[:, i].var() for i in range(5)]).sum()
    torch.testing.assert_close(loss(features, truth), torch.stack(distances).mean() / variance)


def test_the_partition_loss_falls_as_heads_come_apart_and_is_finite_where_they_are_one() -> None:
    heads = torch.randn(2, 4, 6)
    assert partition_loss(2 * heads) < partition_loss(heads)
    assert partition_loss(heads[:, :1].expand_as(heads)).isfinite()


def test_a_loss_is_the_sum_of_three_and_of_a_value_of_two() -> None:
    model, x, truth = tiny(), torch.randn(3, 3, 48, 48), torch.tensor([0, 3, 1])
    maps = model.backbone(x)
    heads = model.attend(maps)
    rest = partition_loss(heads)
    wanted = cross_entropy(model(x), truth) + rest + model.affinity(maps.mean(dim=(2, 3)), truth)
    torch.testing.assert_close(model.distracted(x, truth, cross_entropy), wanted)
    value = tiny(1)
    found = value.distracted(x, torch.rand(3), lambda outputs, truth: mse_loss(outputs[:, 0], truth))
    found.backward()
    assert found.isfinite()
    assert value.affinity.centres.grad is None


def test_the_trunk_starts_from_a_resnet_18(folder: Path) -> None:  # noqa: F811
    library = reference(lambda: resnet18(weights=None))
    model, entry, report = loaded("dan", written({"state_dict": library.state_dict()}, folder / "resnet18_msceleb.pth"))
    assert (entry.source, entry.into, report.dropped) == ("torchvision/resnet18", "backbone", ("fc.weight", "fc.bias"))
    kept = {n: t for n, t in library.state_dict().items() if not n.startswith("fc.")}
    assert_equal_but_first(model, kept, set(), "backbone")
    library.fc = library.avgpool = nn.Identity()
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.eval().backbone(x).flatten(1), library(x))


def test_a_training_starts_from_the_authors_checkpoint(folder: Path) -> None:  # noqa: F811
    values, saved = checkpoint()
    model, entry, report = loaded("dan", written(saved, folder / "rafdb_epoch21_acc0.897.pth"))
    assert entry.source == "dan"
    assert {name.partition(".")[0] for name in report.dropped} == {"fc", "bn"}
    body = {n: t for n, t in values.items() if not n.startswith(("classifier.", "norm."))}
    assert_equal_but_first(model, body, set())


def test_the_authors_checkpoint_is_evaluated_with_its_head(folder: Path) -> None:  # noqa: F811
    values, saved = checkpoint()
    file = written(saved, folder / "rafdb_epoch21_acc0.897.pth")
    model, classes, said = load_released(architectures.get("dan"), "full", file)
    assert (classes, said) == (7, "DAN with its head")
    assert_equal_but_first(model, values, set())
