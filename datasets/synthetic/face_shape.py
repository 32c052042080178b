"""What action units do to a face: identity and intensities become the sizes that are drawn.

Both the renderer and the landmarks read these sizes, so a landmark lies where its feature is drawn.
Lengths are in face units (see identity.py); y grows downward, so raising something makes y smaller.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ferbench.datasets.synthetic.action_units import ACTION_UNITS
from ferbench.datasets.synthetic.batch import Batch
from ferbench.datasets.synthetic.identity import Identities


@dataclass
class FaceShape(Batch):
    """Sizes of B deformed faces; every tensor is (B,)."""

    chin: Tensor
    # brows: y = brow_y + inner*(1-s)^2 + outer*s - arch*4s(1-s), s from 0 at the nose to 1 at the temple
    brow_y: Tensor
    brow_inner: Tensor
    brow_outer: Tensor
    brow_arch: Tensor
    brow_in: Tensor
    brow_out: Tensor
    # eyes
    lid_up: Tensor
    lid_low: Tensor
    squint: Tensor  # lower lid bulge
    # nose
    nose_width: Tensor
    nose_tip: Tensor
    # mouth
    mouth_y: Tensor
    mouth_left: Tensor  # half widths on the left and right of the picture
    mouth_right: Tensor
    corner_left: Tensor  # y of the corners against the middle
    corner_right: Tensor
    droop: Tensor  # sharp fall near the corners
    lip_up: Tensor  # thickness
    lip_low: Tensor
    gap_up: Tensor  # opening above and below the mouth line
    gap_low: Tensor
    # strengths, 0 to 1, of what folds the skin
    brow_lines: Tensor
    inner_lines: Tensor
    frown: Tensor
    nose_lines: Tensor
    cheek_left: Tensor
    cheek_right: Tensor
    fold_left: Tensor
    fold_right: Tensor
    feet: Tensor
    chin_boss: Tensor
    droop_lines: Tensor
    dimple_left: Tensor
    dimple_right: Tensor
    press: Tensor
    stretch: Tensor
    jaw: Tensor
    smile: Tensor


def active_units(identities: Identities, units: Tensor) -> dict[str, Tensor]:
    """Name -> (B,) intensity of units (B, A), clamped, on top of the face's resting units."""
    last = len(ACTION_UNITS) - 1
    given = torch.nan_to_num(units.to(torch.float32))
    rest = identities.rest
    shown = given[:, :last].clamp(0, 1)
    shown = shown + rest[:, :last] * (1 - shown)
    asym = (given[:, last] + rest[:, last]).clamp(-1, 1)
    return {name: shown[:, channel] for channel, name in enumerate(ACTION_UNITS[:last])} | {"ASYM": asym}


def deform(identities: Identities, units: Tensor) -> FaceShape:
    """Faces of B identities with action units (B, A)."""
    face, au = identities, active_units(identities, units)
    right, left = 1 - (-au["ASYM"]).clamp(min=0), 1 - au["ASYM"].clamp(min=0)
    one_sided = au["ASYM"].abs()
    jaw = au["AU26"]
    values = {"chin": face.chin + 0.26 * jaw - 0.03 * au["AU17"]}
    values |= _brows(face, au)
    values |= _eyes_and_nose(face, au)
    values |= _mouth(face, au, left, right, one_sided)
    values |= _folds(face, au, left, right)
    return FaceShape(**values)


def _brows(face: Identities, au: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        "brow_y": face.brow_y + 0.075 * au["AU4"] + 0.05 * au["AU9"] - 0.035 * torch.maximum(au["AU1"], au["AU2"]),
        "brow_inner": -0.145 * au["AU1"] + 0.085 * au["AU4"] * (1 - 0.8 * au["AU1"]) + 0.04 * au["AU9"],
        "brow_outer": 0.035 - 0.13 * au["AU2"] + 0.05 * au["AU1"] * (1 - au["AU2"]) - 0.025 * au["AU4"],
        "brow_arch": face.brow_arch + 0.035 * au["AU2"] - 0.04 * au["AU4"],
        "brow_in": face.brow_in - 0.055 * au["AU4"],
        "brow_out": face.brow_out - 0.02 * au["AU4"],
    }


