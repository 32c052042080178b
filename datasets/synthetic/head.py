"""The head as a solid under an orthographic camera: picture to surface and surface to picture.

Each horizontal section of the head is an ellipse whose half axes shrink towards crown and chin. A picture
point is turned back by roll, pitch and yaw and met with that ellipse in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ferbench.datasets.synthetic.face_shape import FaceShape
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.scene import Scenes

UNIT = 0.368  # height of one face unit, as a fraction of the picture's height, at zoom 1
EYE_LINE = 0.39  # where the eyes of a frontal face lie
_ANCHOR_Y, _ANCHOR_Z = 0.5, 1.0  # the point that stays put when the head turns, as in an aligned crop


@dataclass
class Camera:
    """Pose as numbers; tensors are (B, 1, 1)."""

    sin_yaw: Tensor
    cos_yaw: Tensor
    sin_pitch: Tensor
    cos_pitch: Tensor
    sin_roll: Tensor
    cos_roll: Tensor
    unit: Tensor  # picture heights a face unit
    centre_x: Tensor  # of the picture, where the anchor lies, in picture heights
    centre_y: Tensor
    anchor_x: Tensor  # the anchor after turning, in face units
    anchor_y: Tensor


def camera_of(scenes: Scenes, aspect: float) -> Camera:
    """The camera of scenes (B) for pictures of width / height `aspect`."""

    def turn(angle: Tensor, limit: float) -> tuple[Tensor, Tensor]:
        exact = angle.double().clamp(-limit, limit)[:, None, None]  # float64: the same bits in a batch of any size
        return exact.sin().float(), exact.cos().float()

    sin_yaw, cos_yaw = turn(scenes.yaw, 0.9)
    sin_pitch, cos_pitch = turn(scenes.pitch, 0.6)
    sin_roll, cos_roll = turn(scenes.roll, 3.2)
    return Camera(
        sin_yaw, cos_yaw, sin_pitch, cos_pitch, sin_roll, cos_roll,
        unit=UNIT * scenes.zoom.clamp(0.3, 3.0)[:, None, None],
        centre_x=0.5 * aspect + scenes.shift_x[:, None, None],
        centre_y=EYE_LINE + _ANCHOR_Y * UNIT + scenes.shift_y[:, None, None],
        anchor_x=_ANCHOR_Z * sin_yaw,
        anchor_y=_ANCHOR_Y * cos_pitch - _ANCHOR_Z * cos_yaw * sin_pitch,
    )  # fmt: skip


def picture_points(camera: Camera, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(B, H, W) face-unit coordinates of the pixels in upright camera axes (roll undone)."""
    device = camera.unit.device
    across = (torch.arange(width, device=device, dtype=torch.float32) + 0.5).div(height)[None, None, :]
    down = (torch.arange(height, device=device, dtype=torch.float32) + 0.5).div(height)[None, :, None]
    dx, dy = (across - camera.centre_x) / camera.unit, (down - camera.centre_y) / camera.unit
    x = dx * camera.cos_roll + dy * camera.sin_roll + camera.anchor_x
    y = dy * camera.cos_roll - dx * camera.sin_roll + camera.anchor_y
    return x, y


def section(y: Tensor, width: Tensor, top: Tensor, chin: Tensor, jaw: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
    """Half axes squared (across, deep) of the head's section at height y."""
    below = y > 0
    t = y / torch.where(below, chin, top)
    t = t.square_()
    bulge = torch.where(below, jaw, jaw.new_tensor(0.15))
    across = (t - 1).mul_(bulge).add_(1).mul_(t)  # (1 - bulge) t + bulge t^2
    across = across.neg_().add_(1).clamp_(min=2e-3).mul_(width * width)
    deep = (t * t).mul_(-0.97).add_(1).clamp_(min=2e-3).mul_(depth * depth)
    return across, deep


@dataclass
class Surface:
    """What the pixels (B, H, W) see of the bare head: head coordinates, depth, distance inside the outline."""

    x: Tensor
    y: Tensor
    z: Tensor
    depth: Tensor  # towards the camera, after turning
    inside: Tensor  # > 0 within the outline, in face units


def see_head(px: Tensor, py: Tensor, face: Identities, shape: FaceShape, camera: Camera) -> Surface:
    """Meet the rays of picture points with the head. `face` and `shape` hold (B, 1, 1) tensors."""
    steep = (py / shape.chin).square_().square_().mul_(0.97)
    guess = (px / face.width).square_().add_(steep).neg_().add_(1).clamp_(min=0.05).sqrt_()
    y = guess.mul_(camera.sin_pitch * face.depth).add_(py * camera.cos_pitch)
    across, deep = section(y, face.width, face.top, shape.chin, face.jaw, face.depth)
    s, c = camera.sin_yaw, camera.cos_yaw
    outline2 = across * (c * c) + deep * (s * s)
    root = (outline2 - px * px).clamp_(min=0).mul_(across * deep).sqrt_()
    ray = (deep - across).mul_(px).mul_(c * s).add_(root).div_(outline2)
    x = px * c - ray * s
    z = px * s + ray * c
    inside = outline2.sqrt_().sub_(px.abs())
    depth = ray * camera.cos_pitch + y * camera.sin_pitch
    return Surface(x, y, z, depth, inside)


def front_depth(x: Tensor, y: Tensor, face: Identities, chin: Tensor) -> Tensor:
    """z of the bare head's front at head coordinates; shapes broadcast."""
    across, deep = section(y, face.width, face.top, chin, face.jaw, face.depth)
    return (1 - x * x / across).clamp(min=0.02).mul(deep).sqrt()


def project(x: Tensor, y: Tensor, z: Tensor, camera: Camera, height: int) -> Tensor:
    """(B, L, 2) pixels of head coordinates (B, L)."""
    sin_yaw, cos_yaw = camera.sin_yaw[:, :, 0], camera.cos_yaw[:, :, 0]
    sin_pitch, cos_pitch = camera.sin_pitch[:, :, 0], camera.cos_pitch[:, :, 0]
    sin_roll, cos_roll = camera.sin_roll[:, :, 0], camera.cos_roll[:, :, 0]
    turned = z * cos_yaw - x * sin_yaw
    dx = x * cos_yaw + z * sin_yaw - camera.anchor_x[:, :, 0]
    dy = y * cos_pitch - turned * sin_pitch - camera.anchor_y[:, :, 0]
    unit = camera.unit[:, :, 0]
    across = (dx * cos_roll - dy * sin_roll) * unit + camera.centre_x[:, :, 0]
    down = (dx * sin_roll + dy * cos_roll) * unit + camera.centre_y[:, :, 0]
    return torch.stack([across, down], dim=-1) * height - 0.5
