"""Batches of frames: normalised with ImageNet's statistics, and changed once a sample."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import grid_sample
from torch.testing import assert_close

from ferbench.datasets.augmentation import MEAN, STD, STRENGTHS, augment, normalise


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def clips() -> Tensor:
    """(6,4,3,24,24): four times the same frame in each of six samples."""
    return torch.randn(6, 1, 3, 24, 24, generator=seeded(1)).expand(-1, 4, -1, -1, -1).contiguous()


def test_normalising_is_imagenets() -> None:
    frames = torch.randint(256, (2, 5, 4, 6, 3), dtype=torch.uint8, generator=seeded())
    by_hand = (frames.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    assert_close(normalise(frames), by_hand.permute(0, 1, 4, 2, 3), atol=1e-5, rtol=0)


def test_normalised_frames_are_contiguous_and_the_store_is_left_alone() -> None:
    frames = torch.randint(256, (2, 5, 4, 6, 3), dtype=torch.uint8, generator=seeded())
    before = frames.clone()
    assert normalise(frames).is_contiguous()
    assert torch.equal(frames, before)


@pytest.mark.parametrize("level", ["light", "heavy"])
def test_what_is_augmented_is_left_as_it_is(clips: Tensor, level: str) -> None:
    before = clips.clone()
    assert augment(clips, level, seeded()).data_ptr() != clips.data_ptr()
    assert torch.equal(clips, before)


@pytest.mark.parametrize("level", ["light", "heavy"])
def test_a_sample_is_changed_as_by_hand(level: str) -> None:
    """The same draws, each change written out for one sample at a time."""
    clips = torch.randn(4, 2, 3, 20, 20, generator=seeded(2))
    strength, changed = STRENGTHS[level], augment(clips, level, seeded(5))
    draws = 2 * torch.rand(4, 10, generator=seeded(5)) - 1
    y, x = torch.meshgrid(*[(2 * torch.arange(20) + 1) / 20 - 1] * 2, indexing="ij")
    edge = torch.linspace(-1, 1, 20)
    for clip, draw, found in zip(clips, draws, changed, strict=True):
        turn, scale = math.radians(strength.rotation) * draw[0], 1 + strength.scale * draw[1]
        flip = -1 if draw[2] < 0 else 1
        cos, sin = scale * turn.cos(), scale * turn.sin()
        there = (
            torch.stack([flip * cos * x - sin * y, flip * sin * x + cos * y], dim=-1) + 2 * strength.shift * draw[3:5]
        )
        moved = grid_sample(clip, there[None].expand(2, -1, -1, -1), padding_mode="border", align_corners=False)
        by_hand = (moved - moved.mean()) * (1 + strength.contrast * draw[5]) + moved.mean()
        by_hand = by_hand + strength.brightness * draw[6] / 0.226
        if (draw[7] + 1) / 2 < strength.grey:
            by_hand = by_hand.mean(dim=1, keepdim=True).expand_as(by_hand)
        if strength.erasing:
            inside = ((edge - draw[8]).abs() < strength.erasing)[:, None] & ((edge - draw[9]).abs() < strength.erasing)
            by_hand = by_hand.masked_fill(inside, 0)
        assert_close(found, by_hand, atol=1e-4, rtol=1e-4)


def test_level_none_changes_nothing(clips: Tensor) -> None:
    assert augment(clips, "none", seeded()) is clips


@pytest.mark.parametrize("level", ["light", "heavy"])
def test_all_frames_of_a_sample_are_changed_alike_and_samples_differently(clips: Tensor, level: str) -> None:
    changed = augment(clips, level, seeded())
    assert_close(changed, changed[:, :1].expand_as(changed))
    moved = augment(clips[:1].expand_as(clips), level, seeded())
    assert all(not torch.allclose(moved[0], other, atol=0.05) for other in moved[1:])


@pytest.mark.parametrize("level", ["light", "heavy"])
def test_a_generator_decides_everything(clips: Tensor, level: str) -> None:
    assert torch.equal(augment(clips, level, seeded(3)), augment(clips, level, seeded(3)))
    assert not torch.equal(augment(clips, level, seeded(3)), augment(clips, level, seeded(4)))


def test_a_batch_keeps_its_mean_over_many_draws() -> None:
    flat = torch.full((2000, 1, 3, 8, 8), 0.3)
    light = augment(flat, "light", seeded())
    assert_close(light.mean(), torch.tensor(0.3), atol=0.05, rtol=0)
    assert light.mean(dim=(1, 2, 3, 4)).std() == pytest.approx(0.2 / 0.226 / 3**0.5, rel=0.1)  # a uniform brightness


def test_half_of_the_samples_are_mirrored() -> None:
    slope = torch.linspace(-1, 1, 16).expand(1000, 1, 3, 16, 16).contiguous()
    changed = augment(slope, "light", seeded())
    rising = (changed[..., 12:].mean(dim=(1, 2, 3, 4)) > changed[..., :4].mean(dim=(1, 2, 3, 4))).float().mean()
    assert 0.45 < rising < 0.55


def test_heavy_greys_a_fifth_and_erases_a_square_of_a_sample() -> None:
    colours = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1, 1).expand(1000, 1, 3, 32, 32).contiguous()
    changed = augment(colours, "heavy", seeded())
    erased = (changed == 0).all(dim=2)[:, 0]
    assert erased.any(dim=(1, 2)).all()
    assert erased.float().mean(dim=(1, 2)).max() <= (9 / 32) ** 2
    spread = (changed[:, 0, 2] - changed[:, 0, 0]).abs().amax(dim=(1, 2))
    assert (spread < 1e-5).float().mean() == pytest.approx(0.2, abs=0.04)
