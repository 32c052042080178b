"""MAE-DFER: regions, what the last layer leaves out, and the names of the official files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_official_weights import folder, loaded, random_values, written  # noqa: F401
from torch import Tensor

from ferbench.models.mae_dfer import Layer, MessengerLayer, into_regions

WIDTH = 512


def attention_names(name: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.q_bias": (WIDTH,), f"{name}.v_bias": (WIDTH,), f"{name}.q.weight": (WIDTH, WIDTH),
        f"{name}.kv.weight": (2 * WIDTH, WIDTH), f"{name}.proj.weight": (WIDTH, WIDTH), f"{name}.proj.bias": (WIDTH,),
    }  # fmt: skip


def encoder_names() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the official encoder."""
    names: dict[str, tuple[int, ...]] = {
        "lg_region_tokens": (8, WIDTH), "patch_embed.proj.weight": (WIDTH, 3, 2, 16, 16),
        "patch_embed.proj.bias": (WIDTH,),
    }  # fmt: skip
    for layer in (f"blocks.{n}" for n in range(16)):
        for norm in ("first_attn_norm0", "second_attn_norm0", "third_attn_norm0", "third_attn_norm1", "norm2"):
            names |= {f"{layer}.{norm}.weight": (WIDTH,), f"{layer}.{norm}.bias": (WIDTH,)}
        for attention in ("first_attn", "second_attn", "third_attn"):
            names |= attention_names(f"{layer}.{attention}")
        names |= {f"{layer}.mlp.fc1.weight": (4 * WIDTH, WIDTH), f"{layer}.mlp.fc1.bias": (4 * WIDTH,)}
        names |= {f"{layer}.mlp.fc2.weight": (WIDTH, 4 * WIDTH), f"{layer}.mlp.fc2.bias": (WIDTH,)}
    return names


def valued(names: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return random_values({name: torch.empty(shape, device="meta") for name, shape in names.items()})


def test_a_region_holds_its_tubelets_in_the_order_of_time_height_and_width() -> None:
    places = torch.arange(4 * 4 * 6).view(1, 1, 4, 4, 6)
    regions = into_regions(places, (2, 2, 3))[..., 0]  # (1,R,S)
    assert regions.shape == (1, 8, 12)
    of_region = places[0, 0, 2:4, 0:2, 3:6]  # second in time, first in height, second in width
    assert torch.equal(regions[0, 1 * 4 + 0 * 2 + 1], of_region.flatten())


def test_the_last_layer_gives_the_messengers_of_a_whole_one() -> None:
    torch.manual_seed(0)
    whole, last = Layer(16, 2, regions=3, drop_path=0.0), MessengerLayer(16, 2, regions=3, drop_path=0.0)
    last.load_state_dict({name: whole.state_dict()[name] for name in last.state_dict()})
    x = torch.randn(2 * 3, 1 + 5, 16)
    torch.testing.assert_close(last(x), whole(x)[:, 0].unflatten(0, (2, 3)))


@pytest.mark.parametrize("pretext", [True, False])
def test_official_files_load_whole_but_for_what_nothing_reads(folder: Path, pretext: bool) -> None:  # noqa: F811
    encoder = encoder_names()
    if pretext:
        others = {
            "mask_token": (1, 1, 384), "encoder_to_decoder.weight": (384, WIDTH), "encoder.norm.weight": (WIDTH,),
            "encoder.norm.bias": (WIDTH,), "decoder.norm.weight": (384,), "decoder.head.bias": (3072,),
        }  # fmt: skip
        names = {**{f"encoder.{name}": shape for name, shape in encoder.items()}, **others}
    else:
        others = {"head.weight": (7, WIDTH), "head.bias": (7,)}
        names = {**encoder, "fc_norm.weight": (WIDTH,), "fc_norm.bias": (WIDTH,), **others}
    values = valued(names)
    file = written({"module" if pretext else "model": values, "epoch": 49}, folder / "checkpoint-49.pth")
    model, entry, report = loaded("mae_dfer", file)
    assert entry.source == ("mae_dfer/voxceleb2" if pretext else "mae_dfer/finetuned")
    unread = {name for name in names if "blocks.15.third_attn" in name}
    assert set(report.dropped) == {*others, *unread}
    assert len(unread) == 10
    assert len(report.matched) == len(names) - len(others) - len(unread)
    own, before = model.state_dict(), "encoder." if pretext else ""
    for here, there in (
        ("messengers", "lg_region_tokens"), ("patch_embed.weight", "patch_embed.proj.weight"),
        ("blocks.3.first_attn.q.bias", "blocks.3.first_attn.q_bias"),
        ("blocks.0.third_attn.kv.weight", "blocks.0.third_attn.kv.weight"),
        ("blocks.15.second_attn.v_bias", "blocks.15.second_attn.v_bias"),
    ):  # fmt: skip
        assert torch.equal(own[here], values[before + there]), here
    assert pretext or torch.equal(own["fc_norm.weight"], values["fc_norm.weight"])
