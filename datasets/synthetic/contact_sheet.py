"""What the renderer can do, on one picture, to be judged by eye.

Run `python -m datasets.synthetic.contact_sheet` to write `docs/contact-sheet.png`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ferbench.datasets.synthetic.action_units import ACTION_UNITS, MEANINGS, unit_vector
from ferbench.datasets.synthetic.expressions import EMOTIONS, expression_units, sequence_units
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.renderer import render
from ferbench.datasets.synthetic.scene import Modality, Scenes, Style, sample_scenes, track_scenes

_COLUMNS = len(EMOTIONS)
_LABEL = 14
_SIDE = 78


def contact_sheet(path: Path, size: int = 96, seed: int = 0) -> None:
    """Write a labelled PNG: identities by expressions, a sequence, near-infrared and dark, single action units."""
    rows: list[tuple[str, Sequence[str], Tensor]] = []
    styles: tuple[Style, ...] = ("lab",) * 4 + ("wild",) * 4
    rows.extend(
        (f"{style} {number}", EMOTIONS, _expressions(seed + number, seed, size, style))
        for number, style in enumerate(styles)
    )
    rows.append(("sequence", [f"frame {2 * frame}" for frame in range(_COLUMNS)], _sequence(seed + 8, seed, size)))
    rows.append(("infrared", EMOTIONS, _expressions(seed + 9, seed, size, "lab", "NI")))
    rows.append(("dark", EMOTIONS, _expressions(seed + 10, seed, size, "lab", dark=True)))
    names = [name for name in ACTION_UNITS if name != "ASYM"]
    for start in range(0, len(names), _COLUMNS):
        part = names[start : start + _COLUMNS]
        rows.append(
            (
                "single units",
                [f"{name[2:]} {MEANINGS[name]}" for name in part],
                _single_units(part, seed, size),
            )
        )
    _write(path, rows, size)


def _expressions(
    identity: int, seed: int, size: int, style: Style, modality: Modality = "VL", dark: bool = False
) -> Tensor:
    rng = np.random.default_rng([seed, identity])
    units = torch.from_numpy(np.stack([expression_units(emotion, rng) for emotion in EMOTIONS]))
    seeds = [identity * 100 + (column if style == "wild" else 0) for column in range(_COLUMNS)]
    scenes = sample_scenes(seeds, style, modality=modality, light="Dark" if dark else "Strong")
    return render(sample_identities([identity] * _COLUMNS), units, scenes, size)


def _sequence(identity: int, seed: int, size: int) -> Tensor:
    rng = np.random.default_rng([seed, identity])
    units = torch.from_numpy(sequence_units("Happiness", 2 * _COLUMNS, rng)[::2])
    frames = [2 * column for column in range(_COLUMNS)]
    scenes: Scenes = track_scenes([identity] * _COLUMNS, frames, "lab")
    return render(sample_identities([identity] * _COLUMNS), units, scenes, size)


def _single_units(names: Sequence[str], seed: int, size: int) -> Tensor:
    units = torch.from_numpy(np.stack([unit_vector(**{name: 1.0}) for name in names]))
    count = len(names)
    identities = sample_identities([seed + 3] * count)
    identities.rest.zero_()
    return render(identities, units, sample_scenes([seed] * count, "lab"), size)


def _write(path: Path, rows: Sequence[tuple[str, Sequence[str], Tensor]], size: int) -> None:
    sheet = Image.new("RGB", (_SIDE + _COLUMNS * size, len(rows) * (size + _LABEL)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (title, labels, pictures) in enumerate(rows):
        top = row * (size + _LABEL)
        pen.text((4, top + _LABEL + size // 2 - 6), title, fill="black")
        for column, (label, picture) in enumerate(zip(labels, pictures, strict=True)):
            left = _SIDE + column * size
            pen.text((left + 2, top + 1), _fitted(pen, label, size - 4), fill="black")
            sheet.paste(Image.fromarray(picture.permute(1, 2, 0).numpy()), (left, top + _LABEL))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _fitted(pen: ImageDraw.ImageDraw, text: str, width: int) -> str:
    """As much of `text` as fits into `width` pixels."""
    while text and pen.textlength(text) > width:
        text = text[:-1]
    return text.rstrip()


if __name__ == "__main__":
    contact_sheet(Path("docs/contact-sheet.png"))
