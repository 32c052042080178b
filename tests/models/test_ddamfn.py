"""DDAMFN++: its filters, its directions, the loss that keeps heads apart, and its official files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.ddamfn import (
    CoordinateAttention,
    DirectionHead,
    MixedFeatureNet,
    MixedFilters,
    ddamfn_tiny,
    likeness,
)
from ferbench.models.official_layouts import MIXED_UNUSED
from ferbench.models.released import load_released
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    loaded,
    on_meta,
    random_values,
    written,
)

PLACES = tuple(name for name, _ in on_meta(MixedFeatureNet).named_children())


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def mixed(name: str) -> str:
    """A name of the backbone as the authors' module has it."""
    name = name.replace("conv_dw.sizes.", "conv_dw.mixed_depthwise_conv.").replace(".attention.", ".CA.")
    return name.replace(".CA.rows.", ".CA.conv2.").replace(".CA.columns.", ".CA.conv3.")


def placed(name: str) -> str:
    """And as their checkpoints have it."""
    part, _, rest = name.partition(".")
    return f"features.{PLACES.index(part)}.{rest}"


def theirs(name: str) -> str:
    """A name of ours as the authors' checkpoints have it."""
    part, _, rest = name.partition(".")
    if part == "backbone":
        return placed(mixed(rest))
    for own, there in {
        "along_rows.": "Linear_h.", "along_columns.": "Linear_w.", "directions.conv1.": "conv1.",
        "directions.bn1.": "bn1.", "directions.rows.": "conv2.", "directions.columns.": "conv3.",
        "whole.": "Linear.", "classifier.": "fc.",
    }.items():  # fmt: skip
        name = name.replace(own, there)
    return re.sub(r"^heads\.(\d)\.", r"cat_head\1.CoordAtt.", name)


def checkpoint() -> tuple[dict[str, Tensor], dict[str, object]]:
    """Random values under our names, and as the authors' script saves them, with what it never calls."""
    values = random_values(on_meta(lambda: architectures.get("ddamfn").sizes["full"].build(7)).state_dict())
    unused = ("bn.", "cat_head0.CoordAtt.Linear.", "cat_head1.CoordAtt.Linear.", *map(placed, MIXED_UNUSED))
    state = {theirs(n): t for n, t in values.items()} | {f"{n}weight": torch.ones(2) for n in unused}
    return values, {"iter": 20, "model_state_dict": state, "optimizer_state_dict": {}}


def test_each_group_of_channels_is_filtered_by_a_kernel_of_its_own() -> None:
    filters = MixedFilters((4, 3, 2), stride=1)
    for kernel in filters.sizes:
        nn.init.ones_(kernel.weight)
    point = torch.zeros(1, 9, 15, 15)
    point[..., 7, 7] = 1
    assert filters(point)[0].sum((1, 2)).tolist() == [9.0] * 4 + [25.0] * 3 + [49.0] * 2
    assert MixedFilters((4, 4, 4, 4), stride=2)(torch.randn(1, 16, 14, 14)).shape == (1, 16, 7, 7)


def test_the_middle_of_a_bottleneck_has_a_kernel_for_each_of_its_channels() -> None:
    net = on_meta(MixedFeatureNet)
    for name, filters in net.named_modules():
        if isinstance(filters, MixedFilters):
            assert sum(filters.widths) == sum(len(size.weight) for size in filters.sizes), name


def test_weights_are_the_product_of_a_row_and_a_column() -> None:
    head, x = DirectionHead(8, side=5).eval(), torch.randn(2, 8, 5, 5)
    weights = head(x)
    assert ((weights > 0) & (weights < 1)).all()
    row, column = weights[..., :1, :], weights[..., :1]
    torch.testing.assert_close(weights, row * column / weights[..., :1, :1])
    attention = CoordinateAttention(8).eval()
    torch.testing.assert_close(attention(x.flip(2)), attention(x).flip(2))  # means know no place


def test_a_row_is_seen_by_itself_but_for_its_columns() -> None:
    head, x = DirectionHead(8, side=5).eval(), torch.randn(1, 8, 5, 5)
    other = x.clone()
    other[:, :, 2] += torch.randn(8, 5)
    rows, changed = head.along_rows(x) != head.along_rows(other), head.along_columns(x) != head.along_columns(other)
    assert rows[0, 0, :, 0].tolist() == [False, False, True, False, False]
    assert changed.all()


def test_likeness_is_the_mean_of_pairs_and_falls_as_heads_come_apart() -> None:
    heads = torch.rand(3, 2, 4, 5, 5)
    pairs = [(heads[i] - heads[j]).square().mean() for i, j in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(likeness(heads), 3 / torch.stack(pairs).sum())
    assert likeness(heads[:1].expand_as(heads)).isfinite()
    assert likeness(2 * heads) < likeness(heads)


def test_a_loss_is_the_stages_own_and_a_tenth_of_the_likeness() -> None:
    model, x, truth = ddamfn_tiny(4).eval(), torch.randn(3, 3, 48, 48), torch.tensor([0, 3, 1])
    maps = model.backbone(x)
    one, other = (head(maps) for head in model.heads)
    wanted = cross_entropy(model(x), truth) + 0.1 / (one - other).square().mean()
    torch.testing.assert_close(model.apart(x, truth, cross_entropy), wanted)


def test_the_backbone_starts_from_the_module_that_its_authors_pickled(folder: Path) -> None:  # noqa: F811
    values = random_values(on_meta(MixedFeatureNet).state_dict())
    rest = ("conv_6_dw.conv.", "linear.", "bn.", *MIXED_UNUSED)
    saved = {mixed(n): t for n, t in values.items()} | {f"{n}weight": torch.ones(2) for n in rest}
    model, entry, report = loaded("ddamfn", written(saved, folder / "MFN_msceleb.pth"))
    assert (entry.source, entry.into) == ("mixedfeaturenet/msceleb", "backbone")
    assert {f"{n}weight" for n in rest} == set(report.dropped)
    assert_equal_but_first(model, values, set(), "backbone")


def test_a_training_starts_from_the_authors_checkpoint(folder: Path) -> None:  # noqa: F811
    values, saved = checkpoint()
    model, entry, report = loaded("ddamfn", written(saved, folder / "rafdb_epoch20_acc0.9204_bacc0.8617.pth"))
    assert entry.source == "ddamfn"
    assert {"fc.weight", "fc.bias", "bn.weight"} < set(report.dropped)
    assert_equal_but_first(model, {n: t for n, t in values.items() if not n.startswith("classifier.")}, set())


def test_the_authors_checkpoint_is_evaluated_with_its_head(folder: Path) -> None:  # noqa: F811
    values, saved = checkpoint()
    file = written(saved, folder / "affecnet7_epoch19_acc0.671.pth")
    model, classes, said = load_released(architectures.get("ddamfn"), "full", file)
    assert (classes, said) == (7, "DDAMFN with its head")
    assert_equal_but_first(model, values, set())
