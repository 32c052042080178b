"""The family `transformers:` and every family's `@probe`: the library's answers from its own files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.architecture import DEVIATION, MEAN, Official
from ferbench.models.official import fetch, load_official
from ferbench.models.official_files import WeightsError
from ferbench.models.parts.library_model import LibraryModel, Probe

transformers = pytest.importorskip("transformers", reason="test-only: make setup installs it")

from ferbench.models.transformers_backbone import (  # noqa: E402 - without the library it cannot be imported
    CHECKPOINTS,
    KINDS,
    TINY,
    TINY_FRAMES,
    Checkpoint,
    build,
    config_of,
)

ONE_OF_EACH = {checkpoint.kind: name for name, checkpoint in CHECKPOINTS.items()}
"""A member of each kind: at `tiny` all of a kind are the same."""
PROBES = ("timm:test_resnet@probe", "timm:test_vit@probe", "torchvision:s3d@probe", "transformers:dinov2-base@probe")


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def normalised(pixels: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)


# Weights

CLASSIFIERS = {
    "vit": "ViTForImageClassification",
    "swin": "SwinForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "videomae": "VideoMAEForVideoClassification",
    "vivit": "VivitForVideoClassification",
    "timesformer": "TimesformerForVideoClassification",
}
"""Whose classifier reads what ours does; of the others the library's own model is asked."""


def checkpoint_of(kind: str) -> Checkpoint:
    """As small as `tiny`; DINOv2's positions are, as published, for larger pictures than it is given."""
    larger = {"image_size": 64} if kind == "dinov2" else {}
    frames = 1 if KINDS[kind].view == "image" else TINY_FRAMES
    return Checkpoint(f"someone/{kind}", kind, {**KINDS[kind].tiny, **larger}, TINY, frames)


def published(kind: str, folder: Path) -> tuple[nn.Module, Path]:
    """The library's model with random weights, and the file that it writes."""
    checkpoint = checkpoint_of(kind)
    config = config_of(KINDS[kind], checkpoint.config, checkpoint.side, checkpoint.frames)
    config.num_labels = 9
    model = getattr(transformers, CLASSIFIERS.get(kind, KINDS[kind].model))(config).eval()
    for name, parameter in model.named_parameters():
        if not name.startswith("fc_norm."):
            nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    return model, folder / "model.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_the_library_gives_the_librarys_answers(tmp_path: Path, kind: str) -> None:
    theirs, file = published(kind, tmp_path)
    model = build(kind, checkpoint_of(kind), False, 9).eval()
    assert isinstance(model, LibraryModel)
    official = (Official(f"transformers/someone/{kind}", "model"),)
    _, report = load_official(model, official, kind, file)
    own = set(model.model.state_dict())
    assert set(report.matched) == own - {"classifier.weight", "classifier.bias"}
    pixels = torch.rand(2, *model.shape)
    seen = normalised(pixels, KINDS[kind].mean, KINDS[kind].deviation)
    with torch.inference_mode():
        if kind in CLASSIFIERS:
            model.model.classifier.load_state_dict(theirs.classifier.state_dict())
            options = {"interpolate_pos_encoding": True} if kind == "vit" else {}
            wanted, found = theirs(seen, **options).logits, model(normalised(pixels, MEAN, DEVIATION))
        else:
            model.without_head()
            wanted = KINDS[kind].vector(theirs(seen, **KINDS[kind].call))
            found = model(normalised(pixels, MEAN, DEVIATION))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_a_file_may_have_other_towers_beside(tmp_path: Path) -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vision = config_of(KINDS["clip"], checkpoint_of("clip").config, TINY, 1)
    config = transformers.CLIPConfig(vision_config=vision.to_dict(), text_config=small)
    theirs = transformers.CLIPModel(config)
    theirs.save_pretrained(tmp_path)
    model = build("clip", checkpoint_of("clip"), False, 3)
    _, report = load_official(
        model, (Official("transformers/someone/clip", "model"),), "clip", tmp_path / "model.safetensors"
    )
    assert any(name.startswith("text_model.") for name in report.dropped)
    assert torch.equal(model.model.body.pre_layrnorm.weight, theirs.vision_model.pre_layrnorm.weight)


def test_the_weights_of_another_kind_are_refused(tmp_path: Path) -> None:
    _, file = published("vit", tmp_path)
    official = (Official("transformers/someone/swin", "model"),)
    with pytest.raises(WeightsError, match=r"no official weights that are known here"):
        load_official(build("swin", checkpoint_of("swin"), False, 3), official, "swin", file)


def test_without_a_network_fetching_ends_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    source = architectures.get("transformers:dinov2-base").sizes["full"].official[0].source
    with pytest.raises(WeightsError, match=r"^transformers facebook/dinov2-base cannot be fetched \(Name or service"):
        fetch(source)


# Models


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_every_parameter(kind: str) -> None:
    architecture = architectures.get(f"transformers:{ONE_OF_EACH[kind]}")
    model = architecture.sizes["tiny"].build(5).train()
    logits = model(torch.randn(architecture.input_shape("tiny", 2)))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


FULL = {
    "vit-base-patch16-224": 85.80e6, "swin-tiny-patch4-window7-224": 27.52e6, "clip-vit-base-patch32": 87.46e6,
    "dinov3-vits16-pretrain-lvd1689m": 21.59e6, "videomae-base": 86.23e6, "timesformer-base-finetuned-k400": 121.26e6,
}  # fmt: skip
"""Parameters without a head."""


@pytest.mark.parametrize("name", FULL)
def test_full_is_the_checkpoints_model(name: str) -> None:
    with torch.device("meta"):
        model = architectures.get(f"transformers:{name}").sizes["full"].build(2)
    assert sum(p.numel() for p in model.model.body.parameters()) == pytest.approx(FULL[name], rel=1e-3)


def test_without_the_library_a_member_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "ferbench.models.transformers_backbone")
    with pytest.raises(RequestError, match=r"transformers is not installed: pip install 'ferbench\[transformers\]'$"):
        architectures.get("transformers:vit-base-patch16-224-in21k")


# Probes


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_trains_a_linear_classifier_and_nothing_else(name: str) -> None:
    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    model = size.build(4)
    assert isinstance(model, Probe)
    (stage,) = size.stages
    assert stage.frozen == ("backbone",)
    assert stage.reads == ("backbone" if architecture.view == "image" else "")
    trained = {name for name, _ in model.named_parameters() if not name.startswith("backbone.")}
    assert trained == {"classifier.weight", "classifier.bias"}
    x = torch.randn(architecture.input_shape("tiny", 3))
    model.eval()
    with torch.no_grad():
        features = model.backbone(x)
        assert features.shape == (3, model.classifier.in_features)
        torch.testing.assert_close(model.decode(features), model(x))
        a, b, middle = (model.decode(f) for f in (features[:1], features[1:2], features[:2].mean(0, keepdim=True)))
    torch.testing.assert_close(middle, (a + b) / 2, rtol=1e-4, atol=1e-5)


def test_a_probe_reads_what_the_librarys_head_would(tmp_path: Path) -> None:
    base = architectures.get("timm:test_resnet").sizes["full"].build(7).eval()
    torch.save(base.model.state_dict(), tmp_path / "weights.pth")
    size = architectures.get("timm:test_resnet@probe").sizes["full"]
    probe = size.build(7).eval()
    load_official(probe, size.official, "timm:test_resnet", tmp_path / "weights.pth")
    x = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        torch.testing.assert_close(base.model.get_classifier()(probe.backbone(x)), base(x))