def _eyes_and_nose(face: Identities, au: dict[str, Tensor]) -> dict[str, Tensor]:
    lower = 0.034 * au["AU6"] + 0.032 * au["AU7"] + 0.012 * au["AU9"]
    lid_low = face.lid_low + 0.012 * au["AU5"] - lower * (1 - 0.5 * au["AU5"])
    wide = face.lid_up + 0.085 * au["AU5"] - 0.020 * au["AU7"] - 0.010 * au["AU6"] - 0.012 * au["AU4"] * (1 - au["AU5"])
    closed = -lid_low + 0.004
    return {
        "lid_up": closed + (wide - closed) * (1 - au["AU43"]),
        "lid_low": lid_low,
        "squint": torch.maximum(au["AU6"], 0.7 * au["AU7"]),
        "nose_width": face.nose_width * (1 + 0.10 * au["AU9"] + 0.10 * au["AU12"] + 0.06 * au["AU10"]),
        "nose_tip": face.nose_tip - 0.035 * au["AU9"] + 0.010 * au["AU12"],
    }


def _mouth(
    face: Identities, au: dict[str, Tensor], left: Tensor, right: Tensor, one_sided: Tensor
) -> dict[str, Tensor]:
    jaw, part, smile = au["AU26"], au["AU25"], au["AU12"]
    narrow = 1 - 0.10 * jaw - 0.34 * au["AU18"] - 0.07 * au["AU24"] - 0.05 * au["AU23"] - 0.06 * au["AU17"]
    wide = face.mouth_half * narrow + 0.10 * au["AU20"]
    thin = (1 - 0.55 * au["AU24"]) * (1 - 0.40 * au["AU23"]) * (1 + 0.30 * au["AU18"])
    fall = 0.035 * au["AU15"] + 0.035 * au["AU20"] + 0.015 * au["AU17"]
    lift = 0.155 * smile + (0.040 + 0.05 * one_sided) * au["AU14"]
    sideways = 0.125 * smile + (0.035 + 0.04 * one_sided) * au["AU14"]
    show = 0.085 * smile + 0.085 * au["AU10"] + 0.02 * au["AU20"] + 0.03 * au["AU9"]
    return {
        "mouth_y": face.mouth_y - 0.045 * au["AU17"] - 0.02 * au["AU10"] + 0.02 * jaw,
        "mouth_left": wide + sideways * left,
        "mouth_right": wide + sideways * right,
        "corner_left": fall - lift * left + 0.08 * jaw,
        "corner_right": fall - lift * right + 0.08 * jaw,
        "droop": 0.13 * au["AU15"],
        "lip_up": face.lip_up * thin * (1 - 0.30 * smile - 0.20 * au["AU20"]),
        "lip_low": face.lip_low * thin * (1 - 0.15 * smile - 0.15 * au["AU20"] + 0.15 * au["AU17"]),
        "gap_up": part * (0.020 + show) + 0.030 * jaw,
        "gap_low": part * (0.045 + 0.025 * smile + 0.05 * au["AU20"] + 0.02 * au["AU10"]) + 0.44 * jaw,
    }


def _folds(face: Identities, au: dict[str, Tensor], left: Tensor, right: Tensor) -> dict[str, Tensor]:
    shape = 0.55 + 0.45 * face.age
    raised = torch.maximum(0.7 * au["AU9"], 0.7 * au["AU10"])
    return {
        "brow_lines": torch.minimum(au["AU1"], au["AU2"]) * shape + 0.35 * (face.age - 0.5).clamp(min=0),
        "inner_lines": (au["AU1"] - au["AU2"]).clamp(min=0) * shape,
        "frown": au["AU4"],
        "nose_lines": au["AU9"],
        "cheek_left": torch.maximum(au["AU6"], 0.6 * au["AU12"] * left),
        "cheek_right": torch.maximum(au["AU6"], 0.6 * au["AU12"] * right),
        "fold_left": torch.maximum(raised, 0.9 * au["AU12"] * left) + 0.25 * face.age,
        "fold_right": torch.maximum(raised, 0.9 * au["AU12"] * right) + 0.25 * face.age,
        "feet": au["AU6"] * shape,
        "chin_boss": au["AU17"],
        "droop_lines": au["AU15"] * shape,
        "dimple_left": au["AU14"] * left,
        "dimple_right": au["AU14"] * right,
        "press": torch.maximum(au["AU24"], 0.7 * au["AU23"]),
        "stretch": au["AU20"],
        "jaw": au["AU26"],
        "smile": au["AU12"],
    }
