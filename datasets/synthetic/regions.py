"""Which pixels of a twin's picture an expression moves: known, because the picture can be rendered without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ferbench.datasets.synthetic.film import Shot
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.renderer import render
from ferbench.datasets.synthetic.scene import track_scenes

MOVED = 0.06
"""Change of grey value, of 1, from which a pixel has moved."""
LEAST = 0.002
"""Share of a picture that must have moved for it to show an expression."""


def moved_regions(shots: Sequence[tuple[Shot, int]], size: int) -> NDArray[np.bool_]:
    """(N,size,size) the pixels that change when the expression of a frame is taken away and all else is left.

    Args:
        shots: of one kind of scene, each with the number of a frame in it. Margins are not part of the picture.
    """
    first = shots[0][0]
    people = sample_identities([shot.identity for shot, _ in shots])
    scenes = track_scenes(
        [shot.scene for shot, _ in shots], [t for _, t in shots], style=first.style, modality=first.modality,
        light=first.light,
    )  # fmt: skip
    scenes = replace(scenes, yaw=scenes.yaw + torch.tensor([shot.yaw for shot, _ in shots]))
    units = torch.from_numpy(np.stack([shot.units[t] for shot, t in shots]))
    with_it, without = (
        render(people, shown, scenes, size).float().mean(dim=1) / 255 for shown in (units, torch.zeros_like(units))
    )
    return ((with_it - without).abs() > MOVED).numpy()
