"""Former-DFER: what its two transformers see, and the checkpoints of its authors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet18

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.former_dfer import SpatialTransformer, TemporalTransformer
from ferbench.models.official import load_official
from ferbench.models.official_layouts import LAYOUTS, Layout
from ferbench.models.released import load_released
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    full,
    normalised,
    on_meta,
    ours,
    random_values,
    written,
)

FIRST = {"backbone.conv1.weight", "backbone.bn1.running_mean"}
"""What takes up that the authors' pictures were not normalised."""


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def transformer_names(prefix: str, width: int, layers: int) -> dict[str, tuple[int, ...]]:
    """The authors' names of an encoder's layers; inside, attention is as wide as the tokens."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        attention, mlp = (f"{prefix}.spatial_transformer.layers.{layer}.{part}.fn" for part in (0, 1))
        for norm in (f"{attention}.norm", f"{mlp}.norm"):
            shapes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        shapes |= {
            f"{attention}.fn.to_qkv.weight": (3 * width, width),
            f"{attention}.fn.to_out.0.weight": (width, width),
            f"{attention}.fn.to_out.0.bias": (width,),
            f"{mlp}.fn.net.0.weight": (2 * width, width),
            f"{mlp}.fn.net.0.bias": (2 * width,),
            f"{mlp}.fn.net.3.weight": (width, 2 * width),
            f"{mlp}.fn.net.3.bias": (width,),
        }
    return shapes


def checkpoint() -> dict[str, Tensor]:
    """Random values under the names of the authors' checkpoint, without what wraps them."""
    shapes: dict[str, tuple[int, ...]] = {
        "s_former.pos_embedding": (1, 49, 256),
        **transformer_names("s_former", 256, layers=1),
        "t_former.cls_token": (1, 1, 512),
        "t_former.pos_embedding": (1, 17, 512),
        **transformer_names("t_former", 512, layers=3),
        "fc.weight": (7, 512),
        "fc.bias": (7,),
    }
    names = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    resnet = on_meta(lambda: resnet18(weights=None)).state_dict()
    names |= {f"s_former.{name}": value for name, value in resnet.items() if not name.startswith("fc.")}
    return random_values(names)


def layout() -> Layout:
    return next(layout for layout in LAYOUTS if layout.source == "former_dfer/dfew")


def wrapped(values: dict[str, Tensor]) -> dict[str, object]:
    """As the authors' script saves it, less its recorder of curves."""
    state = {f"module.{name}": value for name, value in values.items()}
    return {"epoch": 63, "state_dict": state, "best_acc": torch.tensor(65.7), "optimizer": {"state": {}}}


def test_the_authors_checkpoint_has_every_name_of_ours() -> None:
    here = {layout().rename(name).replace("fc.", "classifier.", 1) if name.startswith("fc.") else layout().rename(name):
            value.shape for name, value in checkpoint().items()}  # fmt: skip
    model = on_meta(lambda: architectures.get("former_dfer").sizes["full"].build(7))
    assert here == {name: value.shape for name, value in model.state_dict().items()}


def test_the_authors_checkpoint_is_evaluated_with_its_head(folder: Path) -> None:  # noqa: F811
    values = checkpoint()
    file = written(wrapped(values), folder / "model_best.pth")
    model, classes, said = load_released(architectures.get("former_dfer"), "full", file)
    assert (classes, said) == (7, "Former-DFER DFEW with its head")
    wanted = {layout().rename(name): value for name, value in values.items() if not name.startswith("fc.")}
    assert_equal_but_first(model, wanted, FIRST)
    assert torch.equal(model.classifier.weight, values["fc.weight"])
    pixels = torch.rand(2, 3, 32, 32)
    theirs = resnet18(weights=None).eval()
    theirs.conv1.weight.data = values["s_former.conv1.weight"]
    theirs.bn1.load_state_dict({n: values[f"s_former.bn1.{n}"] for n in theirs.bn1.state_dict()})
    stem = model.eval().backbone.bn1(model.backbone.conv1(ours(pixels)))
    wanted_stem = theirs.bn1(theirs.conv1(normalised(pixels, [0.0] * 3, [1.0] * 3)))
    inside = (..., slice(2, -2), slice(2, -2))  # beyond the reach of the padding
    torch.testing.assert_close(stem[inside], wanted_stem[inside], rtol=1e-4, atol=1e-4)


def test_a_training_starts_from_all_of_it_but_its_head(folder: Path) -> None:  # noqa: F811
    model = full("former_dfer")
    takes = architectures.get("former_dfer").sizes["full"].official
    file = written(wrapped(checkpoint()), folder / "model.pth")
    _, report = load_official(model, takes, "former_dfer", file)
    assert report.dropped == ("fc.weight", "fc.bias")
    assert not model.classifier.weight.any(), "the head stays as it is built"


class Recorder:
    """What the authors' script keeps beside the weights: an object of a class of its own."""


def test_a_checkpoint_is_read_past_its_recorder(folder: Path) -> None:  # noqa: F811
    file = written({**wrapped(checkpoint()), "recorder": Recorder()}, folder / "model.pth")
    model, classes, _ = load_released(architectures.get("former_dfer"), "full", file)
    assert classes == 7
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_every_place_of_a_frame_sees_every_other_and_no_other_frame() -> None:
    spatial = SpatialTransformer(places=9, width=8, heads=2).eval()
    maps = torch.randn(2, 8, 3, 3)
    other = maps.clone()
    other[0, :, 1, 2] = torch.randn(8)
    change = (spatial(other) - spatial(maps)).abs().sum(dim=1)
    assert (change[0] > 1e-4).all()
    assert not change[1].any()


def test_the_class_token_tells_the_order_of_frames() -> None:
    temporal = TemporalTransformer(frames=4, width=8, heads=2).eval()
    x = torch.randn(1, 4, 8)
    assert not torch.allclose(temporal(x), temporal(x.flip(1)), atol=1e-4)
    with torch.no_grad():
        temporal.position.zero_()
    torch.testing.assert_close(temporal(x), temporal(x.flip(1)))
