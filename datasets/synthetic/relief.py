"""The relief of the face - nose, brows, sockets, cheeks, lips, chin - and how light falls on it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ferbench.datasets.synthetic.brush import bump, ramp
from ferbench.datasets.synthetic.face_shape import FaceShape
from ferbench.datasets.synthetic.head import UNIT, Camera, Surface
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes


def nose_height(ax: Tensor, y: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """Height of the nose over the face, in face units; ax is |x|."""
    tip = shape.nose_tip
    along = ramp(y, -0.12, tip)
    half = (along * along).mul_(0.78 * shape.nose_width - face.nose_bridge).add_(face.nose_bridge).mul_(1.65)
    across = (ax / half).square_().neg_().add_(1).clamp_(min=0)
    across = across * across * (1.6 - 0.6 * across)
    fall = ramp(y, tip + 0.15, tip + 0.01)
    fall = fall * fall * (3 - 2 * fall)
    rise = ramp(y, -0.34, -0.10)
    height = along.mul_(0.78).add_(0.22).mul_(across).mul_(fall).mul_(rise)
    return height.mul_(face.nose_height)


def coarse_height(ax: Tensor, y: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """What is high enough to shift under a turned head: nose, lips and chin."""
    height = nose_height(ax, y, face, shape)
    height += bump(ax, y - (shape.mouth_y + 0.02), 0.55, 0.42).mul_(0.075)
    height += bump(ax, y - (shape.chin - 0.20), 0.36, 0.28).mul_(0.09)
    return height


def fine_height(x: Tensor, ax: Tensor, y: Tensor, face: Identities, shape: FaceShape) -> Tensor:
    """The rest of the relief, raised and lowered by action units."""
    left = x < 0
    nose_x = 0.70 * shape.nose_width
    lowered = shape.frown * 0.05
    height = bump(ax - nose_x, y - (shape.nose_tip + 0.035), 0.42 * shape.nose_width, 0.105).mul_(0.09)
    height += bump(ax, y - shape.nose_tip, 0.15, 0.13).mul_(0.035)
    height -= bump(ax - (face.eye_x - 0.03), y - (face.eye_y - 0.05), 0.36, 0.25).mul_(face.socket)
    height += bump(ax - face.eye_x, y - face.eye_y, 0.24, 0.16).mul_(0.055)
    height += bump(ax - 0.40, y - (shape.brow_y + 0.02), 0.44, 0.15).mul_(0.030 + lowered)
    height += bump(ax - 0.11, y - (shape.brow_y + 0.10), 0.10, 0.14).mul_(0.9 * lowered)
    height -= bump(ax, y - (shape.brow_y + 0.02), 0.06, 0.16).mul_(0.6 * lowered)
    cheek = torch.where(left, shape.cheek_left, shape.cheek_right)
    height += bump(ax - 0.56, y - (0.46 - 0.10 * cheek), 0.40, 0.34).mul_(face.cheek + 0.115 * cheek)
    height -= bump(ax - 0.66, y - 0.92, 0.30, 0.40).mul_(0.05)
    height -= bump(ax, y - (shape.chin - 0.42), 0.34, 0.11).mul_(0.055 + 0.05 * shape.chin_boss)
    height += bump(ax, y - (shape.chin - 0.24), 0.24, 0.18).mul_(0.075 * shape.chin_boss)
    height -= bump(ax, y - (shape.nose_tip + 0.24), 0.05, 0.13).mul_(0.018)
    return height


def turn_under_relief(surface: Surface, px: Tensor, face: Identities, shape: FaceShape, camera: Camera) -> Tensor:
    """Shift head coordinates (in place) to what a pixel sees once the nose stands out; returns the coarse height."""
    shear_x = camera.sin_yaw / camera.cos_yaw.clamp(min=0.6)
    shear_y = camera.sin_pitch
    x, y = surface.x, surface.y
    height = coarse_height(x.abs(), y, face, shape)
    height = coarse_height((x - height * (0.9 * shear_x)).abs_(), y + height * (0.9 * shear_y), face, shape)
    surface.x = x - height * shear_x
    surface.y = y + height * shear_y
    return height


def slopes(depth: Tensor, pixel: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of depth (B, H, W) along the picture's rows and columns; `pixel` in face units."""
    scale = 0.5 / pixel
    gx, gy = torch.zeros_like(depth), torch.zeros_like(depth)
    torch.sub(depth[:, :, 2:], depth[:, :, :-2], out=gx[:, :, 1:-1])
    torch.sub(depth[:, 2:], depth[:, :-2], out=gy[:, 1:-1])
    gx[:, :, 0], gx[:, :, -1] = gx[:, :, 1], gx[:, :, -2]
    gy[:, 0], gy[:, -1] = gy[:, 1], gy[:, -2]
    return gx.mul_(scale).clamp_(-2, 2), gy.mul_(scale).clamp_(-2, 2)


def hollow(height: Tensor, reach: int) -> Tensor:
    """How far a point lies below its surroundings (face units): the base of ambient occlusion."""
    mean = height[:, None]
    for kernel, padding in (((1, 2 * reach + 1), (0, reach)), ((2 * reach + 1, 1), (reach, 0))):
        mean = functional.avg_pool2d(mean, kernel, stride=1, padding=padding, count_include_pad=False)
    return mean[:, 0] - height


def shade(depth: Tensor, height_map: Tensor, scenes: Scenes, pixel: Tensor, shine: Tensor) -> tuple[Tensor, Tensor]:
    """Light on a surface: factor (B, 3, H, W) for its colour, and highlight (B, H, W) to add."""
    light = scenes.light[:, :, None, None]
    lx, ly, lz = light[:, 0], light[:, 1], light[:, 2]
    gx, gy = slopes(depth, pixel)
    inverse = (gx * gx).addcmul_(gy, gy).add_(1).rsqrt_()
    side, rise = gx.mul(lx), gy.mul(ly)
    facing = (lz - side).sub_(rise).mul_(inverse)
    wrap = scenes.soft[:, None, None] * 0.7
    diffuse = ((facing + wrap) / (1 + wrap)).clamp_(min=0)
    opposite = side.sub_(rise.mul_(0.3)).add_(0.5).mul_(inverse).clamp_(min=0)
    diffuse.addcmul_(opposite, scenes.fill[:, None, None].expand_as(opposite))
    reach = max(1, round(0.17 * UNIT * depth.shape[1]))
    sunk = hollow(height_map, reach)
    open_sky = sunk.mul(-5.0).add_(1).clamp_(0.45, 1.12)
    above = gy.mul_(inverse).mul_(0.16).add_(0.94).mul_(open_sky)
    key, ambient = scenes.key[:, :, None, None], scenes.ambient[:, :, None, None]
    factor = (above[:, None] * ambient).addcmul_((diffuse * open_sky)[:, None].expand(-1, 3, -1, -1), key)
    glint = facing.clamp_(min=0).square_().square_().square_().square_()
    return factor, glint.mul_(shine).mul_(open_sky)
