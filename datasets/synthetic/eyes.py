"""Eyes, lids, lashes, brows and glasses, painted on the face."""

from __future__ import annotations

import torch
from torch import Tensor

from ferbench.datasets.synthetic.brush import band, bump, edge, noise_at, paint, ramp, stroke
from ferbench.datasets.synthetic.face_shape import FaceShape
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes


def lid_curves(along: Tensor, face: Identities, shape: FaceShape) -> tuple[Tensor, Tensor, Tensor]:
    """y of the upper and lower lid against `along`, -1 at the inner to 1 at the outer corner, and 1 - along^2."""
    hill = (1 - along * along).clamp(min=0)
    axis = face.eye_y - face.eye_tilt * along
    peak = hill * (1.18 - 0.18 * hill) * (1 - 0.14 * along)
    return axis - shape.lid_up * peak, axis + shape.lid_low * hill * (1 + 0.12 * along), hill


def paint_eyes(canvas: Tensor, x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape,
               scenes: Scenes) -> None:  # fmt: skip
    """Eyeballs, lids and lash lines on canvas (B, 3, H, W); x, y (B, H, W), the rest (B, 1, 1)."""
    ax = x.abs()
    along = (ax - face.eye_x) / face.eye_half
    upper, lower, hill = lid_curves(along, face, shape)
    open_by = torch.minimum(y - upper, lower - y)
    within = (hill > 0).float()
    opening = edge(open_by, soft).mul_(within)
    _paint_lids(canvas, ax, y, along, upper, lower, hill, soft, face, shape)
    _paint_ball(canvas, x, y, along, upper, opening, soft, face, scenes)
    width = 0.020 + 0.5 * soft
    reach = ramp(hill, -0.02, 0.25)
    lashes = stroke(y - upper, width * (1 + 0.4 * face.lash)).mul_(reach).mul_(face.lash)
    lashes = lashes.maximum(stroke(y - lower, width).mul_(reach).mul_(0.30 * face.lash))
    paint(canvas, lashes.clamp_(max=0.95), 0.07)


def _paint_lids(canvas: Tensor, ax: Tensor, y: Tensor, along: Tensor, upper: Tensor, lower: Tensor, hill: Tensor,
                soft: Tensor, face: Identities, shape: FaceShape) -> None:  # fmt: skip
    wide = (1.15 - along * along).clamp(min=0)
    fold = upper - (0.055 + 0.25 * (0.09 - shape.lid_up).clamp(min=0)) * wide
    crease = stroke(y - fold, 0.018 + 0.6 * soft).mul_((wide * 2).clamp(max=1)).mul_(0.35 * face.crease)
    bag = stroke(y - (lower + (0.075 + 0.02 * shape.squint) * wide), 0.030 + 0.5 * soft)
    bag = bag.mul_((wide * 1.6).clamp(max=1)).mul_(0.10 + 0.16 * face.age + 0.34 * shape.squint)
    lidded = ramp(y, fold, fold + 0.02).mul_((hill > 0).float()).mul_((y < lower).float()).mul_(face.shadow)
    nook = bump(ax - (face.eye_x - 0.27), y - (face.eye_y - 0.03), 0.12, 0.16).mul_(0.16)
    dark = crease.maximum(bag).maximum(lidded.mul_(0.7)).add_(nook)
    dark.add_(bump(ax - face.eye_x - 0.03, y - face.eye_y + 0.06, 0.40, 0.26).mul_(0.26))
    canvas.mul_((1 - dark)[:, None])


