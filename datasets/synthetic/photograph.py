"""From light to bytes: exposure, tone, blur, sensor noise, monochrome and near-infrared pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.synthetic.brush import TILE, noise_tile
from datasets.synthetic.scene import Scenes

_LUMA = (0.299, 0.587, 0.114)


def photograph(picture: Tensor, scenes: Scenes) -> Tensor:
    """uint8 (B, 3, H, W) from light (B, 3, H, W); changes `picture`."""
    batch, _, height, width = picture.shape
    picture = _blur(picture, scenes.blur.clamp(0, 0.05) * height)
    picture = _develop(picture, scenes)
    grain = sensor_noise(scenes, height, width)
    picture.add_(grain[:, None])
    return picture.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _develop(picture: Tensor, scenes: Scenes) -> Tensor:
    height, width = picture.shape[2:]
    grey = torch.maximum(scenes.grey, scenes.near_infrared)[:, None, None, None]
    luma = picture.new_tensor(_LUMA)[None, :, None, None]
    mono = (picture * luma).sum(1, keepdim=True)
    picture = picture * (1 - grey) + mono * grey
    down = torch.linspace(-1, 1, height, device=picture.device)[None, None, :, None]
    across = torch.linspace(-1, 1, width, device=picture.device)[None, None, None, :]
    vignette = 1 - scenes.vignette[:, None, None, None] * 0.5 * (down * down + across * across)
    gain = scenes.exposure * (1 - 0.88 * scenes.dark)
    picture = picture.mul_(vignette * gain[:, None, None, None]).clamp_(min=0)
    # a tone curve of rational shape: t = p (1 + k) / (1 + k p), brighter for k > 0; and contrast about 0.5
    lift = (scenes.gamma - 1).clamp(-0.6, 1.5)[:, None, None, None]
    picture = picture * (1 + lift) / (lift * picture).add_(1)
    contrast = scenes.contrast[:, None, None, None]
    return (picture - 0.45).mul_(contrast).add_(0.45)


def _blur(picture: Tensor, sigma: Tensor) -> Tensor:
    """Separable five-tap blur with its own width (pixels, (B,)) for each picture."""
    squared = (sigma * sigma).clamp(max=1.6)[:, None, None, None]
    # weights of taps at 0, 1, 2 whose variance is `squared`: a binomial pair applied twice
    side = (squared / 4).clamp(max=0.30)
    for _ in range(2):
        for axis in (2, 3):
            picture = _three_taps(picture, side, axis)
    return picture


def _three_taps(picture: Tensor, side: Tensor, axis: int) -> Tensor:
    size = picture.shape[axis]
    result = picture * (1 - 2 * side)
    scaled = picture * side
    inner, before, after = (slice(1, size), slice(0, size - 1), slice(0, 1))
    where = [slice(None)] * 4

    def part(tensor: Tensor, rows: slice) -> Tensor:
        where[axis] = rows
        return tensor[tuple(where)]

    part(result, inner).add_(part(scaled, before))
    part(result, before).add_(part(scaled, inner))
    part(result, after).add_(part(scaled, after))
    part(result, slice(size - 1, size)).add_(part(scaled, slice(size - 1, size)))
    return result


def sensor_noise(scenes: Scenes, height: int, width: int) -> Tensor:
    """(B, H, W) noise that depends on each scene's place in the noise tile only."""
    device = scenes.noise.device
    tile = noise_tile("white", device).view(TILE, TILE)
    start = (scenes.noise_at * TILE).to(torch.int64)
    rows = (start[:, :1] + torch.arange(height, device=device)) & (TILE - 1)
    columns = (start[:, 1:] + torch.arange(width, device=device)) & (TILE - 1)
    return tile[rows[:, :, None], columns[:, None, :]] * scenes.noise[:, None, None]
