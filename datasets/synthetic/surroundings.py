"""What is around the face: background, neck, clothes, ears, and things in front of it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ferbench.datasets.synthetic.brush import bump, edge, noise_at, paint, ramp
from ferbench.datasets.synthetic.head import Camera
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes


def background(scenes: Scenes, height: int, width: int) -> Tensor:
    """(B, 3, H, W): a coarse grid of colours, from smooth blobs to hard-edged clutter."""
    grid = functional.interpolate(scenes.background, size=(height, width), mode="bilinear", align_corners=True)
    steps = scenes.clutter[:, None, None, None]
    level = grid.mean(1, keepdim=True)
    hard = (level * 4 + 0.5).floor().mul_(0.25).div_(level.clamp_(min=0.05)).mul(grid)
    return grid.add_((hard - grid).mul_(0.8 * steps))


def paint_body(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, skin: Tensor, face: Identities,
               scenes: Scenes, camera: Camera) -> None:  # fmt: skip
    """Neck, shoulders and clothes. `skin` is (B, 3, 1, 1)."""
    dx = px - 0.10 * camera.sin_yaw
    across = dx / (0.62 + 0.10 * ramp(py, 1.5, 2.4))
    neck = edge(1 - across.abs(), 0.04 + pixel).mul_((py > 0.6).float())
    round_ = (1 - 0.30 * across.square()).clamp(min=0.3)
    side = 1 - 0.5 * scenes.light[:, 0, None, None] * -across.clamp(-1, 1)
    under = 0.50 + 0.30 * ramp(py, face.chin + 0.05, face.chin + 0.6)
    brightness = scenes.ambient[:, :, None, None] + 0.75 * scenes.key[:, :, None, None]
    paint(canvas, neck, skin * (round_ * side * under)[:, None] * brightness)
    shoulder = py - 2.05 + 0.36 * ramp(dx.abs(), 0.10, 0.70) - 0.30 * (dx.abs() - 0.75).clamp(min=0)
    cloth = noise_at("smooth", px * 12 + 512, py * 12 + 512).mul_(0.05).add_(0.85)
    opening = ramp(shoulder, 0.16, 0.10).mul_((scenes.collar > 0.5).float()[:, None, None])
    fabric = scenes.clothes[:, :, None, None] * cloth[:, None]
    fabric = fabric + (0.85 - fabric) * (0.8 * opening)[:, None]
    paint(canvas, edge(shoulder, 0.03 + pixel), fabric * brightness)


def paint_ears(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, skin: Tensor, face: Identities,
               scenes: Scenes, camera: Camera) -> None:  # fmt: skip
    brightness = (scenes.ambient + 0.6 * scenes.key)[:, :, None, None]
    for side in (-1.0, 1.0):
        centre = side * (face.width + 0.01) * camera.cos_yaw - 0.05 * camera.sin_yaw
        level = 0.18 * camera.cos_pitch + 0.05 * camera.sin_pitch
        dx, dy = (px - centre) / 0.13, (py - level) / 0.31
        radius = (dx * dx + dy * dy).sqrt_()
        inner = bump(dx + 0.15 * side, dy, 0.75, 0.75)
        tone = skin * (0.85 - 0.35 * inner)[:, None] * brightness
        paint(canvas, edge(1 - radius, 0.1 + pixel * 5), tone)


def paint_occluder(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, scenes: Scenes) -> None:
    """A hand, a microphone: one shaded blob."""
    at = scenes.occluder_at[:, :, None, None]
    dx, dy = (px - at[:, 0]) / at[:, 2], (py - at[:, 1]) / at[:, 3]
    radius = dx * dx + dy * dy
    cover = edge(1 - radius, 0.1 + 4 * pixel).mul_(scenes.occluder[:, None, None])
    tone = (1.05 - 0.35 * radius.clamp(max=1) - 0.15 * dx * scenes.light[:, 0, None, None]).clamp(min=0.1)
    paint(canvas, cover, scenes.occluder_colour[:, :, None, None] * tone[:, None])
