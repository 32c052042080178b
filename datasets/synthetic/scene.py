"""Everything about a picture that is not the face: head pose, framing, light, background, camera.

Lengths on the picture are fractions of its height, angles are radians. Directions are in camera axes:
x to the right of the picture, y downward, z towards the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ferbench.datasets.synthetic.batch import Batch, Draws, tensor

Style = Literal["lab", "wild", "talk"]
Modality = Literal["VL", "NI"]
LightLevel = Literal["Strong", "Weak", "Dark"]

BACKGROUND_CELLS = 6

_TAG = 0x5C
_MOTION_TAG = 0x5D
_COLUMNS = 400
_SKINLESS = 3 * BACKGROUND_CELLS * BACKGROUND_CELLS


@dataclass
class Scenes(Batch):
    """N pictures; tensors are (N,) unless a shape is given."""

    # head pose: nose to the right of the picture (+yaw), up (+pitch), clockwise (+roll)
    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    shift_x: Tensor  # of the face from the middle of the picture
    shift_y: Tensor
    zoom: Tensor  # 1: the usual tight crop
    gaze_x: Tensor  # -1 to 1
    gaze_y: Tensor
    # light
    light: Tensor  # (N, 3) unit vector to the light
    key: Tensor  # (N, 3) its colour times strength
    ambient: Tensor  # (N, 3)
    fill: Tensor  # strength of a second light from the other side
    soft: Tensor  # 0 point light, 1 light from everywhere
    # background, clothes, things in front of the face
    background: Tensor  # (N, 3, 6, 6) colours of a coarse grid
    clutter: Tensor  # 0 smooth to 1 hard-edged
    clothes: Tensor  # (N, 3)
    collar: Tensor  # 0 to 1: contrast of a collar
    occluder: Tensor  # 0 none, 1 opaque blob
    occluder_at: Tensor  # (N, 4): centre x, y and radii in face units, measured on the picture
    occluder_colour: Tensor  # (N, 3)
    hat: Tensor  # 0 or 1
    # camera
    exposure: Tensor
    gamma: Tensor
    contrast: Tensor
    blur: Tensor  # standard deviation
    noise: Tensor  # standard deviation, 0 to 1 scale
    noise_at: Tensor  # (N, 2): place in the noise tile, 0 to 1
    grey: Tensor  # 0 colour, 1 monochrome
    near_infrared: Tensor  # 0 or 1
    dark: Tensor  # 0 well lit to 1 almost black
    vignette: Tensor


def sample_scenes(
    seeds: Sequence[int],
    style: Style = "wild",
    device: torch.device | str = "cpu",
    modality: Modality = "VL",
    light: LightLevel = "Strong",
) -> Scenes:
    """One scene a seed, each from its own seed only.

    `lab`: frontal, plain background, even light (as in Oulu-CASIA, whose modalities and light levels are
    `modality` and `light`). `wild`: any pose to 35 degrees, light, background, blur (as in AffectNet).
    `talk`: a person before a web camera (as in SEND, CTBC).
    """
    draws = Draws(_TAG, seeds, _COLUMNS)
    spread = {"lab": 0.15, "talk": 0.5, "wild": 1.0}.get(style)
    if spread is None:
        raise ValueError(f"unknown style {style!r}; there are lab, talk, wild")
    values = _pose(draws, spread)
    values |= _light(draws, spread)
    values |= _surroundings(draws, spread)
    values |= _camera(draws, spread)
    scenes = Scenes(**{name: tensor(value, device) for name, value in values.items()})
    return _lit_as(scenes, modality, light)


def _pose(draws: Draws, spread: float) -> dict[str, np.ndarray]:
    turned = draws.around(0.0, 0.22 * spread)
    return {
        "yaw": turned + (draws.chance(0.35 * spread) * draws.between(-0.45, 0.45) if spread == 1.0 else 0.0),
        "pitch": draws.around(0.0, 0.13 * spread),
        "roll": draws.around(0.0, 0.10 * spread),
        "shift_x": draws.around(0.0, 0.020 * spread + 0.002),
        "shift_y": draws.around(0.0, 0.020 * spread + 0.002),
        "zoom": draws.around(1.0, 0.055 * spread + 0.01),
        "gaze_x": draws.around(0.0, 0.35 * spread),
        "gaze_y": draws.around(0.0, 0.18 * spread),
    }


def _light(draws: Draws, spread: float) -> dict[str, np.ndarray]:
    azimuth = draws.around(0.0, 0.55 * spread + 0.02)
    elevation = draws.around(0.42, 0.35 * spread)
    direction = np.stack(
        [np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], axis=1
    )
    warmth = draws.around(0.0, 0.06 * spread)[:, None] * np.array([1.0, 0.1, -1.0])
    ambient = draws.between(0.62 - 0.34 * spread, 0.66 - 0.06 * spread)
    return {
        "light": direction,
        "key": (1.0 + warmth) * (1.12 - ambient)[:, None],
        "ambient": (1.0 - 0.7 * warmth) * ambient[:, None],
        "fill": draws.between(0.0, 0.35),
        "soft": draws.between(0.25, 0.7) + 0.2 * (1 - spread),
    }


def _surroundings(draws: Draws, spread: float) -> dict[str, np.ndarray]:
    plain = np.array([0.62, 0.65, 0.68]) if spread < 0.3 else _muted(draws)
    grid = draws.units(_SKINLESS).reshape(len(draws), 3, BACKGROUND_CELLS, BACKGROUND_CELLS)
    chroma = draws.between(0.0, 0.3)[:, None, None, None]
    grid = grid[:, :1] + chroma * (grid - grid[:, :1])
    level = np.broadcast_to(plain, (len(draws), 3))[:, :, None, None]
    amount = (draws.unit() * 1.2 * spread)[:, None, None, None] if spread > 0.3 else 0.04
    neutral = draws.units(3) * 0.12 + draws.unit()[:, None] ** 2.0 * 0.8
    hand = draws.chance(0.5)[:, None]
    blob = np.where(hand, np.array([0.72, 0.52, 0.42]), np.array([0.12, 0.12, 0.13])) * draws.between(0.7, 1.2)[:, None]
    return {
        "background": np.clip(level + amount * (grid - 0.5), 0.0, 1.0),
        "clutter": draws.unit() * spread,
        "clothes": np.clip(neutral, 0.03, 0.95),
        "collar": draws.unit(),
        "occluder": draws.chance(0.06 if spread == 1.0 else 0.0),
        "occluder_at": np.stack(
            [
                draws.between(-0.9, 0.9),
                draws.between(1.0, 1.8),
                draws.between(0.18, 0.45),
                draws.between(0.18, 0.55),
            ],
            1,
        ),
        "occluder_colour": np.clip(blob, 0, 1),
        "hat": draws.chance(0.06 if spread == 1.0 else 0.0),
    }


def _muted(draws: Draws) -> np.ndarray:
    """(N, 3) colours of any brightness, most of them nearly grey."""
    level, hue = draws.unit()[:, None], draws.units(3) - 0.5
    return np.clip(level * (1 + 1.2 * draws.unit()[:, None] ** 2 * hue), 0, 1)


def _camera(draws: Draws, spread: float) -> dict[str, np.ndarray]:
    zeros = np.zeros(len(draws))
    return {
        "exposure": np.exp(draws.around(0.0, 0.11 * spread + 0.03)),
        "gamma": np.exp(draws.around(0.0, 0.12 * spread + 0.01)),
        "contrast": draws.around(1.0 + 0.06 * spread, 0.10 * spread),
        "blur": draws.unit() ** 2 * 0.011 * (0.25 + 0.75 * spread) + 0.0055,
        "noise": draws.unit() ** 3 * 0.024 * (0.3 + 0.7 * spread) + 0.003,
        "noise_at": draws.units(2),
        "grey": draws.chance(0.15 if spread == 1.0 else 0.0),
        "vignette": draws.unit() * 0.25 * spread,
        "near_infrared": zeros,
        "dark": zeros,
    }


def _lit_as(scenes: Scenes, modality: Modality, light: LightLevel) -> Scenes:
    if modality not in ("VL", "NI"):
        raise ValueError(f"unknown modality {modality!r}; there are VL, NI")
    darkness = {"Strong": 0.0, "Weak": 0.45, "Dark": 0.8}.get(light)
    if darkness is None:
        raise ValueError(f"unknown light level {light!r}; there are Strong, Weak, Dark")
    if modality == "NI":  # a near-infrared lamp beside the camera makes the picture independent of the room's light
        front = torch.zeros_like(scenes.light)
        front[:, 1], front[:, 2] = -0.15, 0.99
        ones = torch.ones_like(scenes.yaw)
        return replace(scenes, near_infrared=ones, light=front, dark=torch.full_like(ones, 0.1 * darkness))
    return replace(
        scenes,
        dark=torch.full_like(scenes.dark, darkness),
        noise=scenes.noise + 0.035 * darkness,
        blur=scenes.blur + 0.003 * darkness,
    )


def track_scenes(
    seeds: Sequence[int],
    frames: Sequence[int],
    style: Style = "lab",
    device: torch.device | str = "cpu",
    modality: Modality = "VL",
    light: LightLevel = "Strong",
    motion: float = 1.0,
) -> Scenes:
    """Scenes of video frames: item i is frame `frames[i]` of the track with seed `seeds[i]`.

    A track keeps its light, background and camera; the head, the gaze and the sensor noise move.
    `motion` scales the movement: 1 is small sway (about 3 degrees), 0 is none.
    """
    if len(seeds) != len(frames):
        raise ValueError(f"{len(seeds)} seeds but {len(frames)} frames: give one frame number for each seed")
    distinct = sorted(set(seeds))
    place = {seed: row for row, seed in enumerate(distinct)}
    rows = np.array([place[seed] for seed in seeds], dtype=np.int64)
    base = sample_scenes(distinct, style, device, modality, light)[torch.from_numpy(rows)]
    draws = Draws(_MOTION_TAG, distinct, 64)
    time = np.asarray(frames, dtype=np.float64)
    changes: dict[str, Tensor] = {}
    for name, amount in (
        ("yaw", 0.035), ("pitch", 0.025), ("roll", 0.015), ("shift_x", 0.004), ("shift_y", 0.004),
        ("zoom", 0.008), ("gaze_x", 0.08), ("gaze_y", 0.04),
    ):  # fmt: skip
        slow = np.sin(2 * np.pi * (time / (40 + 60 * draws.unit()[rows]) + draws.unit()[rows]))
        fast = np.sin(2 * np.pi * (time / (12 + 14 * draws.unit()[rows]) + draws.unit()[rows]))
        changes[name] = getattr(base, name) + tensor(motion * amount * (slow + 0.35 * fast), device)
    walk = np.stack([time * 0.6180339887, time * 0.7548776662], axis=1)  # a new place in the noise tile each frame
    changes["noise_at"] = torch.remainder(base.noise_at + tensor(np.mod(walk, 1.0), device), 1.0)
    return replace(base, **changes)


def hold(scene: Scenes, num_frames: int) -> Scenes:
    """A single scene (N=1) repeated for `num_frames` frames."""
    return scene[torch.zeros(num_frames, dtype=torch.long)]
