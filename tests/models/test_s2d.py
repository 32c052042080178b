"""S2D: what an adapter and a prompt can see, and the names of the official files."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from test_official_weights import folder, loaded, random_values, written  # noqa: F401
from torch import Tensor

from ferbench.models.parts.mobilefacenet import MobileFaceNet
from ferbench.models.parts.mobilenet import mobilenet_v3_tiny
from ferbench.models.parts.vit import vit_tiny
from ferbench.models.s2d import S2D, Adapter, LandmarkMapsTiny

WIDTH = 768


def official_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of a fine-tuned model of the authors, which has no landmark network in it."""
    linear = {
        "patch_embed.proj": (WIDTH, 3, 16, 16), "patch_embed_prompt.proj": (WIDTH, 128, 1, 1), "head.fc_cls": (7, WIDTH)
    }  # fmt: skip
    norms = ["ln_post"]
    names: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH), "pos_embed": (1, 197, WIDTH), "temporal_embedding": (1, 16, WIDTH)
    }  # fmt: skip
    for n in range(12):
        block, prompt = f"blocks.{n}", f"prompt_blocks.{n}"
        norms += [f"{block}.norm1", f"{block}.norm2", f"prompt_norms.{n}", f"{prompt}.TMA.norm"]
        linear |= {
            f"{block}.attn.qkv": (3 * WIDTH, WIDTH), f"{block}.attn.proj": (WIDTH, WIDTH),
            f"{block}.mlp.fc1": (4 * WIDTH, WIDTH), f"{block}.mlp.fc2": (WIDTH, 4 * WIDTH),
            f"{prompt}.conv0_0": (8, WIDTH, 1, 1), f"{prompt}.conv0_1": (8, WIDTH, 1, 1),
            f"{prompt}.conv1x1": (WIDTH, 8, 1, 1), f"{prompt}.TMA.T_Adapter.attn.proj": (192, 192),
        }  # fmt: skip
        for adapter in (f"{prompt}.TMA.T_Adapter", f"{prompt}.TMA.S_Adapter"):
            linear |= {f"{adapter}.D_fc1": (192, WIDTH), f"{adapter}.D_fc2": (WIDTH, 192)}
        names |= {f"{prompt}.fovea.smooth": (1,), f"{prompt}.TMA.T_Adapter.attn.qkv.weight": (576, 192)}
    for name, shape in linear.items():
        names |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        names |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return names


def tiny() -> S2D:
    torch.manual_seed(0)
    return S2D(3, vit_tiny(), LandmarkMapsTiny(mobilenet_v3_tiny()), frames=4, heads=2, dropout=0.0).eval()


def test_an_adapter_sees_one_place_at_all_times() -> None:
    torch.manual_seed(0)
    adapter, x = Adapter(16, heads=2), torch.randn(1, 4, 9, 16)
    other = x.clone()
    other[0, 1, 5] = torch.randn(16)
    moved = (adapter(x) - adapter(other)).abs().amax(dim=(0, 3)) > 0  # (T,N)
    assert torch.equal(moved, torch.arange(9).eq(5).expand(4, -1))


def test_landmarks_alone_can_change_the_answer() -> None:
    model, clip = tiny(), torch.randn(1, 4, 3, 48, 48)
    maps = model.landmarks(clip[0])
    answer, other = model.transformer(clip, maps), model.transformer(clip, maps.flip(3))
    assert (answer - other).abs().max() > 1e-5


def test_the_fine_tuned_model_loads_whole_but_for_its_head_and_a_norm_that_nothing_calls(
    folder: Path,  # noqa: F811
) -> None:
    values = random_values({name: torch.empty(shape, device="meta") for name, shape in official_names().items()})
    model, entry, report = loaded("s2d", written({"model": values, "epoch": 99}, folder / "DFEW01.pth"))
    assert entry.source == "s2d/finetuned", "the names hold all that a plain ViT has"
    assert set(report.dropped) == {n for n in values if re.match(r"head\.|prompt_norms\.11\.", n)}
    assert len(report.matched) == len(values) - 4 == len(model.get_submodule("transformer").state_dict())
    own = model.get_submodule("transformer").state_dict()
    for here, there in (
        ("backbone.norm.weight", "ln_post.weight"), ("backbone.cls_token", "cls_token"),
        ("time_embed", "temporal_embedding"), ("landmark_embed.bias", "patch_embed_prompt.proj.bias"),
        ("backbone.patch_embed.proj.weight", "patch_embed.proj.weight"), ("norms.10.bias", "prompt_norms.10.bias"),
        ("prompts.3.image.weight", "prompt_blocks.3.conv0_0.weight"),
        ("prompts.3.out.bias", "prompt_blocks.3.conv1x1.bias"),
        ("prompts.11.landmarks.bias", "prompt_blocks.11.conv0_1.bias"),
        ("prompts.4.sharpness", "prompt_blocks.4.fovea.smooth"),
        ("adapters.5.down.weight", "prompt_blocks.5.TMA.T_Adapter.D_fc1.weight"),
        ("adapters.5.attn.qkv.weight", "prompt_blocks.5.TMA.T_Adapter.attn.qkv.weight"),
        ("adapters.5.up.weight", "prompt_blocks.5.TMA.T_Adapter.D_fc2.weight"),
        ("adapters.5.mlp.0.weight", "prompt_blocks.5.TMA.S_Adapter.D_fc1.weight"),
        ("adapters.5.mlp.2.weight", "prompt_blocks.5.TMA.S_Adapter.D_fc2.weight"),
    ):  # fmt: skip
        assert torch.equal(own[here], values[there]), here


def test_the_landmark_networks_file_loads_up_to_the_maps_that_are_read(folder: Path) -> None:  # noqa: F811
    like: dict[str, Tensor] = MobileFaceNet().state_dict()
    like |= {"output_layer.conv_6_dw.conv.weight": torch.empty(512, 1, 7, 7),
             "output_layer.linear.weight": torch.empty(136, 512)}  # fmt: skip
    values = random_values(like)
    file = written({"state_dict": {f"module.{n}": t for n, t in values.items()}}, folder / "model_best.pth.tar")
    model, entry, report = loaded("s2d", file)
    assert (entry.source, entry.into) == ("s2d/landmarks", "landmarks")
    assert all(name.startswith(("conv_45.", "conv_5.", "conv_6_sep.", "output_layer.")) for name in report.dropped)
    own = model.get_submodule("landmarks").state_dict()
    assert len(own) == len(report.matched) == len(values) - len(report.dropped)
    assert all(torch.equal(own[name], values[name]) for name in own)
    whole = MobileFaceNet().eval()
    whole.load_state_dict({n: t for n, t in values.items() if not n.startswith("output_layer.")})
    x = torch.randn(2, 3, 112, 112)
    torch.testing.assert_close(model.get_submodule("landmarks")(x), whole(x)[1])
