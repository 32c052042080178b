"""Draw faces: identities, action units and scenes in, pictures out. Batched, on any device, deterministic.

Each pixel is turned back to a point of the head (head.py), the relief of the face gives its light (relief.py),
features are painted on the skin at that point (eyes.py, mouth.py, wrinkles.py, hair.py), and a camera takes
the picture (photograph.py). Work goes in chunks that fit a processor's cache; no item depends on its batch mates.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ferbench.datasets.synthetic import eyes, hair, mouth, relief, surroundings, wrinkles
from ferbench.datasets.synthetic.brush import bump, edge, noise_at
from ferbench.datasets.synthetic.face_shape import FaceShape, deform
from ferbench.datasets.synthetic.head import Surface, camera_of, picture_points, see_head
from ferbench.datasets.synthetic.identity import Identities
from ferbench.datasets.synthetic.landmarks import NUM_LANDMARKS, landmarks
from ferbench.datasets.synthetic.photograph import photograph
from ferbench.datasets.synthetic.scene import Scenes

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
    faces, shapes = identities.on_pixels(), deform(identities, units.to(device)).on_pixels()
    chunk = max(1, _CHUNK_PIXELS.get(device.type, 1 << 20) // (height * width))
    for start in range(0, len(units), chunk):
        rows = slice(start, start + chunk)
        result[rows] = _render_chunk(faces[rows], shapes[rows], scenes[rows], height, width)
    return result


def _render_chunk(face: Identities, shape: FaceShape, scenes: Scenes, height: int, width: int) -> Tensor:
    """Like `render`, for `face` and `shape` with trailing axes for the pixels."""
    camera = camera_of(scenes, width / height)
    px, py = picture_points(camera, height, width)
    pixel = 1 / (camera.unit * height)
    skin = _skin_tone(face, scenes)

    canvas = surroundings.background(scenes, height, width)
    hair.paint_back_hair(canvas, px, py, pixel, face, scenes, camera)
    rows = Rows(py, py > -9, pixel)
    low, middle = rows.between(0.6, 99.0), rows.between(-0.5, 0.9)
    surroundings.paint_body(canvas[:, :, low], px[:, low], py[:, low], pixel, skin, face, scenes, camera)
    surroundings.paint_ears(canvas[:, :, middle], px[:, middle], py[:, middle], pixel, skin, face, scenes, camera)

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
    _paint_in_front(canvas, px, py, pixel, face, scenes)
    canvas.mul_(_exposure(skin))
    return photograph(canvas, scenes)


def _paint_in_front(canvas: Tensor, px: Tensor, py: Tensor, pixel: Tensor, face: Identities, scenes: Scenes) -> None:
    for some in chosen(scenes.hat):
        part = canvas[some]
        hair.paint_hat(part, px[some], py[some], pixel[some], face[some], scenes[some])
        canvas[some] = part
    for some in chosen(scenes.occluder):
        part = canvas[some]
        surroundings.paint_occluder(part, px[some], py[some], pixel[some], scenes[some])
        canvas[some] = part


def _exposure(skin: Tensor) -> Tensor:
    """(B, 1, 1, 1): what a camera that meters the face does with light and dark skin (B, 3, 1, 1)."""
    return 0.9 / (0.55 + 0.6 * skin.mean(1, keepdim=True))


def _skin_tone(face: Identities, scenes: Scenes) -> Tensor:
    """(B, 3, 1, 1); in near-infrared light all skins look alike and bright."""
    infrared = scenes.near_infrared[:, None, None, None]
    return face.skin + infrared * (0.68 + 0.15 * face.skin - face.skin)


def _paint_face(surface: Surface, pixel: Tensor, skin: Tensor, face: Identities, shape: FaceShape,
                scenes: Scenes) -> Tensor:  # fmt: skip
    """(B, 3, H, W) colours of the face before light."""
    x, y = surface.x, surface.y
    head = skin.expand(-1, -1, *x.shape[1:]).clone()
    across, down = 512 + 256 * face.texture[:, 0:1, 0], 512 + 256 * face.texture[:, 1:2, 0]
    blotch = noise_at("smooth", x * 14 + across, y * 14 + down)
    head.mul_(blotch.mul_(0.6 * face.mottle).add_(1)[:, None])
    rows = Rows(y, surface.inside > -2 * pixel, 2 * pixel)

    def at(low: float, high: float) -> tuple[Tensor, Tensor, Tensor]:
        part = rows.between(low, high)
        return head[:, :, part], x[:, part], y[:, part]

    _flush(*at(0.0, 0.9), face, scenes)
    part, px, py = at(0.2, 9.0)
    part.mul_((1 - wrinkles.mouth_wrinkles(px, py, pixel, face, shape))[:, None])
    for some in chosen(face.beard + face.moustache + face.stubble):
        bearded = part[some]
        mouth.paint_beard(bearded, px[some], py[some], face[some], shape[some], scenes[some])
        part[some] = bearded
    mouth.paint_nostrils(*at(0.30, 0.98), pixel, face, shape)
    mouth.paint_mouth(*at(0.60, 1.85), pixel, _infrared_lips(face, scenes), shape)
    part, px, py = at(-1.0, -0.25)
    part.mul_((1 - wrinkles.forehead_lines(px, py, pixel, shape))[:, None])
    part, px, py = at(-0.70, 0.10)
    part.mul_((1 - wrinkles.frown_lines(px, py, pixel, shape))[:, None])
    part, px, py = at(-0.30, 0.46)
    part.mul_((1 - wrinkles.eye_and_nose_lines(px, py, pixel, face, shape))[:, None])
    eyes.paint_eyes(*at(-0.42, 0.36), pixel, face, shape, scenes)
    eyes.paint_brows(*at(-0.85, 0.05), pixel, face, shape)
    part, px, py = at(-0.40, 0.48)
    for some in chosen(face.glasses):
        glazed = part[some]
        eyes.paint_glasses(glazed, px[some], py[some], pixel[some], face[some], scenes[some])
        part[some] = glazed
    return head


def _flush(head: Tensor, x: Tensor, y: Tensor, face: Identities, scenes: Scenes) -> None:
    """Blood in cheeks and nose."""
    ax = x.abs()
    red = bump(ax - 0.55, y - 0.42, 0.42, 0.38).maximum(bump(ax, y - 0.5, 0.25, 0.25))
    red.mul_(0.12 * face.ruddy * (1 - scenes.near_infrared[:, None, None]))
    head[:, 1:].mul_((1 - red)[:, None])


def _infrared_lips(face: Identities, scenes: Scenes) -> Identities:
    infrared = scenes.near_infrared[:, None, None, None]
    return replace(face, lip=face.lip + infrared * (0.60 - 0.9 * face.lip))


class Rows:
    """Which picture rows show which heights of the head, over a batch: shapes are painted on those alone."""

    def __init__(self, y: Tensor, shown: Tensor, margin: Tensor) -> None:
        """`y` (B, H, W) are heights, counted where `shown` is true; `margin` (B, 1, 1) is added on both sides."""
        far = torch.tensor(1e6, device=y.device)
        self._low = torch.where(shown, y - margin, far).amin((0, 2)).tolist()
        self._high = torch.where(shown, y + margin, -far).amax((0, 2)).tolist()

    def between(self, low: float, high: float) -> slice:
        hits = [row for row, bounds in enumerate(zip(self._low, self._high, strict=True)) if _meet(bounds, low, high)]
        return slice(hits[0], hits[-1] + 1) if hits else slice(0, 0)


def _meet(bounds: tuple[float, float], low: float, high: float) -> bool:
    return bounds[0] < high and bounds[1] > low


def chosen(amount: Tensor) -> list[Tensor]:
    """Indices of the items with a positive amount, as a list of one tensor; none, an empty list."""
    index = amount.flatten().nonzero().flatten()
    return [index] if len(index) else []