def _paint_ball(canvas: Tensor, x: Tensor, y: Tensor, along: Tensor, upper: Tensor, opening: Tensor, soft: Tensor,
                face: Identities, scenes: Scenes) -> None:  # fmt: skip
    lit = 0.68 - 0.26 * along * along
    lit *= ramp(y - upper, -0.035, 0.060).mul_(0.45).add_(0.55)
    white = torch.stack([lit, lit * 0.96, lit * 0.93], dim=1)
    gaze_x, gaze_y = 0.055 * scenes.gaze_x[:, None, None], 0.03 * scenes.gaze_y[:, None, None]
    dx = (x.abs() - face.eye_x) - torch.where(x < 0, -gaze_x, gaze_x)
    dy = y - (face.eye_y - 0.016 + gaze_y)
    radius = (dx * dx + dy * dy).sqrt_()
    infrared = scenes.near_infrared[:, None, None]
    iris = face.iris + (0.62 - face.iris) * (0.75 * infrared[:, None])
    disc = edge(face.iris_radius - radius, soft)
    rim = 1 - 0.45 * ramp(radius, 0.6 * face.iris_radius, face.iris_radius)
    paint(white, disc, iris * rim[:, None])
    paint(white, edge(0.040 - radius, soft), 0.03)
    spot_x = torch.where(x < 0, -1.0, 1.0) * (0.035 * scenes.light[:, 0, None, None])
    glint = bump(dx - spot_x, dy + 0.03, 0.03 + 0.7 * soft, 0.03 + 0.7 * soft)
    paint(white, glint.mul_(0.8), 1.0)
    paint(canvas, opening, white)


def brow_curve(s: Tensor, shape: FaceShape) -> Tensor:
    """y of the brow's middle line, s from 0 (nose) to 1 (temple)."""
    back = 1 - s
    return shape.brow_y + shape.brow_inner * back * back + shape.brow_outer * s - shape.brow_arch * 4 * s * back


def paint_brows(canvas: Tensor, x: Tensor, y: Tensor, soft: Tensor, face: Identities, shape: FaceShape) -> None:
    s = (x.abs() - shape.brow_in) / (shape.brow_out - shape.brow_in)
    inside = s.clamp(0, 1)
    skew = torch.where(x < 0, -0.5, 0.5) * face.brow_skew
    distance = y - brow_curve(inside, shape) - skew
    half = face.brow_thick * (1 - 0.6 * inside)
    hairs = noise_at("white", x * 22 + 512 + 256 * face.texture[:, 0:1, 0], y * 30 + x.abs() * 12 + 512)
    cover = edge(half - distance.abs_(), 0.035 + 0.7 * soft)
    cover.mul_(ramp(s, -0.08, 0.12)).mul_(ramp(s, 1.06, 0.85))
    cover.mul_(hairs.mul_(0.13).add_(0.95).clamp_(0.4, 1)).mul_(face.brow_dense)
    paint(canvas, cover, face.hair * 0.72)


def paint_glasses(canvas: Tensor, x: Tensor, y: Tensor, soft: Tensor, face: Identities, scenes: Scenes) -> None:
    """Frames over everything else on the face, with a faint reflection."""
    dx = (x.abs() - (face.eye_x + 0.02)) / face.frame_half
    dy = (y - (face.eye_y + 0.035)) / (face.frame_half * 0.78)
    radius = (dx.square().square_() + dy.square().square_()).sqrt_().sqrt_()
    away = (radius - 1) * face.frame_half
    rim = band(away, face.frame_width, soft)
    bridge = band(y - (face.eye_y - 0.03), face.frame_width * 0.8, soft).mul_((x.abs() < 0.2).float())
    temple = band(y - (face.eye_y - 0.04), face.frame_width * 0.8, soft)
    temple.mul_((x.abs() > face.eye_x + face.frame_half).float())
    cover = rim.maximum(bridge.mul_((radius > 1).float())).maximum(temple).mul_(face.glasses)
    sheen = bump(dx + 0.3 * scenes.light[:, 0, None, None], dy + 0.35, 0.6, 0.5).mul_(0.16 * face.glasses)
    paint(canvas, sheen, 0.9)
    paint(canvas, cover.mul_(0.92), (0.05 + 0.75 * face.frame_shade)[:, None].expand(-1, 3, -1, -1))
