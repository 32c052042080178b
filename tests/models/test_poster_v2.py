"""POSTER++: its three official files, and the landmark net that stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ferbench.benchmark.learning.steps import set_training
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.official_layouts import POSTER_V2_UNUSED
from ferbench.models.parts.ir50 import IR50, Unit
from ferbench.models.parts.mobilefacenet import MobileFaceNet
from ferbench.models.poster_v2 import poster_v2, poster_v2_tiny
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    image,
    loaded,
    on_meta,
    ours,
    random_values,
    written,
)


def stages_named(name: str) -> str:
    """A name of IR-50 as POSTER++ has it: `body.7.…` is `body3.0.…`."""
    part, dot, rest = name.partition(".")
    if part != "body":
        return name
    number, _, rest = rest.partition(".")
    stage = sum(int(number) >= begin for begin in (0, 3, 7))
    return f"body{stage}{dot}{int(number) - (0, 3, 7)[stage - 1]}.{rest}"


def poster_named(name: str) -> str:
    """A name of ours as the seed's checkpoint has it."""
    scale = {"0": "q", "1": "k", "2": "v.proj"}
    part, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    if part == "faces":
        return f"ir_back.{stages_named(rest)}"
    if part == "narrow":
        return f"conv{int(number) + 1}.{inner}"
    if part == "embeddings":
        return f"embed_{scale[number]}.{inner}"
    if part == "fusions":
        place = f"{int(number) + 1}."
        for begin, theirs in {
            "norm.": "window{}norm.", "kv.": "attn{}qkv.", "bias.": "attn{}", "proj.": "attn{}proj.",
            "scale1.gamma": "ffn{}gamma1", "scale2.gamma": "ffn{}gamma2", "norm2.": "ffn{}norm.", "mlp.": "ffn{}mlp.",
        }.items():  # fmt: skip
            if inner.startswith(begin):
                return theirs.format(place) + inner.removeprefix(begin)
    for begin, theirs in {
        "landmarks.": "face_landback.", "last.": "last_face_conv.", "excitation.gate.0.": "VIT.se_block.linear1.",
        "excitation.gate.2.": "VIT.se_block.linear2.", "classifier.": "VIT.head.linear.", "transformer.": "VIT.",
    }.items():  # fmt: skip
        if name.startswith(begin):
            return theirs + name.removeprefix(begin)
    raise ValueError(name)


def first_norm_of(model: nn.Module, part: str, convolution: str, norm: str, x: Tensor) -> Tensor:
    backbone = model.get_submodule(part)
    return backbone.get_submodule(norm)(backbone.get_submodule(convolution)(x))


@pytest.mark.parametrize("stages", [False, True], ids=["face.evoLVe", "POSTER++"])
def test_ir50_loads_from_both_files_and_sees_its_own_normalisation(folder: Path, stages: bool) -> None:  # noqa: F811
    values = random_values(on_meta(IR50).state_dict())
    fourth = random_values(on_meta(lambda: Unit(256, 512, stride=2)).state_dict())
    rest = {
        "output_layer.0.weight": torch.ones(512),
        **({} if stages else {f"body.21.{n}": t for n, t in fourth.items()}),
    }
    names = {stages_named(n) if stages else n: t for n, t in values.items()}
    model, entry, report = loaded("poster_v2", written({**names, **rest}, folder / "ir50.pth"))
    assert (entry.source, entry.into) == ("ir50/ms1m", "faces")
    assert set(report.dropped) == set(rest)
    assert_equal_but_first(model, values, {"input_layer.0.weight", "input_layer.1.running_mean"}, "faces")
    theirs = on_meta(IR50).to_empty(device="cpu").eval()
    theirs.load_state_dict(values)
    here = first_norm_of(model, "faces", "input_layer.0", "input_layer.1", ours(image()))
    there = theirs.input_layer[1](theirs.input_layer[0](image() * 2 - 1))
    torch.testing.assert_close(here[..., 1:-1, 1:-1], there[..., 1:-1, 1:-1], rtol=1e-4, atol=1e-4)


def test_the_landmark_net_saw_bgr_in_0_to_1(folder: Path) -> None:  # noqa: F811
    values = random_values(on_meta(MobileFaceNet).state_dict())
    head = {"output_layer.linear.weight": torch.ones(136, 512), "output_layer.bn.weight": torch.ones(136)}
    file = written({"epoch": 80, "state_dict": {**values, **head}}, folder / "mobilefacenet_model_best.pth.tar")
    model, entry, report = loaded("poster_v2", file)
    assert (entry.source, entry.into, set(report.dropped)) == ("mobilefacenet/landmarks", "landmarks", set(head))
    assert_equal_but_first(model, values, {"conv1.conv.weight", "conv1.bn.running_mean"}, "landmarks")
    theirs = on_meta(MobileFaceNet).to_empty(device="cpu").eval()
    theirs.load_state_dict(values)
    here = first_norm_of(model, "landmarks", "conv1.conv", "conv1.bn", ours(image()))
    there = theirs.conv1.bn(theirs.conv1.conv(image().flip(1)))
    torch.testing.assert_close(here[..., 1:, 1:], there[..., 1:, 1:], rtol=1e-4, atol=1e-4)


def test_the_seeds_checkpoint_loads_without_what_it_never_calls(folder: Path) -> None:  # noqa: F811
    values = random_values(on_meta(lambda: poster_v2(7)).state_dict())
    named = {f"module.{poster_named(name)}": tensor for name, tensor in values.items()}
    unused = {f"{name}weight" if name.endswith(".") else name for name in POSTER_V2_UNUSED}
    named |= {f"module.{name}": torch.ones(1) for name in unused}
    model, entry, report = loaded("poster_v2", written({"state_dict": named, "epoch": 9}, folder / "raf-db.pth"))
    assert entry.source == "poster_v2"
    assert set(report.dropped) == unused | {"VIT.head.linear.weight", "VIT.head.linear.bias"}
    body = {name: tensor for name, tensor in values.items() if not name.startswith("classifier.")}
    assert_equal_but_first(model, body, set())


def test_the_landmark_nets_statistics_stay_while_the_rest_trains() -> None:
    stage = architectures.get("poster_v2").sizes["tiny"].stages[0]
    model = poster_v2_tiny(4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    set_training(model, stage)
    model(torch.randn(4, 3, 40, 40))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert not any(name.startswith("landmarks.") for name in moved)


def test_landmarks_ask_and_faces_answer() -> None:
    """What is asked decides which places are looked at, never what is seen there: one colour gives one answer."""
    torch.manual_seed(0)
    fusion = poster_v2_tiny(4).eval().fusions[0]
    nn.init.ones_(fusion.scale1.gamma)
    landmarks = torch.randn(2, 1, 16, 10, 10)
    flat, varied = torch.randn(1, 16, 1, 1).expand(1, 16, 10, 10), torch.randn(1, 16, 10, 10)
    torch.testing.assert_close(fusion(flat, landmarks[0]), fusion(flat, landmarks[1]))
    assert not torch.allclose(fusion(varied, landmarks[0]), fusion(varied, landmarks[1]), atol=1e-3)
