"""Hair on the skull, behind the head, and hats."""

from __future__ import annotations

import torch
from torch import Tensor

from ferbench.datasets.synthetic.brush import edge, noise_at, paint, ramp
from ferbench.datasets.synthetic.head import Camera, Surface
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes


def strands(x: Tensor, y: Tensor, face: Identities, fine_too: bool = True) -> Tensor:
    """Light and dark streaks (B, H, W) along hair that falls from the crown, mean 1."""
    wave = face.hair_wave * 0.5
    lean = x + wave * (y * y) * 0.25
    broad = noise_at("smooth", lean * 16 + 512 + 256 * face.texture[:, 3:4, 0], y * 5 + 512).mul_(0.16).add_(1)
    if not fine_too:
        return broad.clamp_(0.5, 1.6)
    fine = noise_at("white", lean * 26 + 512 + 256 * face.texture[:, 2:3, 0], y * 2.5 + 512)
    return fine.mul_(0.10).add_(broad).clamp_(0.5, 1.6)


def hair_colour(face: Identities, scenes: Scenes, texture: Tensor, light: Tensor) -> Tensor:
    """(B, 3, H, W) lit hair; `light` (B, H, W) or (B, 1, 1) is how much falls on it."""
    infrared = scenes.near_infrared[:, None, None, None]
    base = face.hair + infrared * (0.30 - 0.3 * face.hair)
    return base * (texture * light)[:, None] + (0.05 * texture * light)[:, None]


def paint_back_hair(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, face: Identities, scenes: Scenes,
                    camera: Camera) -> None:  # fmt: skip
    """The mass of hair around and behind the head, drawn before neck and head."""
    half = face.width * (1 + 0.12 * camera.sin_yaw.abs()) + face.hair_volume
    high = face.top + face.hair_volume
    rise = (py.clamp(max=0) / high).square_()
    flare = 0.10 * face.hair_wave * (face.hair_length > 0.6) * py.clamp(min=0)
    outline = half * (1 - rise).clamp_(min=0).sqrt_() + flare - px.abs()
    cover = edge(outline, 0.04 + pixel)
    cover.mul_(ramp(py, face.hair_length + 0.12, face.hair_length - 0.05))
    cover.mul_(1 - face.bald * ramp(py, -0.15, -0.45))
    texture = strands(px, py, face, fine_too=False)
    light = (0.45 + 0.25 * scenes.key.mean(1)[:, None, None]) * (0.75 + 0.5 * ramp(outline, 0.35, 0.0))
    paint(canvas, cover, hair_colour(face, scenes, texture, light))


def front_cover(surface: Surface, face: Identities) -> Tensor:
    """Where hair lies on the head (B, H, W)."""
    x, y = surface.x, surface.y
    ax = x.abs()
    ragged = noise_at("smooth", x * 18 + 512 + 256 * face.texture[:, 2:3, 0], y * 2 + 512).mul_(face.hair_ragged)
    line = face.hairline - face.hairline_curve * ax * ax * (1 - 0.8 * ax) + face.hair_part * x * 0.8 + ragged
    top = edge(line - y, 0.09).mul_(1 - face.bald)
    forward = face.hair_side + 0.55 * (-0.10 - y).clamp(min=0) + ragged
    side = edge(forward - surface.z, 0.08).mul_(ramp(y, face.hair_length + 0.08, face.hair_length - 0.08))
    side.mul_(1 - face.bald * ramp(y, -0.25, -0.5))
    return top.maximum(side)


def paint_front_hair(canvas: Tensor, cover: Tensor, surface: Surface, face: Identities, scenes: Scenes,
                     factor: Tensor) -> None:  # fmt: skip
    texture = strands(surface.x, surface.y, face)
    light = factor.mean(1)
    gloss = (light - 0.55).clamp_(min=0).square_().mul_(0.9 * texture).mul_(1 - 0.9 * face.hair[:, 0])
    lit = hair_colour(face, scenes, texture, light.mul_(0.9).add_(0.05))
    paint(canvas, cover, lit.add_((gloss * 0.25)[:, None]))


def paint_hat(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, face: Identities, scenes: Scenes) -> None:
    """A cap: crown of the clothes' colour and a dark brim with its edge over the forehead."""
    worn = scenes.hat[:, None, None]
    brim = -0.62 - 0.16 * (1 - px * px)
    crown = edge(brim - py, pixel + 0.01).mul_(edge(face.width + 0.14 - px.abs(), 0.05)).mul_(worn)
    fabric = scenes.clothes[:, :, None, None] * (0.75 + 0.25 * (1 - px * px).clamp(min=0))[:, None]
    paint(canvas, crown, fabric)
    lip = edge(0.07 - (py - brim).abs(), pixel + 0.02).mul_(edge(face.width + 0.05 - px.abs(), 0.05)).mul_(worn)
    paint(canvas, lip, scenes.clothes[:, :, None, None] * 0.45)
    shadow = ramp(py, brim + 0.55, brim).mul_(torch.where(py > brim, worn, 0.0 * worn))
    canvas.mul_((1 - 0.35 * shadow)[:, None])
