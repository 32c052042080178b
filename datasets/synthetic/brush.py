"""Soft-edged shapes and paint on batches of pixels.

Only + - * / sqrt, comparisons and look-ups are used on pixels: they round the same way wherever an item
lies in a batch, and every shape is exactly zero outside its extent, so pictures do not depend on batch mates.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

TILE = 256


def bump(dx: Tensor, dy: Tensor, rx: Tensor | float, ry: Tensor | float) -> Tensor:
    """Smooth hill of height 1 with elliptic foot of half axes (rx, ry); 0 outside."""
    r2 = (dx / rx).square_().add_((dy / ry).square_())
    return r2.neg_().add_(1).clamp_(min=0).square_()


def edge(distance: Tensor, soft: Tensor | float) -> Tensor:
    """Coverage 0 to 1 from a signed distance (positive inside) and the width of the edge."""
    return (distance / soft).add_(0.5).clamp_(0, 1)


def band(distance: Tensor, half: Tensor | float, soft: Tensor | float) -> Tensor:
    """Coverage of a band of half width `half` about distance 0."""
    return distance.abs().sub_(half).neg_().div_(soft).add_(0.5).clamp_(0, 1)


def stroke(distance: Tensor, width: Tensor | float) -> Tensor:
    """A soft line: 1 on it, 0 from `width` away."""
    return (distance / width).abs_().neg_().add_(1).clamp_(min=0).square_()


def ramp(value: Tensor, low: Tensor | float, high: Tensor | float) -> Tensor:
    """0 below `low`, 1 above `high`, straight between."""
    return (value - low).div_(high - low).clamp_(0, 1)


def paint(canvas: Tensor, cover: Tensor, colour: Tensor | float) -> None:
    """Lay a colour (B, 3, 1, 1), (B, 3, H, W) or one shade over canvas (B, 3, H, W) where cover (B, H, W)."""
    cover = cover[:, None]
    if isinstance(colour, float):
        canvas.mul_(1 - cover).add_(cover * colour)
    else:
        canvas.mul_(1 - cover).addcmul_(cover.expand_as(canvas), colour)


@lru_cache(maxsize=8)
def noise_tile(kind: str, device: torch.device) -> Tensor:
    """(TILE * TILE,) fixed noise of mean 0 and deviation 1: `white`, or `smooth` (features of about 6 cells)."""
    tile = np.random.default_rng(20260101).standard_normal((TILE, TILE))
    if kind == "smooth":
        tile = _blurred(tile, 1) + 2 * _blurred(tile, 2) + 5 * _blurred(tile, 5)
    tile = (tile - tile.mean()) / tile.std()
    return torch.from_numpy(tile.astype(np.float32).ravel()).to(device)


def _blurred(tile: np.ndarray, radius: int) -> np.ndarray:
    for axis in (0, 1, 0, 1):
        tile = np.mean([np.roll(tile, step, axis) for step in range(-radius, radius + 1)], axis=0)
    return tile


def noise_at(kind: str, x: Tensor, y: Tensor) -> Tensor:
    """Noise at cell coordinates x, y (wrapped around); nearest cell."""
    tile = noise_tile(kind, x.device)
    cell = y.to(torch.int32).bitwise_and_(TILE - 1).mul_(TILE).add_(x.to(torch.int32).bitwise_and_(TILE - 1))
    return torch.take(tile, cell.long())
