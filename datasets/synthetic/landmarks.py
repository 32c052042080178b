"""Where the points of a face lie in its picture: 68 points in the order of iBUG 300-W.

Sagonas et al., 300 Faces in-the-Wild Challenge, 2016: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47,
outer lips 48-59, inner lips 60-67; "left" first, as seen in the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ferbench.datasets.synthetic.eyes import brow_curve, lid_curves
from ferbench.datasets.synthetic.face_shape import FaceShape, deform
from ferbench.datasets.synthetic.head import camera_of, front_depth, project, section
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.mouth import lip_curves
from ferbench.datasets.synthetic.relief import coarse_height
from ferbench.datasets.synthetic.scene import Scenes

NUM_LANDMARKS = 68
JAW, BROWS, NOSE = slice(0, 17), slice(17, 27), slice(27, 36)
EYES, OUTER_LIPS, INNER_LIPS = slice(36, 48), slice(48, 60), slice(60, 68)


def landmarks(identities: Identities, units: Tensor, scenes: Scenes, size: int | tuple[int, int] = 64) -> Tensor:
    """(B, 68, 2) float32 positions in pixels of pictures of `size` (H, W): x, y; the first pixel's middle is 0, 0."""
    height, width = (size, size) if isinstance(size, int) else size
    camera = camera_of(scenes, width / height)
    shape = deform(identities, units).map(lambda value: value[:, None])
    face = identities.map(lambda value: value[:, None] if value.dim() == 1 else value)
    parts = [_jaw(face, shape), _brows(face, shape), _nose(shape), _eyes(face, shape), _lips(face, shape)]
    x = torch.cat([part[0] for part in parts], dim=1)
    y = torch.cat([part[1] for part in parts], dim=1)
    z = front_depth(x, y, face, shape.chin) + coarse_height(x.abs(), y, face, shape)
    z[:, JAW] = 0.55 * z[:, JAW]
    return project(x, y, z, camera, height)


def _spread(like: Tensor, *values: float) -> Tensor:
    return like.new_tensor(values)[None, :]


def _jaw(face: Identities, shape: FaceShape) -> tuple[Tensor, Tensor]:
    turn = torch.linspace(-1, 1, 17, device=face.chin.device)[None, :]
    down = 1 - turn.abs()
    y = shape.chin * 0.99 * down * (1.75 - 0.75 * down)
    across, _ = section(y, face.width, face.top, shape.chin, face.jaw, face.depth)
    reach = across.sqrt() * turn.sign() * (down < 0.999)
    near_chin = (turn.abs() * 2.2).clamp(max=1.0)
    return reach * (0.55 + 0.45 * near_chin), y


def _brows(face: Identities, shape: FaceShape) -> tuple[Tensor, Tensor]:
    s = _spread(face.chin, 0.95, 0.72, 0.48, 0.24, 0.02)
    x = shape.brow_in + s * (shape.brow_out - shape.brow_in)
    y = brow_curve(s, shape)
    half = 0.5 * face.brow_skew
    return torch.cat([-x, x.flip(1)], dim=1), torch.cat([y - half, y.flip(1) + half], dim=1)


def _nose(shape: FaceShape) -> tuple[Tensor, Tensor]:
    tip, width = shape.nose_tip, shape.nose_width
    bridge_y = tip * _spread(tip, 0.0, 0.33, 0.67, 1.0)
    base_x = width * _spread(tip, -0.9, -0.45, 0.0, 0.45, 0.9)
    base_y = tip + _spread(tip, 0.08, 0.12, 0.14, 0.12, 0.08)
    return torch.cat([torch.zeros_like(bridge_y), base_x], dim=1), torch.cat([bridge_y, base_y], dim=1)


def _eyes(face: Identities, shape: FaceShape) -> tuple[Tensor, Tensor]:
    # left eye: outer corner, two on the upper lid, inner corner, two on the lower lid; then the right eye
    along = _spread(face.chin, 1.0, 0.35, -0.35, -1.0, -0.35, 0.35)
    upper, lower, _ = lid_curves(along, face, shape)
    y = torch.cat([upper[:, :4], lower[:, 4:]], dim=1)
    x = face.eye_x + along * face.eye_half
    order = [3, 2, 1, 0, 5, 4]
    return torch.cat([-x, x[:, order]], dim=1), torch.cat([y, y[:, order]], dim=1)


def _lips(face: Identities, shape: FaceShape) -> tuple[Tensor, Tensor]:
    outer = _spread(face.chin, -1.0, -0.62, -0.24, 0.0, 0.24, 0.62, 1.0, 0.62, 0.24, 0.0, -0.24, -0.62)
    inner = _spread(face.chin, -0.86, -0.4, 0.0, 0.4, 0.86, 0.4, 0.0, -0.4)
    along = torch.cat([outer, inner], dim=1).expand(len(shape), -1)
    x = along * torch.where(along < 0, shape.mouth_left, shape.mouth_right)
    lips = lip_curves(x, face, shape)
    y = torch.cat(
        [
            lips.line[:, 0:1], lips.upper_top[:, 1:6], lips.line[:, 6:7], lips.lower_bottom[:, 7:12],
            lips.line[:, 12:13], lips.upper_bottom[:, 13:16], lips.line[:, 16:17], lips.lower_top[:, 17:20],
        ],
        dim=1,
    )  # fmt: skip
    return x, y
