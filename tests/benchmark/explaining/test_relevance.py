"""What counts for an answer: found where it is planted, gone with the weights, of the right shape for every view."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ferbench.benchmark.explaining.relevance import Relevance, cam_layer, randomised, relevance_of
from ferbench.benchmark.explaining.sheet import BRIGHT, overlaid, write_sheet
from ferbench.benchmark.planning.registry import architectures
from ferbench.datasets.synthetic.expressions import sequence_units
from ferbench.datasets.synthetic.film import Shot
from ferbench.datasets.synthetic.regions import moved_regions

SIDE = 32


class Corner(nn.Module):
    """(B,3,H,W) -> (B,2): class 1 is how bright the upper left quarter is."""

    def __init__(self, patches: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 4, stride=4) if patches else nn.Conv2d(3, 1, 3, padding=1)
        nn.init.constant_(self.conv.weight, 1.0)
        nn.init.constant_(self.conv.bias, 50.0)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.conv(x)
        quarter = maps.shape[-1] // 2
        seen = maps[:, 0, :quarter, :quarter].flatten(1).mean(1) ** 2
        return torch.stack([torch.zeros_like(seen), seen], 1)


class LastFrame(nn.Module):
    """(B,K,3,H,W) -> (B,2): only the last frame counts."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Corner(patches=False)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.inner(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return scores[:, -1]


def frames(count: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize(("patches", "method"), [(False, "Grad-CAM"), (True, "SmoothGrad")])
def test_what_counts_is_found(patches: bool, method: str) -> None:
    model = Corner(patches).eval()
    shown = frames()
    if not patches:  # Grad-CAM says where the channels are active that count
        nn.init.constant_(model.conv.bias, 0.0)
        shown = np.zeros_like(shown)
        shown[:, : SIDE // 2, : SIDE // 2] = 255
    found = relevance_of(model, "image", shown)
    assert found.method == method
    assert (cam_layer(model, lambda: model(torch.zeros(1, 3, SIDE, SIDE))) is None) == patches
    assert found.maps.shape == (1, SIDE, SIDE)
    assert found.answer == 1
    assert found.maps[0, : SIDE // 2 + 1, : SIDE // 2 + 1].sum() > 0.95 * found.maps.sum()
    assert found.maps.min() >= 0
    assert found.maps.sum() == pytest.approx(1, abs=1e-4)


def test_time_has_its_shares() -> None:
    found = relevance_of(LastFrame().eval(), "clip", frames(4))
    assert found.of_time.shape == (4,)
    assert found.of_time[-1] > 0.5
    assert found.of_time.sum() == pytest.approx(1, abs=1e-4)


def test_maps_are_the_same_again_and_the_model_is_left_alone() -> None:
    model = Corner(patches=True).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    one, other = (relevance_of(model, "image", frames()) for _ in range(2))
    assert np.array_equal(one.maps, other.maps)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "name", ["cnn", "vit_se", "difference_of_embeddings", "c3d", "tsm", "residual_attention_ed_tcn"]
)
def test_every_kind_of_architecture_is_explained(name: str) -> None:
    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    torch.manual_seed(0)
    model = size.build(4).eval()
    count = {"image": 1, "pair": 2}.get(architecture.view, size.frames)
    shown = np.random.default_rng(0).integers(0, 255, (count, size.image_size, size.image_size, 3)).astype(np.uint8)
    found = relevance_of(model, architecture.view, shown, 2)
    assert found.maps.shape == shown.shape[:3]
    assert np.isfinite(found.maps).all()
    assert found.answer == 2
    others = relevance_of(randomised(model, seed=3).eval(), architecture.view, shown, 2)
    assert not np.allclose(found.maps, others.maps)


def test_the_region_that_an_expression_moves_is_known() -> None:
    rng = np.random.default_rng(0)
    smile = sequence_units("Happiness", 3, rng, 1.0, blinks=0)
    still = np.zeros_like(smile)
    shots = [(Shot(7, units, 9, ("a", "b", "c")), 2) for units in (smile, still)]
    moved, nothing = moved_regions(shots, 64)
    assert not nothing.any()
    assert 0.01 < moved.mean() < 0.5
    rows = np.flatnonzero(moved.any(axis=1))
    assert moved[32:].sum() > moved[:32].sum()  # a smile is in the lower half
    assert rows.max() > 40


def test_the_sheet_shows_each_frame_and_what_counts_in_it(tmp_path: Path) -> None:
    maps = np.zeros((2, SIDE, SIDE), dtype=np.float32)
    maps[1, :8, :8] = 1 / 64
    found = Relevance(maps, 1, 0.75, "Grad-CAM")
    write_sheet(tmp_path / "sheet.png", [("a.jpg, face 1", frames(2), found)], ("Anger", "Fear"))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 420
        pixels = np.asarray(sheet).astype(int)
    assert pixels[40:, :, 0].max() > pixels[40:, :, 2].min()
    assert 0.9 < BRIGHT < 1
    cold, hot = (
        overlaid(frames()[0], np.zeros((SIDE, SIDE), np.float32)),
        overlaid(frames()[0], np.ones((SIDE, SIDE), np.float32)),
    )
    assert np.abs(hot.astype(int) - cold).mean() > 40
