"""From light to bytes: exposure, tone, blur, sensor noise, monochrome and near-infrared pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from ferbench.datasets.synthetic.brush import TILE, noise_tile
from ferbench.datasets.synthetic.scene import Scenes

_LUMA = (0.299, 0.587, 0.114)


def photograph(picture: Tensor, scenes: Scenes) -> Tensor:
    """uint8 (B, 3, H, W) from light (B, 3, H, W); changes `picture`."""
    height, width = picture.shape[2:]
    picture = _blur(picture, scenes.blur.clamp(0, 0.05) * height)
    picture = _develop(picture, scenes)
    picture.add_(sensor_noise(scenes, height, width).mul_(255)[:, None])
    return picture.clamp_(0, 255).to(torch.uint8)


def _develop(picture: Tensor, scenes: Scenes) -> Tensor:
    """Tones 0 to 255, rounding included, from light."""
    height, width = picture.shape[2:]
    without_colour = torch.maximum(scenes.grey, scenes.near_infrared).nonzero().flatten()
    if len(without_colour):
        part = picture[without_colour]
        mono = part[:, 0] * _LUMA[0] + part[:, 1] * _LUMA[1] + part[:, 2] * _LUMA[2]
        picture[without_colour] = mono[:, None].expand_as(part)
    down = torch.linspace(-1, 1, height, device=picture.device)[None, None, :, None]
    across = torch.linspace(-1, 1, width, device=picture.device)[None, None, None, :]
    gain = (scenes.exposure * (1 - 0.88 * scenes.dark))[:, None, None, None]
    vignette = 1 - scenes.vignette[:, None, None, None] * 0.5 * (down * down + across * across)
    picture.mul_(vignette.mul_(gain)).clamp_(min=0)
    # a tone curve of rational shape: p (1 + k) / (1 + k p), brighter for k > 0; then contrast about 0.45
    lift = (scenes.gamma - 1).clamp(-0.6, 1.5)[:, None, None, None]
    contrast = 255 * scenes.contrast[:, None, None, None]
    picture.div_((lift * picture).add_(1)).mul_((1 + lift) * contrast)
    return picture.add_(0.45 * 255 + 0.5 - 0.45 * contrast)


def _blur(picture: Tensor, sigma: Tensor) -> Tensor:
    """Separable blur with its own width for each picture: `sigma` (B,), in pixels."""
    variance = sigma * sigma
    picture = _spread(picture, (0.5 * variance).clamp(max=0.28))
    wide = (variance > 0.56).nonzero().flatten()
    if len(wide):
        picture[wide] = _spread(picture[wide], (0.5 * variance[wide] - 0.28).clamp(max=0.33))
    return picture


def _spread(picture: Tensor, side: Tensor) -> Tensor:
    """Three taps along both axes, `side` (B,) the weight of each neighbour; edges are repeated."""
    side = side[:, None, None, None]
    scaled, result = picture * side, picture * (1 - 2 * side)
    result[:, :, 1:].add_(scaled[:, :, :-1])
    result[:, :, :-1].add_(scaled[:, :, 1:])
    result[:, :, 0].add_(scaled[:, :, 0])
    result[:, :, -1].add_(scaled[:, :, -1])
    torch.mul(result, side, out=scaled)
    result.mul_(1 - 2 * side)
    result[..., 1:].add_(scaled[..., :-1])
    result[..., :-1].add_(scaled[..., 1:])
    result[..., 0].add_(scaled[..., 0])
    result[..., -1].add_(scaled[..., -1])
    return result


def sensor_noise(scenes: Scenes, height: int, width: int) -> Tensor:
    """(B, H, W) noise that depends on each scene's place in the noise tile only."""
    device = scenes.noise.device
    tile = noise_tile("white", device).view(TILE, TILE)
    start = (scenes.noise_at * TILE).to(torch.int64)
    rows = (start[:, :1] + torch.arange(height, device=device)) & (TILE - 1)
    columns = (start[:, 1:] + torch.arange(width, device=device)) & (TILE - 1)
    return tile[rows[:, :, None], columns[:, None, :]] * scenes.noise[:, None, None]
