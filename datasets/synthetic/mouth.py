"""Lips, teeth, tongue, nostrils and the hair around the mouth, painted on the face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ferbench.datasets.synthetic.brush import bump, edge, noise_at, paint, ramp, stroke
from ferbench.datasets.synthetic.face_shape import FaceShape
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes


@dataclass
class LipCurves:
    """y of the lips' outlines; `hill` is 1 in the middle and 0 at the corners, `along` -1 to 1."""

    along: Tensor
    hill: Tensor
    line: Tensor
    upper_top: Tensor
    upper_bottom: Tensor
    lower_top: Tensor
    lower_bottom: Tensor


def lip_curves(x: Tensor, face: Identities, shape: FaceShape) -> LipCurves:
    left = x < 0
    along = x / torch.where(left, shape.mouth_left, shape.mouth_right)
    square = (along * along).clamp_(max=1.1)
    hill = (1 - square).clamp(min=0)
    corner = torch.where(left, shape.corner_left, shape.corner_right)
    line = shape.mouth_y + square * (corner + shape.droop * square * square)
    peak = (1 - along.abs()).clamp_(min=0)
    bow = (1 - (along * 4.0).square_()).clamp_(min=0) * face.cupid
    full = hill * (1.7 - 0.7 * hill)
    gap_low = shape.gap_low * (full + shape.jaw * (hill.sqrt() - full) * 0.6)
    upper_bottom = line - shape.gap_up * full
    upper_top = upper_bottom - shape.lip_up * (0.45 * hill + 0.65 * peak - 0.35 * bow).clamp(min=0)
    lower_top = line + gap_low
    lower_bottom = lower_top + shape.lip_low * full
    return LipCurves(along, hill, line, upper_top, upper_bottom, lower_top, lower_bottom)


def paint_mouth(canvas: Tensor, x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape) -> None:
    """Lips, and behind them teeth and tongue, on canvas (B, 3, H, W); x, y (B, H, W), the rest (B, 1, 1)."""
    lips = lip_curves(x, face, shape)
    within = (lips.hill > 0).float()
    upper = edge(torch.minimum(y - lips.upper_top, lips.upper_bottom - y), 0.02 + soft).mul_(within)
    lower = edge(torch.minimum(y - lips.lower_top, lips.lower_bottom - y), 0.02 + soft).mul_(within)
    thinned = 1 - 0.35 * shape.press
    paint(canvas, upper.mul_(0.85 * thinned), face.lip * 0.86)
    gloss = bump(lips.along, (y - lips.lower_top) / shape.lip_low.clamp(min=0.02) - 0.45, 0.5, 0.5)
    paint(canvas, lower.mul_(0.85 * thinned), face.lip * (1 + 0.16 * gloss[:, None]))
    opening = edge(torch.minimum(y - lips.upper_bottom, lips.lower_top - y), soft).mul_(within)
    opening.mul_(ramp(shape.gap_up + shape.gap_low, 0.0, 0.04))
    paint(canvas, opening, _cavity(x, y, lips, soft, face, shape))
    seam = stroke(y - lips.line, 0.022 + 0.6 * soft).mul_(ramp(lips.hill, -0.02, 0.2))
    seam.mul_((0.72 + 0.15 * shape.press) * (1 - ramp(shape.gap_up + shape.gap_low, 0.01, 0.06)))
    canvas.mul_((1 - seam)[:, None])


def _cavity(x: Tensor, y: Tensor, lips: LipCurves, soft: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """Colours (B, 3, H, W) of what an open mouth shows."""
    dark = torch.full_like(y, 0.09)
    inside = torch.stack([dark * 1.9, dark, dark * 0.95], dim=1)
    tongue = bump(x, y - (lips.lower_top + 0.03), 0.8 * shape.mouth_left, 0.20).mul_(0.75 * shape.jaw)
    paint(inside, tongue, face.lip * 0.62)
    side = 1 - 0.55 * lips.along * lips.along
    tone = side[:, None] * face.lip.new_tensor([0.93, 0.91, 0.86])[None, :, None, None]
    arch = face.mouth_y + 0.045 + (lips.line - shape.mouth_y) * 0.7
    upper_teeth = edge(arch - y, soft).mul_(ramp(lips.hill, 0.05, 0.35))
    paint(inside, upper_teeth.mul_(0.95), tone)
    shown = 0.02 + 0.05 * shape.stretch
    lower_teeth = edge(y - (lips.lower_top - shown), soft).mul_(ramp(lips.hill, 0.25, 0.6)).mul_(0.85)
    paint(inside, lower_teeth, tone * 0.85)
    return inside


def paint_nostrils(canvas: Tensor, x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape) -> None:
    ax = x.abs()
    base = shape.nose_tip + 0.095
    hole = bump(
        ax - 0.40 * shape.nose_width,
        y - base + 0.25 * (ax - 0.1).square(),
        0.085 + 0.5 * soft,
        0.042 + 0.6 * soft,
    )
    dx, dy = ax - 0.80 * shape.nose_width, y - (shape.nose_tip + 0.02)
    ring = (dx * dx + dy * dy).sqrt_() - 0.32 * shape.nose_width
    wing = stroke(ring, 0.028 + 0.6 * soft).mul_((dx > -0.02).float()).mul_(0.30)
    under = bump(ax, y - (base + 0.055), 0.85 * shape.nose_width, 0.10).mul_(0.12)
    canvas.mul_((1 - hole.mul_(0.62).maximum(wing).maximum(under))[:, None])


def paint_beard(canvas: Tensor, x: Tensor, y: Tensor, face: Identities, shape: FaceShape, scenes: Scenes) -> None:
    """Stubble, moustache and beard; moves with lips and jaw."""
    ax = x.abs()
    lips = lip_curves(x, face, shape)
    border = 0.72 + 0.35 * (ax - 0.6) - 1.4 * (ax - 0.72).clamp(min=0)
    cheek = ramp(y - border, -0.08, 0.18)
    clear = ramp(torch.maximum(lips.upper_top - y, y - lips.lower_bottom), 0.0, 0.06)
    clear = clear.maximum((lips.hill <= 0).float())
    top = shape.nose_tip + 0.17
    strip = ramp(y, top - 0.03, top + 0.06).mul_(ramp(lips.line + 0.06 - y, -0.03, 0.05)).mul_(ramp(ax, 0.62, 0.44))
    grain = noise_at("white", x * 20 + 512 + 256 * face.texture[:, 1:2, 0], y * 14 + 512)
    lower_face = cheek * clear
    beard = torch.maximum(lower_face * (face.beard * ramp(y + 0.35 * ax, 0.95, 1.15)), strip * clear * face.moustache)
    beard.mul_(grain.mul_(0.14).add_(0.92).clamp_(0.3, 1))
    light = 1 - 0.7 * scenes.near_infrared[:, None, None]
    stubble = torch.maximum(lower_face, strip * clear).mul_(face.stubble * 0.55 * light)
    paint(canvas, beard.maximum(stubble), face.hair * 0.85 + 0.03)
