"""Skin that folds: where action units and age draw lines. Returned as darkness, 0 to about 0.6."""

from __future__ import annotations

import torch
from torch import Tensor

from ferbench.datasets.synthetic.brush import bump, ramp, stroke
from ferbench.datasets.synthetic.face_shape import FaceShape
from ferbench.datasets.synthetic.identity import Identities


def forehead_lines(x: Tensor, y: Tensor, soft: Tensor, shape: FaceShape) -> Tensor:
    """Lines across the forehead; arched over the nose when only the inner brows rise."""
    ax = x.abs()
    width = 0.026 + 0.5 * soft
    wide, narrow = (
        ramp(ax, 0.66, 0.45).mul_(0.30 * shape.brow_lines),
        ramp(ax, 0.34, 0.18).mul_(0.26 * shape.inner_lines),
    )
    height = y - (shape.brow_y - 0.22)
    across, arched = height - 0.05 * ax * ax, height - 0.55 * ax * ax
    dark = torch.zeros_like(y)
    for step in range(3):
        dark = dark.maximum(stroke(across + 0.125 * step, width).mul_(wide))
        dark = dark.maximum(stroke(arched + 0.125 * step, width).mul_(narrow))
    return dark


def frown_lines(x: Tensor, y: Tensor, soft: Tensor, shape: FaceShape) -> Tensor:
    """Two upright lines between the brows."""
    ax, height = x.abs(), y - (shape.brow_y + 0.05)
    lines = stroke(ax - 0.075 - 0.05 * height, 0.026 + 0.5 * soft)
    return lines.mul_(bump(ax, height, 0.4, 0.24)).mul_(0.55 * shape.frown)


def eye_and_nose_lines(x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """Crow's feet, and the wrinkles across and beside the bridge of the nose."""
    ax = x.abs()
    width = 0.026 + 0.5 * soft
    dark = torch.zeros_like(y)
    out, down = ax - (face.eye_x + face.eye_half), y - (face.eye_y + 0.02)
    extent = ramp(ax, 0.70, 0.76).mul_(ramp(ax, 0.95, 0.84)).mul_(0.36 * shape.feet)
    for slope in (-0.55, -0.05, 0.45):
        dark = dark.maximum(stroke(down - slope * out, width).mul_(extent))
    bridge = ramp(ax, 0.20, 0.09).mul_(0.42 * shape.nose_lines)
    curved = y + 0.9 * (ax - 0.06).square_()
    for level in (0.06, 0.15, 0.24):
        dark = dark.maximum(stroke(curved - level, width).mul_(bridge))
    slant = stroke(ax - 0.10 - 0.45 * (y - 0.05), width).mul_(bump(ax - 0.15, y - 0.18, 0.2, 0.24))
    return dark.maximum(slant.mul_(0.42 * shape.nose_lines))


def mouth_wrinkles(x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """Nasolabial folds, dimples, lines below the corners, chin."""
    ax = x.abs()
    left = x < 0
    half = torch.where(left, shape.mouth_left, shape.mouth_right)
    corner = shape.mouth_y + torch.where(left, shape.corner_left, shape.corner_right)
    fold = torch.where(left, shape.fold_left, shape.fold_right)
    start_x, start_y = 1.10 * shape.nose_width, shape.nose_tip - 0.06
    t = (y - start_y) / (corner + 0.06 - start_y)
    inside = t.clamp(0, 1.1)
    curve = start_x + (half + 0.115 - start_x) * inside * (1.45 - 0.45 * inside)
    ends = ramp(t, -0.08, 0.15).mul_(ramp(t, 1.18, 0.85))
    width = 0.040 + 0.5 * soft
    dark = stroke(ax - curve, width).mul_(ends).mul_(0.50 * fold)
    dimple = torch.where(left, shape.dimple_left, shape.dimple_right)
    pit = stroke(ax - (half + 0.055) - 0.8 * (y - corner).square(), width).mul_(bump(ax - half, y - corner, 0.3, 0.17))
    dark = dark.maximum(pit.mul_(0.60 * dimple))
    droop = corner + shape.droop
    marionette = stroke(ax - (half + 0.02 + 0.25 * (y - droop)), width).mul_(
        bump(ax - half, y - droop - 0.08, 0.25, 0.16)
    )
    dark = dark.maximum(marionette.mul_(0.45 * shape.droop_lines + 0.12 * face.age))
    below = bump(ax, y - (shape.chin - 0.40), 0.30, 0.075).mul_(0.12 + 0.22 * shape.chin_boss)
    under_lip = dark.maximum(below)
    bulge = stroke(ax - 0.20 + 0.6 * (y - shape.chin + 0.25).square(), width).mul_(
        bump(ax, y - shape.chin + 0.25, 0.4, 0.2)
    )
    return under_lip.maximum(bulge.mul_(0.28 * shape.chin_boss))
