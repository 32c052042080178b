"""Released checkpoints: a file with a head for expressions, as a model that answers; nothing is trained."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.official_files import WeightsError
from ferbench.models.parts.vit import ViT
from ferbench.models.released import load_released
from ferbench.models.timesformer import TimeSformer
from tests.models.test_official_weights import (
    dag_name,
    folder,  # noqa: F401  (a fixture)
    full,
    normalised,
    ours,
    random_values,
    reference,
    timesformer_names,
    written,
)


def with_head(values: dict[str, Tensor], weight: str, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The same values with a head of another number of classes."""
    bias = weight.replace("weight", "bias")
    generator = torch.Generator().manual_seed(4)
    head = {weight: torch.randn(shape, generator=generator) * 0.05, bias: torch.randn(shape[0], generator=generator)}
    return {**values, **head}


@pytest.mark.parametrize("name", ["timm:test_resnet", "timm:test_vit"])
def test_a_librarys_model_with_seven_classes_gives_the_librarys_answers(folder: Path, name: str) -> None:  # noqa: F811
    library = reference(lambda: timm.create_model(name.removeprefix("timm:"), num_classes=7))
    model, classes, said = load_released(
        architectures.get(name), "full", written(library.state_dict(), folder / "w.pth")
    )
    assert (classes, said) == (7, f"timm {name.removeprefix('timm:')} with its head")
    pixels = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(
        model.eval()(ours(pixels)), library(normalised(pixels, (0.5,) * 3, (0.5,) * 3)), rtol=1e-4, atol=1e-4
    )


def test_r2plus1d_with_seven_classes_gives_torchvisions_answers(folder: Path) -> None:  # noqa: F811
    library = reference(lambda: torchvision.models.video.r2plus1d_18(weights=None, num_classes=7))
    model, classes, _ = load_released(
        architectures.get("r2plus1d"), "full", written(library.state_dict(), folder / "w.pth")
    )
    assert classes == 7
    library.stem.load_state_dict(model.trunk.stem.state_dict())  # another normalisation is in there
    clip = torch.rand(1, 4, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(model.eval()(clip), library(clip.transpose(1, 2)), rtol=1e-3, atol=1e-4)


def test_a_released_timesformer_has_its_own_head(folder: Path) -> None:  # noqa: F811
    values = with_head(random_values(timesformer_names(2)), "model.head.weight", (7, 768))
    plain = architectures.get("timesformer")
    small = replace(
        plain.sizes["full"],
        build=lambda classes: TimeSformer(classes, ViT(224, patch=16, width=768, depth=2, heads=12), frames=8),
    )
    file = written({"epoch": 14, "model_state": values}, folder / "timesformer.pyth")
    model, classes, said = load_released(replace(plain, sizes={"full": small}), "full", file)
    assert (classes, said) == (7, "TimeSformer Kinetics-400 with its head")
    assert torch.equal(model.head.weight, values["model.head.weight"])
    assert torch.equal(model.temporal[1].fc.weight, values["model.blocks.1.temporal_fc.weight"])


def test_a_released_tsm_has_its_own_head(folder: Path) -> None:  # noqa: F811
    backbone = random_values(full("tsm").backbone.state_dict())
    values = {"base_model." + re.sub(r"(layer\d\.\d\.conv1)\.", r"\1.net.", n): v for n, v in backbone.items()}
    file = written(with_head(values, "new_fc.weight", (7, 2048)), folder / "tsm.pth")
    model, classes, said = load_released(architectures.get("tsm"), "full", file)
    assert (classes, said) == (7, "TSM ResNet-50 Kinetics-400 with its head")
    assert all(torch.equal(model.backbone.state_dict()[name], value) for name, value in backbone.items())


def test_a_head_that_is_a_convolution_is_taken_as_a_linear_layer(folder: Path) -> None:  # noqa: F811
    backbone = random_values(full("cnn").backbone.state_dict())
    values = {dag_name(n): v for n, v in backbone.items() if not n.endswith("num_batches_tracked")}
    head = with_head(values, "classifier.weight", (7, 2048, 1, 1))
    model, classes, said = load_released(architectures.get("cnn"), "full", written(head, folder / "dag.pth"))
    assert (classes, said) == (7, "VGGFace2 ResNet-50 with its head")
    found = [p for n, p in model.named_parameters() if p.shape == (7, 2048)]
    assert torch.equal(found[0], head["classifier.weight"].flatten(1))


@pytest.mark.parametrize("name", ["cnn", "tsm", "difference_of_embeddings", "vit_se", "residual_attention", "c3d"])
@pytest.mark.parametrize("classes", [5, 8])
def test_what_state_dict_gives_is_taken_back(folder: Path, name: str, classes: int) -> None:  # noqa: F811
    architecture = architectures.get(name)
    model = architecture.sizes["tiny"].build(classes).eval()
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, folder / "own.safetensors")
    found, count, _ = load_released(architecture, "tiny", folder / "own.safetensors")
    assert count == classes
    x = torch.randn(architecture.input_shape("tiny", 2), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(found.eval()(x), model(x))


def test_weights_that_cannot_answer_are_refused(folder: Path) -> None:  # noqa: F811
    library = reference(lambda: torchvision.models.video.r2plus1d_18(weights=None, num_classes=7))
    values = {n: t for n, t in library.state_dict().items() if not n.startswith("fc.")}
    with pytest.raises(WeightsError, match=r"it has no head \(fc\.\): only weights that answer can be evaluated"):
        load_released(architectures.get("r2plus1d"), "full", written(values, folder / "w.pth"))
    other = {**values, "fc.weight": torch.zeros(7, 99), "fc.bias": torch.zeros(7)}
    with pytest.raises(WeightsError, match="it does not fit r2plus1d: 1 of another shape"):
        load_released(architectures.get("r2plus1d"), "full", written(other, folder / "w.pth"))
    deeper = {**values, **{f"fc.{i}.{n}": torch.zeros(7) for i in range(2) for n in ("weight", "bias")}}
    with pytest.raises(WeightsError, match="is not built as that of r2plus1d"):
        load_released(architectures.get("r2plus1d"), "full", written(deeper, folder / "w.pth"))


def test_a_checkpoint_of_something_else_is_refused(folder: Path) -> None:  # noqa: F811
    file = written({"conv.weight": torch.zeros(3, 3)}, folder / "w.pth")
    with pytest.raises(WeightsError, match=r"no checkpoint of cnn \(it begins conv\.weight\): its names must be those"):
        load_released(architectures.get("cnn"), "full", file)
    own = architectures.get("cnn").sizes["tiny"].build(8).state_dict()
    head = next(n for n, t in own.items() if t.shape[:1] == (8,) and t.ndim == 2)
    save_file({n: t[:5].contiguous() if n == head else t for n, t in own.items()}, folder / "torn.safetensors")
    with pytest.raises(WeightsError, match="do not tell one number of classes"):
        load_released(architectures.get("cnn"), "tiny", folder / "torn.safetensors")
