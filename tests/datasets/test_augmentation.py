"""Batches of frames: normalised with ImageNet's statistics, and changed once a sample."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from datasets.augmentation import MEAN, STD, augment, normalise


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
