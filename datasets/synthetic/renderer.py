"""Draw faces: identities, action units and scenes in, pictures out. Batched, on any device, deterministic.

Each pixel is turned back to a point of the head (head.py), the relief of the face gives its light (relief.py),
features are painted on the skin at that point (eyes.py, mouth.py, wrinkles.py, hair.py), and a camera takes the
picture (photograph.py). Work goes in chunks that fit a processor's cache; no item depends on its batch mates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datasets.synthetic import eyes, hair, mouth, relief, surroundings, wrinkles
from datasets.synthetic.brush import bump, edge, noise_at
from datasets.synthetic.face_shape import FaceShape, deform
from datasets.synthetic.head import Surface, camera_of, picture_points, see_head
from datasets.synthetic.identity import Identities
from datasets.synthetic.landmarks import NUM_LANDMARKS, landmarks
from datasets.synthetic.photograph import photograph
from datasets.synthetic.scene import Scenes

__all__ = ["NUM_LANDMARKS", "landmarks", "render"]

_CHUNK_PIXELS = {"cpu": 1 << 16, "cuda": 1 << 22}


@torch.no_grad()
def render(identities: Identities, units: Tensor, scenes: Scenes, size: int | tuple[int, int] = 64) -> Tensor:
    """uint8 (B, 3, H, W) pictures of B faces with action units (B, A) in B scenes; `size` is H = W, or (H, W)."""
    height, width = (size, size) if isinstance(size, int) else size
    if not len(identities) == len(units) == len(scenes):
        raise ValueError(f"{len(identities)} identities, {len(units)} unit vectors, {len(scenes)} scenes: give as many")
    device = identities.width.device
    result = torch.empty((len(units), 3, height, width), dtype=torch.uint8, device=device)
    chunk = max(1, _CHUNK_PIXELS.get(device.type, 1 << 20) // (height * width))
    for start in range(0, len(units), chunk):
        rows = slice(start, start + chunk)
        result[rows] = _render_chunk(identities[rows], units[rows].to(device), scenes[rows], height, width)
    return result


def _render_chunk(identities: Identities, units: Tensor, scenes: Scenes, height: int, width: int) -> Tensor:
    shape = deform(identities, units).on_pixels()
    face = identities.on_pixels()
    camera = camera_of(scenes, width / height)
    px, py = picture_points(camera, height, width)
    pixel = 1 / (camera.unit * height)
    skin = _skin_tone(face, scenes)

    canvas = surroundings.background(scenes, height, width)
    hair.paint_back_hair(canvas, px, py, pixel, face, scenes, camera)
    surroundings.paint_body(canvas, px, py, pixel, skin, face, scenes, camera)
    surroundings.paint_ears(canvas, px, py, pixel, skin, face, scenes, camera)

    surface = see_head(px, py, face, shape, camera)
    height_map = relief.turn_under_relief(surface, px, face, shape, camera)
    x, y = surface.x, surface.y
    height_map += relief.fine_height(x, x.abs(), y, face, shape)
    depth = surface.depth.addcmul_(height_map, (camera.cos_yaw * camera.cos_pitch).expand_as(height_map))
    factor, glint = relief.shade(depth, height_map, scenes, pixel, face.shine)

    head = _paint_face(surface, pixel, skin, face, shape, scenes)
    head.mul_(factor).add_(glint[:, None])
    cover = hair.front_cover(surface, face)
    hair.paint_front_hair(head, cover, surface, face, scenes, factor)
    inside = edge(surface.inside, pixel * 1.5)[:, None]
    canvas.mul_(1 - inside).addcmul_(head, inside.expand_as(head))
    hair.paint_hat(canvas, px, py, pixel, face, scenes)
    surroundings.paint_occluder(canvas, px, py, pixel, scenes)
    return photograph(canvas, scenes)


def _skin_tone(face: Identities, scenes: Scenes) -> Tensor:
    """(B, 3, 1, 1); in near-infrared light all skins look alike and bright."""
    infrared = scenes.near_infrared[:, None, None, None]
    return face.skin + infrared * (0.68 + 0.15 * face.skin - face.skin)


def _paint_face(surface: Surface, pixel: Tensor, skin: Tensor, face: Identities, shape: FaceShape,
                scenes: Scenes) -> Tensor:  # fmt: skip
    """(B, 3, H, W) colours of the face before light."""
    x, y = surface.x, surface.y
    ax = x.abs()
    head = skin.expand(-1, -1, *x.shape[1:]).clone()
    flush = bump(ax - 0.55, y - 0.42, 0.42, 0.38).maximum(bump(ax, y - 0.5, 0.25, 0.25)).mul_(0.12 * face.ruddy)
    flush.mul_(1 - scenes.near_infrared[:, None, None])
    head[:, 1].mul_(1 - flush)
    head[:, 2].mul_(1 - flush)
    blotch = noise_at(
        "smooth", x * 14 + 512 + 256 * face.texture[:, 0:1, 0], y * 14 + 512 + 256 * face.texture[:, 1:2, 0]
    )
    dark = wrinkles.brow_wrinkles(x, y, pixel, face, shape).maximum(wrinkles.mouth_wrinkles(x, y, pixel, face, shape))
    head.mul_((1 - dark)[:, None]).mul_(blotch.mul_(0.6 * face.mottle).add_(1)[:, None])
    mouth.paint_beard(head, x, y, surface.z, face, shape, scenes)
    mouth.paint_nostrils(head, x, y, pixel, face, shape)
    mouth.paint_mouth(head, x, y, pixel, _infrared_lips(face, scenes), shape)
    eyes.paint_eyes(head, x, y, pixel, face, shape, scenes)
    eyes.paint_brows(head, x, y, pixel, face, shape)
    eyes.paint_glasses(head, x, y, pixel, face, scenes)
    return head


def _infrared_lips(face: Identities, scenes: Scenes) -> Identities:
    from dataclasses import replace

    infrared = scenes.near_infrared[:, None, None, None]
    return replace(face, lip=face.lip + infrared * (0.60 - 0.9 * face.lip))
