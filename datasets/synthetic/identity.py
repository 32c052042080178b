"""Who a synthetic face is: proportions, skin, hair, and the expression it has at rest.

Lengths are in face units: 1 is half the width of the face at the cheekbones, about 70 mm.
The origin is midway between the eyes; x grows to the right of the picture, y downward, z to the camera.
Proportions follow Farkas, Anthropometry of the Head and Face (1994), spread a little wider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ferbench.datasets.synthetic.action_units import ACTION_UNITS, unit_index
from ferbench.datasets.synthetic.batch import Batch, Draws, tensor

_TAG = 0x1D
_COLUMNS = 256

_SKINS = np.array(  # from light to dark
    [
        [0.96, 0.80, 0.72],
        [0.92, 0.73, 0.62],
        [0.85, 0.63, 0.49],
        [0.70, 0.48, 0.35],
        [0.50, 0.33, 0.24],
        [0.33, 0.21, 0.16],
    ]
)
_HAIRS = np.array(  # black, dark brown, brown, light brown, blond, red, grey, white
    [[0.07, 0.06, 0.06], [0.16, 0.10, 0.07], [0.27, 0.17, 0.10], [0.42, 0.29, 0.17],
     [0.72, 0.56, 0.34], [0.45, 0.20, 0.09], [0.40, 0.39, 0.38], [0.62, 0.61, 0.59]]
)  # fmt: skip
_IRISES = np.array([[0.20, 0.11, 0.06], [0.32, 0.20, 0.10], [0.38, 0.36, 0.20], [0.36, 0.47, 0.55], [0.45, 0.55, 0.62]])


@dataclass
class Identities(Batch):
    """N identities; tensors are (N,) unless a shape is given. Lengths in face units, colours 0 to 1."""

    # head
    width: Tensor
    top: Tensor  # origin to crown
    chin: Tensor  # origin to chin
    jaw: Tensor  # 0 oval, 1 square
    depth: Tensor
    cheek: Tensor  # how far cheekbones stand out
    # eyes
    eye_x: Tensor
    eye_y: Tensor
    eye_half: Tensor  # half width of the opening
    lid_up: Tensor  # height of the upper lid above the eye's axis
    lid_low: Tensor
    eye_tilt: Tensor  # outer corner above (+) or below (-) the inner one
    socket: Tensor  # depth of the socket
    crease: Tensor  # how visible the fold of the upper lid is, 0 to 1
    iris_radius: Tensor
    iris: Tensor  # (N, 3)
    lash: Tensor  # darkness of the lash line, make-up included
    shadow: Tensor  # eye shadow, 0 to 1
    # brows
    brow_y: Tensor
    brow_in: Tensor
    brow_out: Tensor
    brow_arch: Tensor
    brow_thick: Tensor
    brow_dense: Tensor
    brow_skew: Tensor  # right brow lower than left by this
    # nose
    nose_tip: Tensor  # y of the tip
    nose_width: Tensor
    nose_height: Tensor
    nose_bridge: Tensor  # width of the bridge
    # mouth
    mouth_y: Tensor
    mouth_half: Tensor
    lip_up: Tensor
    lip_low: Tensor
    lip: Tensor  # (N, 3)
    cupid: Tensor
    # skin
    skin: Tensor  # (N, 3)
    melanin: Tensor  # 0 light to 1 dark
    ruddy: Tensor
    mottle: Tensor
    shine: Tensor
    age: Tensor  # 0 young to 1 old; scales wrinkles
    # hair
    hair: Tensor  # (N, 3)
    hairline: Tensor  # y of the hairline at the middle of the forehead
    hairline_curve: Tensor
    hair_part: Tensor  # slant of the hairline, a side parting
    hair_volume: Tensor
    hair_side: Tensor  # where hair begins at the temple, in depth
    hair_length: Tensor  # y where it ends
    hair_wave: Tensor
    hair_ragged: Tensor  # how uneven the hairline is
    bald: Tensor  # 0 or 1
    # face hair and glasses
    beard: Tensor  # opacity
    moustache: Tensor
    stubble: Tensor
    glasses: Tensor  # 0 or 1
    frame_half: Tensor
    frame_width: Tensor
    frame_shade: Tensor  # 0 black to 1 bright
    # expression at rest
    rest: Tensor  # (N, A)
    texture: Tensor  # (N, 4): where in the noise tile this face's skin and hair lie, 0 to 1


def sample_identities(ids: Sequence[int], device: torch.device | str = "cpu") -> Identities:
    """Identities of the given integers: each depends on its own integer only."""
    draws = Draws(_TAG, ids, _COLUMNS)
    male = draws.chance(0.55)
    age = draws.unit() ** 1.4
    values: dict[str, np.ndarray] = {"age": age}
    values |= _skin(draws, male)
    values |= _head(draws, male)
    values |= _eyes(draws, male, age)
    values |= _nose_and_mouth(draws, male, values["skin"])
    values |= _hair(draws, male, age, values["melanin"])
    values |= _extras(draws, male, age)
    values["rest"] = _resting_units(draws)
    values["texture"] = draws.units(4)
    return Identities(**{name: tensor(value, device) for name, value in values.items()})


def _skin(draws: Draws, male: np.ndarray) -> dict[str, np.ndarray]:
    melanin = draws.unit() ** 1.7
    place = melanin * (len(_SKINS) - 1)
    low = np.minimum(place.astype(int), len(_SKINS) - 2)
    skin = _SKINS[low] + (place - low)[:, None] * (_SKINS[low + 1] - _SKINS[low])
    skin = skin * (1 + 0.05 * (draws.units(3) - 0.5)) * draws.between(0.94, 1.03)[:, None]
    return {
        "melanin": melanin,
        "skin": np.clip(skin, 0.05, 1.0),
        "ruddy": draws.between(0.0, 1.0),
        "mottle": draws.between(0.01, 0.06),
        "shine": draws.between(0.05, 0.40) * (0.7 + 0.3 * male),
    }


def _head(draws: Draws, male: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "width": draws.around(1.0, 0.045) + 0.02 * male,
        "top": draws.around(1.62, 0.06),
        "chin": draws.around(1.57, 0.06) + 0.05 * male,
        "jaw": draws.around(0.22, 0.22) + 0.24 * male,
        "depth": draws.around(1.28, 0.06),
        "cheek": draws.between(0.0, 0.09),
    }


def _eyes(draws: Draws, male: np.ndarray, age: np.ndarray) -> dict[str, np.ndarray]:
    brow_y = draws.around(-0.335, 0.025) + 0.035 * male
    makeup = draws.chance(0.55) * (1 - male)
    return {
        "eye_x": draws.around(0.468, 0.022),
        "eye_y": draws.around(0.0, 0.012),
        "eye_half": draws.around(0.215, 0.014),
        "lid_up": draws.around(0.088, 0.010) - 0.012 * age,
        "lid_low": draws.around(0.050, 0.006),
        "eye_tilt": draws.around(0.012, 0.016),
        "socket": draws.between(0.06, 0.15) + 0.02 * male,
        "crease": draws.between(0.15, 1.0),
        "iris_radius": draws.around(0.092, 0.004),
        "iris": draws.pick(_IRISES, [5, 3, 1.5, 1.5, 1]) * draws.between(0.8, 1.2)[:, None],
        "lash": draws.between(0.35, 0.6) + 0.35 * makeup,
        "shadow": makeup * draws.between(0.0, 0.5),
        "brow_y": brow_y,
        "brow_in": draws.around(0.165, 0.02),
        "brow_out": draws.around(0.74, 0.03),
        "brow_arch": draws.around(0.055, 0.02) + 0.02 * (1 - male),
        "brow_thick": draws.around(0.040, 0.008) + 0.014 * male,
        "brow_dense": draws.between(0.5, 0.95),
        "brow_skew": draws.around(0.0, 0.010),
    }


def _nose_and_mouth(draws: Draws, male: np.ndarray, skin: np.ndarray) -> dict[str, np.ndarray]:
    natural = skin * np.array([0.84, 0.62, 0.62])
    lipstick = np.array([0.70, 0.16, 0.20]) * draws.between(0.75, 1.15)[:, None]
    painted = (draws.chance(0.4) * (1 - male) * draws.between(0.3, 0.9))[:, None]
    return {
        "nose_tip": draws.around(0.550, 0.028),
        "nose_width": draws.around(0.225, 0.018) + 0.015 * male,
        "nose_height": draws.around(0.25, 0.03) + 0.02 * male,
        "nose_bridge": draws.around(0.115, 0.012),
        "mouth_y": draws.around(0.985, 0.024),
        "mouth_half": draws.around(0.365, 0.022),
        "lip_up": draws.around(0.075, 0.014) - 0.012 * male,
        "lip_low": draws.around(0.105, 0.016) - 0.010 * male,
        "lip": natural + painted * (lipstick - natural),
        "cupid": draws.between(0.1, 0.5),
    }


def _hair(draws: Draws, male: np.ndarray, age: np.ndarray, melanin: np.ndarray) -> dict[str, np.ndarray]:
    dark = draws.pick(_HAIRS[:3], [5, 3, 1])
    light = draws.pick(_HAIRS[:6], [2, 4, 3, 3, 2, 0.7])
    grey = draws.pick(_HAIRS[6:], [2, 1])
    turned = (draws.unit() < np.clip(1.8 * (age - 0.55), 0, 1))[:, None]
    colour = np.where(turned, grey, np.where((melanin > 0.45)[:, None], dark, light))
    bald = draws.chance(male * np.clip(age - 0.25, 0, 0.4))
    receding = male * age * draws.between(0.0, 0.45)
    fringe = draws.chance(0.35 - 0.2 * male) * draws.between(0.15, 0.42)
    long = draws.chance(0.75 - 0.71 * male) * (1 - bald)
    length = np.where(long > 0, draws.between(0.9, 2.6), draws.between(0.0, 0.40))
    return {
        "hair": np.clip(colour * draws.between(0.8, 1.2)[:, None], 0, 0.9),
        "hairline": draws.around(-0.93, 0.05) - receding + fringe,
        "hairline_curve": draws.between(0.0, 0.5) - 0.6 * fringe,
        "hair_part": draws.between(-0.25, 0.25),
        "hair_volume": draws.between(0.03, 0.14) + 0.10 * long * draws.unit(),
        "hair_side": draws.between(0.12, 0.38) + 0.22 * long * draws.unit(),
        "hair_length": length,
        "hair_wave": draws.between(0.0, 1.0),
        "bald": bald,
        "hair_ragged": draws.between(0.02, 0.07) + 0.06 * (fringe > 0) * draws.unit(),
    }


def _extras(draws: Draws, male: np.ndarray, age: np.ndarray) -> dict[str, np.ndarray]:
    bearded = male * draws.chance(0.22)
    return {
        "beard": bearded * draws.between(0.35, 0.9),
        "moustache": male * np.maximum(bearded, draws.chance(0.10)) * draws.between(0.4, 0.9),
        "stubble": male * draws.chance(0.5) * draws.between(0.05, 0.35),
        "glasses": draws.chance(0.10 + 0.18 * age),
        "frame_half": draws.between(0.27, 0.34),
        "frame_width": draws.between(0.018, 0.042),
        "frame_shade": draws.unit() ** 2,
    }


def _resting_units(draws: Draws) -> np.ndarray:
    """(N, A) of a face at rest: most are near zero, some look like a mild expression."""
    rest = np.zeros((len(draws), len(ACTION_UNITS)))
    for name, probability, most in (
        ("AU1", 0.22, 0.35), ("AU2", 0.15, 0.30), ("AU4", 0.30, 0.45), ("AU5", 0.15, 0.25), ("AU7", 0.25, 0.35),
        ("AU10", 0.10, 0.20), ("AU12", 0.28, 0.35), ("AU15", 0.28, 0.45), ("AU17", 0.15, 0.30),
        ("AU24", 0.20, 0.35), ("AU25", 0.15, 0.25), ("AU43", 0.20, 0.20),
    ):  # fmt: skip
        rest[:, unit_index(name)] = draws.chance(probability) * draws.between(0.3 * most, most)
    rest[:, unit_index("ASYM")] = draws.around(0.0, 0.10)
    return rest
