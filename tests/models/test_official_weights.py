"""Official weights: each published layout on a file of random values made in it, and the files that are refused."""

from __future__ import annotations

import pickle
import re
import tempfile
import tracemalloc
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from ferbench.benchmark.planning.registry import architectures
from ferbench.datasets import augmentation
from ferbench.models import official
from ferbench.models.architecture import Official
from ferbench.models.official import fetch, load_official
from ferbench.models.official_files import WeightsError, read_tensors
from ferbench.models.official_layouts import LAYOUTS
from ferbench.models.parts.mobilenet import mobilenet_v3_large
from ferbench.models.parts.vggface2 import VGGFace2ResNet50, VGGFace2SEResNet50
from ferbench.models.parts.vit import ViT
from ferbench.models.timesformer import TimeSformer
from ferbench.models.weights import LoadReport

VGGFACE2_MEAN = torch.tensor([131.0912, 103.8827, 91.4953])
"""RGB, of 255."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Full-size files are hundreds of megabytes: they go at once, not with pytest's third run from now."""
    with tempfile.TemporaryDirectory(prefix="ferbench-official-") as name:
        yield Path(name)


def random_values(shapes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Random values of these names and shapes; variances are positive."""
    generator = torch.Generator().manual_seed(1)
    values = {}
    for name, like in shapes.items():
        if not like.is_floating_point():
            values[name] = torch.tensor(7)
            continue
        uniform = torch.rand(like.shape, generator=generator)
        fan = max(1, like[0].numel()) if like.ndim > 1 else 1
        values[name] = uniform + 0.5 if name.endswith("running_var") else (uniform - 0.5) * (2 / fan**0.5)
    return values


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build().eval()


def reference(build: Callable[[], nn.Module]) -> nn.Module:
    """The library's model with random values."""
    model = on_meta(build)
    model.load_state_dict(random_values(model.state_dict()), assign=True)
    return model


def full(name: str) -> nn.Module:
    """The full size of an architecture with zeros for values; 6 classes."""
    model = on_meta(lambda: architectures.get(name).sizes["full"].build(6))
    return model.to_empty(device="cpu").apply(lambda m: [nn.init.zeros_(p) for p in m.parameters(recurse=False)])


def loaded(name: str, file: Path) -> tuple[nn.Module, Official, LoadReport]:
    model = full(name)
    return model, *load_official(model, architectures.get(name).sizes["full"].official, name, file)


def written(tensors: object, file: Path, legacy: bool = False) -> Path:
    torch.save(tensors, file, _use_new_zipfile_serialization=not legacy)
    return file


def assert_equal_but_first(module: nn.Module, wanted: Mapping[str, Tensor], first: set[str], within: str = "") -> None:
    """Every tensor of a module is the wanted one, but for a first layer that takes up another normalisation."""
    own = module.get_submodule(within).state_dict()
    assert own.keys() >= wanted.keys()
    for name in wanted.keys() - first:
        assert torch.equal(own[name], wanted[name]), name
    for name in first:
        assert not torch.equal(own[name], wanted[name]), name


def normalised(pixels: Tensor, mean: Any, deviation: Any) -> Tensor:
    """Brightness in 0..1 (..., 3, H, W), under these statistics."""
    return (pixels - torch.as_tensor(mean).view(3, 1, 1)) / torch.as_tensor(deviation).view(3, 1, 1)


def ours(pixels: Tensor) -> Tensor:
    return normalised(pixels, augmentation.MEAN, augmentation.STD)


def test_images_are_normalised_here_as_the_loader_thinks() -> None:
    assert (official.MEAN, official.DEVIATION) == (augmentation.MEAN, augmentation.STD)


# torchvision


@pytest.mark.parametrize(
    ("name", "theirs", "features"),
    [
        ("tsm", "resnet50", "conv1"),
        ("resnet_lstm", "resnet152", "backbone"),
        ("disentangled_difference_of_embeddings", "mobilenet_v3_large", "emotion"),
        ("efficientnet_lstm", "efficientnet_b3", "backbone"),
    ],
)
def test_torchvision_image_weights_give_torchvisions_features(
    folder: Path, name: str, theirs: str, features: str
) -> None:
    library = reference(lambda: torchvision.models.get_model(theirs, weights=None))
    model, entry, report = loaded(name, written(library.state_dict(), folder / "w.pth"))
    head = [n for n in library.state_dict() if n.startswith(("fc.", "classifier."))]
    assert entry.source == f"torchvision/{theirs}"
    assert list(report.dropped) == head
    assert len(report.matched) == len(library.state_dict()) - len(head)
    kept = {n: t for n, t in library.state_dict().items() if n not in head}
    assert_equal_but_first(model, kept, set(), entry.into)
    if features == entry.into:
        library.fc = library.classifier = nn.Identity()
        x = torch.randn(2, 3, 64, 64)
        torch.testing.assert_close(model.get_submodule(entry.into)(x), library(x))


def test_r2plus1d_sees_images_normalised_as_kinetics_was(folder: Path) -> None:
    library = reference(lambda: torchvision.models.video.r2plus1d_18(weights=None))
    model, _, report = loaded("r2plus1d", written(library.state_dict(), folder / "w.pth", legacy=True))
    assert report.dropped == ("fc.weight", "fc.bias")
    kept = {n: t for n, t in library.state_dict().items() if not n.startswith("fc.")}
    assert_equal_but_first(model, kept, {"stem.0.weight", "stem.1.running_mean"}, "trunk")
    clip = torch.rand(1, 3, 3, 32, 32)  # (B,T,3,H,W)
    kinetics = torchvision.models.video.R2Plus1D_18_Weights.KINETICS400_V1.transforms()
    theirs = library.stem[1](library.stem[0](normalised(clip, kinetics.mean, kinetics.std).transpose(1, 2)))
    here = model.trunk.stem[1](model.trunk.stem[0](ours(clip).transpose(1, 2)))
    torch.testing.assert_close(here[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2])  # beyond the reach of the padding
    library.stem.load_state_dict(model.trunk.stem.state_dict())
    library.fc = nn.Identity()
    torch.testing.assert_close(model.trunk(ours(clip)), library(ours(clip).transpose(1, 2)))


# timm


def test_timm_vit_weights_give_timms_class_token(folder: Path) -> None:
    library = reference(lambda: timm.create_model("vit_base_patch16_224", pretrained=False))
    save_file(library.state_dict(), folder / "model.safetensors")
    model, entry, report = loaded("vit_se", folder / "model.safetensors")
    assert (entry.source, sorted(report.dropped)) == ("timm/vit_base_patch16_224", ["head.bias", "head.weight"])
    kept = {n: t for n, t in library.state_dict().items() if not n.startswith("head.")}
    assert_equal_but_first(model, kept, {"patch_embed.proj.weight", "patch_embed.proj.bias"}, "backbone")
    config = library.pretrained_cfg
    pixels = torch.rand(1, 3, 224, 224)
    library.head = nn.Identity()
    theirs = library(normalised(pixels, config["mean"], config["std"]))
    torch.testing.assert_close(model.backbone(ours(pixels)), theirs, rtol=1e-4, atol=1e-4)


# TimeSformer

FAMILIES = {
    "timm:test_resnet": (lambda: timm.create_model("test_resnet"), (2, 3, 160, 160), (0.5,) * 3, (0.5,) * 3),
    "timm:test_vit": (lambda: timm.create_model("test_vit"), (2, 3, 160, 160), (0.5,) * 3, (0.5,) * 3),
    "timm:test_convnext": (lambda: timm.create_model("test_convnext"), (2, 3, 160, 160), (0.5,) * 3, (0.5,) * 3),
    "torchvision:s3d": (
        lambda: torchvision.models.get_model("s3d"),
        (1, 16, 3, 224, 224), (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989),
    ),
}  # fmt: skip
"""Library's model with its own classes, an input, and how the library normalises one."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_member_of_a_family_takes_its_librarys_weights(folder: Path, name: str) -> None:
    build, shape, mean, deviation = FAMILIES[name]
    theirs = reference(build)
    file = written(theirs.state_dict(), folder / "weights.pth")
    size = architectures.get(name).sizes["full"]
    model = size.build(6).eval()
    entry, report = load_official(model, size.official, name, file)
    assert official.said(entry.source) == name.replace(":", " ")
    assert 0 < len(report.dropped) <= 2
    assert len(report.matched) + len(report.dropped) == len(theirs.state_dict())
    for dropped in report.dropped:  # with the same head the two are the same function
        parent, _, last = dropped.rpartition(".")
        setattr(model.model.get_submodule(parent), last, theirs.get_parameter(dropped))
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    seen = normalised(pixels, mean, deviation)
    with torch.inference_mode():
        wanted = theirs(seen.transpose(1, 2) if seen.ndim == 5 else seen)
        torch.testing.assert_close(model(ours(pixels)), wanted, rtol=1e-3, atol=1e-4)


def test_a_family_refuses_the_weights_of_another_model(folder: Path) -> None:
    file = written(reference(lambda: timm.create_model("test_vit")).state_dict(), folder / "weights.pth")
    size = architectures.get("timm:test_resnet").sizes["full"]
    with pytest.raises(WeightsError, match=r"timm:test_resnet takes timm test_resnet"):
        load_official(size.build(6), size.official, "timm:test_resnet", file)


def timesformer_names(layers: int) -> dict[str, Tensor]:
    """Names and shapes of the official checkpoint of Kinetics-400, which has 12 layers."""
    names: dict[str, Tensor] = {}
    block = {
        "norm1": [(768,)], "attn.qkv": [(2304, 768), (2304,)], "attn.proj": [(768, 768), (768,)],
        "temporal_norm1": [(768,)], "temporal_attn.qkv": [(2304, 768), (2304,)],
        "temporal_attn.proj": [(768, 768), (768,)], "temporal_fc": [(768, 768), (768,)], "norm2": [(768,)],
        "mlp.fc1": [(3072, 768), (3072,)], "mlp.fc2": [(768, 3072), (768,)],
    }  # fmt: skip
    whole = {"patch_embed.proj": [(768, 3, 16, 16), (768,)], "norm": [(768,)], "head": [(400, 768), (400,)]}
    whole |= {f"blocks.{n}.{layer}": shapes for n in range(layers) for layer, shapes in block.items()}
    for layer, shapes in whole.items():
        names[f"model.{layer}.weight"] = torch.empty(shapes[0], device="meta")
        names[f"model.{layer}.bias"] = torch.empty(shapes[-1], device="meta")
    for name, shape in (("cls_token", (1, 1, 768)), ("pos_embed", (1, 197, 768)), ("time_embed", (1, 8, 768))):
        names[f"model.{name}"] = torch.empty(shape, device="meta")
    return names


def test_the_official_timesformer_has_the_names_of_ours() -> None:
    layout = next(layout for layout in LAYOUTS if layout.source == "timesformer/k400")
    file = {name.removeprefix("model."): tensor for name, tensor in timesformer_names(12).items()}
    assert layout.is_of(file)
    here = {layout.rename(name): tensor.shape for name, tensor in file.items() if not name.startswith("head.")}
    model = on_meta(lambda: architectures.get("timesformer").sizes["full"].build(6))
    assert here == {n: tensor.shape for n, tensor in model.state_dict().items() if not n.startswith("head.")}


def test_the_official_timesformer_loads_whole_but_for_its_head(folder: Path) -> None:
    values = random_values(timesformer_names(2))  # as wide as the full one, which would be half a gigabyte
    checkpoint = {"epoch": 14, "model_state": values, "cfg": "TRAIN:\n  DATASET: kinetics\n"}
    file = written(checkpoint, folder / "TimeSformer_divST_8x32_224_K400.pyth")
    backbone = ViT(224, patch=16, width=768, depth=2, heads=12)
    model = TimeSformer(6, backbone, frames=8)
    head = model.head.weight.clone()
    entry, report = load_official(model, architectures.get("timesformer").sizes["full"].official, "timesformer", file)
    assert (entry.source, report.dropped) == ("timesformer/k400", ("head.weight", "head.bias"))
    assert len(report.matched) == len(values) - 2 == len(model.state_dict()) - 2
    first = "model.patch_embed.proj."
    for name, value in values.items():
        layer = re.fullmatch(r"model\.blocks\.(\d+)\.temporal_(.+)", name)
        here = f"temporal.{layer[1]}.{layer[2]}" if layer else f"backbone.{name.removeprefix('model.')}"
        here = "time_embed" if name == "model.time_embed" else here
        if not name.startswith(("model.head.", first)):
            assert torch.equal(model.state_dict()[here], value), name
    pixels = torch.rand(1, 3, 224, 224)
    theirs = nn.functional.conv2d(
        normalised(pixels, [0.45] * 3, [0.225] * 3), values[f"{first}weight"], values[f"{first}bias"], stride=16
    )
    torch.testing.assert_close(model.backbone.patch_embed.proj(ours(pixels)), theirs, rtol=1e-4, atol=1e-4)
    assert torch.equal(model.head.weight, head), "the head stays as it is built"


# TSM


def test_the_official_tsm_loads_under_its_shift_wrappers(folder: Path) -> None:
    backbone = random_values(full("tsm").backbone.state_dict())
    checkpoint: dict[str, Tensor] = {
        "module.base_model." + re.sub(r"(layer\d\.\d\.conv1)\.", r"\1.net.", name): value
        for name, value in backbone.items()
    }
    assert "module.base_model.layer1.0.conv1.net.weight" in checkpoint
    checkpoint |= {"module.new_fc.weight": torch.ones(400, 2048), "module.new_fc.bias": torch.ones(400)}
    wrapped = {"epoch": 50, "arch": "resnet50", "state_dict": checkpoint, "best_prec1": torch.tensor(74.1)}
    model, entry, report = loaded("tsm", written(wrapped, folder / "ckpt.pth.tar", legacy=True))
    assert (entry.source, report.dropped) == ("tsm/resnet50", ("new_fc.weight", "new_fc.bias"))
    assert_equal_but_first(model, backbone, set(), "backbone")


# VGGFace2


def pickle_name(name: str, se: bool) -> str:
    """A name of ours in the pickles; those of the plain ResNet-50 are the same."""
    if not se:
        return name
    name = name.removeprefix("layer0.")
    return name.replace("se_module.fc1", "conv4").replace("se_module.fc2", "conv5")


def dag_name(name: str) -> str:
    """A name of ours in the `*_dag.pth` files."""
    name = name.removeprefix("layer0.")
    layer = re.fullmatch(r"layer(\d)\.(\d)\.(.+)\.(\w+)", name)
    if layer is None:
        return name.replace("conv1.", "conv1_7x7_s2.").replace("bn1.", "conv1_7x7_s2_bn.")
    words = {
        "conv1": "1x1_reduce", "bn1": "1x1_reduce_bn", "conv2": "3x3", "bn2": "3x3_bn", "conv3": "1x1_increase",
        "bn3": "1x1_increase_bn", "downsample.0": "1x1_proj", "downsample.1": "1x1_proj_bn",
        "se_module.fc1": "1x1_down", "se_module.fc2": "1x1_up",
    }  # fmt: skip
    return f"conv{int(layer[1]) + 1}_{int(layer[2]) + 1}_{words[layer[3]]}.{layer[4]}"


def vggface2_file(folder: Path, kind: str, values: Mapping[str, Tensor], se: bool, protocol: int = 4) -> Path:
    """Values of ours in one of the two files of VGGFace2, with the head of its 8,631 people."""
    kept = {name: value for name, value in values.items() if not name.endswith("num_batches_tracked")}
    if kind == "dag":
        named = {dag_name(name): value for name, value in kept.items()}
        named |= {"classifier.weight": torch.ones(8631, 2048, 1, 1), "classifier.bias": torch.ones(8631)}
        return written(named, folder / "resnet50_ft_dag.pth", legacy=True)
    arrays = {pickle_name(name, se): value.numpy() for name, value in kept.items()}
    arrays |= {"fc.weight": np.ones((8631, 2048), np.float32), "fc.bias": np.ones(8631, np.float32)}
    file = folder / "resnet50_ft_weight.pkl"
    file.write_bytes(pickle.dumps(arrays, protocol))
    return file


@pytest.mark.parametrize(
    ("name", "into", "kind"),
    [
        ("cnn", "backbone", "dag"),
        ("disentangled_difference_of_embeddings", "identity", "pickle"),
        ("senet50", "backbone", "dag"),
        ("senet50", "backbone", "pickle"),
    ],
)
def test_vggface2_weights_load_from_both_files(folder: Path, kind: str, name: str, into: str) -> None:
    se = name == "senet50"
    build = VGGFace2SEResNet50 if se else VGGFace2ResNet50
    values = random_values(on_meta(build).state_dict())
    stem = "layer0." if se else ""
    model, entry, report = loaded(name, vggface2_file(folder, kind, values, se))
    assert (entry.source, entry.into) == (f"vggface2/{'senet50' if se else 'resnet50'}", into)
    assert len(report.dropped) == 2
    kept = {n: t for n, t in values.items() if not n.endswith("num_batches_tracked")}
    assert set(report.matched) == set(kept)
    assert_equal_but_first(model, kept, {f"{stem}conv1.weight", f"{stem}bn1.running_mean"}, into)
    backbone = model.get_submodule(into)
    here = backbone.get_submodule(f"{stem}bn1")(backbone.get_submodule(f"{stem}conv1")(ours(pixels := image())))
    theirs = on_meta(build).to_empty(device="cpu").eval()
    theirs.load_state_dict(values)
    seen = (pixels * 255 - VGGFACE2_MEAN.view(3, 1, 1)).flip(1 if kind == "pickle" else ())
    there = theirs.get_submodule(f"{stem}bn1")(theirs.get_submodule(f"{stem}conv1")(seen))
    torch.testing.assert_close(here[..., 2:-2, 2:-2], there[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-3)


def image() -> Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def test_the_names_of_the_dag_files_are_caffes() -> None:
    names = {dag_name(name) for name in on_meta(VGGFace2SEResNet50).state_dict()}
    assert {"conv1_7x7_s2.weight", "conv2_1_1x1_reduce_bn.running_var", "conv5_3_1x1_up.bias"} < names


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_read_from_every_protocol_of_pickle(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "c": np.arange(3, dtype=">f4"),
    }
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(arrays, protocol))
    tensors = read_tensors(tmp_path / "w.pkl")
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_arrays_are_read_from_a_pickle_of_python_2(tmp_path: Path) -> None:
    raw = b"\x00\x00\x80?\x00\x00\x00\xc0"  # 1 and -2
    state = b"(I1\n(I2\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nU\x08" + raw + b"tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR" + state
    (tmp_path / "w.pkl").write_bytes(b"(dS'conv1.weight'\n" + made + b"s.")
    assert read_tensors(tmp_path / "w.pkl")["conv1.weight"].tolist() == [1.0, -2.0]


HOSTILE = {
    "a text of 4 GB": b"X\xff\xff\xff\xff....",
    "a text of 1 TB": b"\x80\x04\x8d" + (2**40).to_bytes(8, "little"),
    "bytes of 8 GB": b"\x80\x04\x8e" + (2**33).to_bytes(8, "little"),
    "a byte array of 8 GB": b"\x80\x05\x96" + (2**33).to_bytes(8, "little"),
    "a number of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "a frame without end": b"\x80\x04\x95" + (2**50).to_bytes(8, "little"),
    "a far memo": b"]r\xff\xff\xff\x7f.",
    "a far memo in digits": b"]p99999999999999\n.",
    "a far memo behind another": b"\x80\x02]q\x00r\xff\xff\xff\xff.",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_pickle_cannot_ask_for_more_memory_than_its_file_has(tmp_path: Path, case: str) -> None:
    (tmp_path / "w.pkl").write_bytes(HOSTILE[case])
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=r"w\.pkl: damaged, cut short, or no file of weights"):
            read_tensors(tmp_path / "w.pkl")
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_an_archive_that_inflates_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2**22)}, tmp_path / "plain.pt")
    with ZipFile(tmp_path / "plain.pt") as plain, ZipFile(tmp_path / "packed.pt", "w", ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    assert read_tensors(tmp_path / "plain.pt")["w"].shape == (2**22,)
    with pytest.raises(WeightsError, match=r"packed\.pt: its \d+ bytes stand for \d+: no file of weights is packed"):
        read_tensors(tmp_path / "packed.pt")


@pytest.mark.parametrize("tensor", [torch.zeros(1).expand(2**40), torch.eye(3).to_sparse()], ids=["expanded", "sparse"])
def test_a_tensor_that_is_larger_than_its_file_is_refused(tmp_path: Path, tensor: Tensor) -> None:
    torch.save({"w": tensor}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="w is larger than what the file holds of it"):
        read_tensors(tmp_path / "w.pt")


def test_a_view_of_a_larger_tensor_and_the_old_format_are_read(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(8.0)[2:6].view(2, 2)}, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert read_tensors(tmp_path / "w.pt")["w"].tolist() == [[2, 3], [4, 5]]


# What is declared


def test_every_declared_source_has_a_layout_and_a_place() -> None:
    sources = {layout.source for layout in LAYOUTS}
    declared = set()
    for entry in map(architectures.get, architectures.names()):
        for size in entry.sizes.values():
            for carried in size.packaged:
                declared.add(carried.source)
                on_meta(lambda size=size: size.build(2)).get_submodule(carried.into)
        if not entry.sizes["full"].official:
            continue
        model = on_meta(lambda entry=entry: entry.sizes["full"].build(2))
        assert not entry.sizes["tiny"].official
        for weights in entry.sizes["full"].official:
            declared.add(weights.source)
            model.get_submodule(weights.into)
    assert declared == sources


def test_variants_take_what_their_base_takes() -> None:
    base = architectures.get("tsm").sizes["full"].official
    assert architectures.get("tsm@frames=4").sizes["full"].official == base


# What is refused


TAKES = architectures.get("difference_of_embeddings").sizes["full"].official


def refusal(file: Path, takes: tuple[Official, ...] = TAKES, model: nn.Module | None = None) -> str:
    """The line that a file gets; the model is as it was."""
    if model is None:
        model = nn.Module()
        model.backbone = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError) as raised:
        load_official(model, takes, "difference_of_embeddings", file)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith(f"{file}: ")
    return line.removeprefix(f"{file}: ")


def mobilenet() -> dict[str, Tensor]:
    return random_values(on_meta(lambda: torchvision.models.mobilenet_v3_large(weights=None)).state_dict())


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.pth") == "the weights cannot be read: No such file or directory"
    assert refusal(tmp_path) == "a folder, not a file of weights: name the file in it"


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "pickle"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    file, tensors = tmp_path / "w", {"a": torch.rand(100, 100), "b": torch.rand(100)}
    if kind == "safetensors":
        save_file(tensors, file)
    elif kind == "pickle":
        file.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in tensors.items()}))
    else:
        written(tensors, file, legacy=kind == "legacy")
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    assert refusal(file) == "damaged, cut short, or no file of weights: download it again"


def test_weights_of_another_architecture_are_named(folder: Path) -> None:
    shapes = on_meta(lambda: torchvision.models.resnet50(weights=None)).state_dict()
    values = random_values({n: shapes[n] for n in ("conv1.weight", "layer3.5.conv3.weight", "fc.weight")})
    line = refusal(written(values, folder / "w.pth"))
    assert line == (
        "these are torchvision resnet50 weights; difference_of_embeddings takes torchvision mobilenet_v3_large"
    )


def test_vggface2_and_imagenet_resnet50_are_never_taken_for_each_other(folder: Path) -> None:
    shapes = on_meta(VGGFace2ResNet50).state_dict()
    values = random_values({n: shapes[n] for n in ("conv1.weight", "layer3.5.conv3.weight")})
    takes = architectures.get("tsm").sizes["full"].official
    assert refusal(vggface2_file(folder, "pickle", values, se=False), takes).startswith(
        "these are VGGFace2 ResNet-50 weights; "
    )


def test_unknown_weights_say_what_would_be_taken(tmp_path: Path) -> None:
    line = refusal(written({"a.weight": torch.ones(2), "a.bias": torch.ones(2)}, tmp_path / "w.pth"))
    assert line == (
        "no official weights that are known here (it begins a.weight, a.bias); "
        "difference_of_embeddings takes torchvision mobilenet_v3_large"
    )


def test_other_shapes_and_names_are_told_apart(tmp_path: Path) -> None:
    tensors = mobilenet()
    tensors["features.0.0.weight"] = torch.ones(16, 1, 3, 3)
    tensors["features.3.extra"] = tensors.pop("features.1.block.0.0.weight")
    model = nn.Module()
    model.backbone = mobilenet_v3_large()
    line = refusal(written(tensors, tmp_path / "w.pth"), model=model)
    assert line == (
        "torchvision mobilenet_v3_large that does not fit difference_of_embeddings: 1 missing "
        "(features.1.block.0.0.weight); 1 unexpected (features.3.extra); 1 of another shape (features.0.0.weight)"
    )


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors = mobilenet()
    tensors["features.0.0.weight"][0, 0, 0, 0] = torch.nan
    line = refusal(written(tensors, tmp_path / "w.pth"))
    assert line == "features.0.0.weight holds values that are no finite numbers: download the file again"


@pytest.mark.parametrize("found", [[1, 2], {"a": 1}, {}, "text", None])
def test_a_file_without_tensors_is_refused(tmp_path: Path, found: object) -> None:
    assert refusal(written(found, tmp_path / "w.pth")).startswith("no weights in it")
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(found))
    assert refusal(tmp_path / "w.pkl").startswith("no weights in it")


class Hostile:
    """Its pickle calls a function of the machine that reads it."""

    def __init__(self, function: Callable[..., object], *words: object) -> None:
        self.function, self.words = function, words

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.words


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "pickle 0"])
def test_a_hostile_file_is_refused_and_runs_nothing(tmp_path: Path, kind: str) -> None:
    import os

    trace, file = tmp_path / "trace", tmp_path / "w.pkl"
    content = {"conv1.weight": Hostile(os.system, f"touch {trace}")}
    if kind.startswith("pickle"):
        file.write_bytes(pickle.dumps(content, 0 if kind.endswith("0") else 4))
    else:
        written(content, file, legacy=kind == "legacy")
    line = refusal(file)
    assert line == f"refused: reading it would run {os.system.__module__}.system, which no file of weights needs"
    assert not trace.exists()


@pytest.mark.parametrize(
    "attack",
    [
        Hostile(eval, "1"),
        Hostile(getattr, "", "join"),
        Hostile(np.load, "x"),
        Hostile(np.frombuffer, b"1234"),
        Hostile(np.dtype, "O"),
        Hostile(np.ndarray, (10**9,)),
        np.array([Hostile(eval, "1")], dtype=object),
        np.zeros(2, dtype=[("a", "f4")]),
    ],
)
def test_numpys_own_names_do_no_more_than_make_arrays_of_numbers(tmp_path: Path, attack: object) -> None:
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"a": attack}))
    assert refusal(tmp_path / "w.pkl").startswith(("refused: reading it would run ", "damaged, cut short"))


def test_a_pickle_that_holds_itself_ends(tmp_path: Path) -> None:
    content: dict[str, object] = {}
    content["model"] = content
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content))
    assert refusal(tmp_path / "w.pkl").startswith("no weights in it")


# What is fetched


def test_without_a_network_fetching_ends_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known\nand more")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    for source, said in (
        ("torchvision/mobilenet_v3_large", "torchvision mobilenet_v3_large"),
        ("timm/vit_base_patch16_224", "timm vit_base_patch16_224"),
    ):
        with pytest.raises(WeightsError) as raised:
            fetch(source)
        assert str(raised.value) == (
            f"{said} cannot be fetched (Name or service not known): "
            "get the file elsewhere and name it: --weights NAME=FILE"
        )


def test_what_torchvision_has_fetched_before_needs_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "mobilenet_v3_large-8738ca79.pth"
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setattr("torch.hub.download_url_to_file", pytest.fail)
    assert fetch("torchvision/mobilenet_v3_large") == file


class Meter:
    """As a training script keeps beside its weights."""

    def __init__(self) -> None:
        self.best = np.float64(0.5)


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_beside_the_weights_are_passed_over(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "w.pth"
    weights = {"module.conv.weight": torch.randn(2, 3)}
    beside = {"best": np.float64(0.9), "meter": Meter(), "args": Namespace(lr=0.1, out=Path("x")), "epoch": 3}
    torch.save({"state_dict": weights, **beside}, file, _use_new_zipfile_serialization=zipped)
    found = read_tensors(file)
    assert list(found) == ["conv.weight"]
    assert torch.equal(found["conv.weight"], weights["module.conv.weight"])


def test_of_a_pickled_module_parameters_and_buffers_are_read(tmp_path: Path) -> None:
    """As `torch.save(model)` makes it, which would run the classes of its layers."""
    model = timm.create_model("test_resnet", num_classes=8)
    torch.save(model, tmp_path / "w.pt")
    found, own = read_tensors(tmp_path / "w.pt"), model.state_dict()
    assert found.keys() == own.keys()
    assert all(torch.equal(found[name], own[name]) for name in own)
