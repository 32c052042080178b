"""Augmentation and normalisation of whole batches of frames; nothing runs per item.

What is drawn is drawn once a sample: all frames of a clip, and both faces of a pair, are changed alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in 0 to 1, which every official weight of the seeds was trained with."""


@dataclass(frozen=True)
class Strength:
    """How far each change may go."""

    rotation: float
    """Degrees."""
    scale: float
    """Share of the size."""
    shift: float
    """Share of the image."""
    brightness: float
    contrast: float
    grey: float
    """Chance of a sample to lose its colour."""
    erasing: float
    """Side of an erased square, as a share of the image; 0: none."""


STRENGTHS = {
    "light": Strength(rotation=8, scale=0.08, shift=0.05, brightness=0.2, contrast=0.2, grey=0.0, erasing=0.0),
    "heavy": Strength(rotation=15, scale=0.15, shift=0.08, brightness=0.35, contrast=0.4, grey=0.2, erasing=0.25),
}


def normalise(frames: Tensor) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W), less the mean and over the deviation of ImageNet.

    The colours are moved to the front while they are bytes, a quarter of the memory to move, and the result is
    contiguous: 4 to 10 times as fast as moving the floats, and nothing that follows copies it.
    """
    scale, offset = _statistics(frames.device)
    floats = frames.movedim(-1, -3).to(torch.float32, memory_format=torch.contiguous_format)
    return floats.mul_(scale).sub_(offset)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """What bytes are multiplied by, and what is then taken off; sent once, since a device is waited for meanwhile."""
    with torch.inference_mode(False):
        deviation = torch.tensor(STD, device=device).view(3, 1, 1)
        return 1 / (255 * deviation), torch.tensor(MEAN, device=device).view(3, 1, 1) / deviation


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of this machine's memory on the device, without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def augment(clips: Tensor, level: str, generator: torch.Generator) -> Tensor:
    """Flips, turns, shifts and relights each sample of a batch.

    Args:
        clips: (B,K,3,H,W), normalised; left as it is.
        level: `none`, `light` or `heavy`.
        generator: on the CPU, so that every device draws the same.
    """
    if level == "none":
        return clips
    strength = STRENGTHS[level]
    batch, frames, _, height, width = clips.shape
    drawn = 2 * torch.rand(batch, 10, generator=generator) - 1
    draw = sent(drawn, clips.device)
    grid = _grid(_affine(draw, strength), height, width)
    flat = clips.reshape(batch, frames * 3, height, width)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    contrast = 1 + strength.contrast * draw[:, 5]
    brightness = strength.brightness * draw[:, 6] / 0.226
    offset = moved.flatten(1).mean(1) * (1 - contrast) + brightness  # contrast leaves a sample's mean where it is
    lit = moved.mul_(contrast.view(-1, 1, 1, 1)).add_(offset.view(-1, 1, 1, 1)).view_as(clips)
    greyed = torch.nonzero(drawn[:, 7] < 2 * strength.grey - 1)[:, 0]  # found on the CPU: the device need not wait
    if len(greyed):
        greyed = sent(greyed, clips.device)
        lit[greyed] = lit[greyed].mean(dim=2, keepdim=True)
    return _erase(lit, draw[:, 8:10], strength.erasing) if strength.erasing else lit


def _affine(draw: Tensor, strength: Strength) -> Tensor:
    """(B,2,3) maps from the output's coordinates to the input's, in -1 to 1."""
    angle = math.radians(strength.rotation) * draw[:, 0]
    scale = 1 + strength.scale * draw[:, 1]
    flip = torch.where(draw[:, 2] < 0, -1.0, 1.0)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    shift = 2 * strength.shift * draw[:, 3:5]
    return torch.stack(
        [torch.stack([cos * flip, -sin, shift[:, 0]], 1), torch.stack([sin * flip, cos, shift[:, 1]], 1)], 1
    )


def _grid(affine: Tensor, height: int, width: int) -> Tensor:
    """(B,H,W,2) where each pixel comes from: `F.affine_grid`, which multiplies matrices for it, at a fifth of its cost.

    A place is one complex number, so that the sum over all pixels runs along rows and not along pairs.
    """
    x = (2 * torch.arange(width, device=affine.device) + 1) / width - 1
    y = (2 * torch.arange(height, device=affine.device) + 1) / height - 1
    along = affine[:, None, :, 0] * x[:, None]  # (B,W,2)
    down = affine[:, None, :, 1] * y[:, None] + affine[:, None, :, 2]  # (B,H,2)
    return torch.view_as_real(torch.view_as_complex(along)[:, None] + torch.view_as_complex(down)[:, :, None])


def _erase(clips: Tensor, centre: Tensor, side: float) -> Tensor:
    """Greys a square of each sample in place, the same in all of its frames."""
    height, width = clips.shape[-2:]
    y = torch.linspace(-1, 1, height, device=clips.device)
    x = torch.linspace(-1, 1, width, device=clips.device)
    inside_y = (y - centre[:, :1]).abs() < side
    inside_x = (x - centre[:, 1:]).abs() < side
    square = inside_y[:, :, None] & inside_x[:, None, :]
    return clips.masked_fill_(square[:, None, None], 0.0)
