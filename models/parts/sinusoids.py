"""Positions that are not learned: the sinusoids of arXiv 1706.03762."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(positions: int, width: int) -> Tensor:
    """(positions,width): sines at the even places, cosines at the odd ones.

    Angles are computed in double precision: in single, those of far positions are off by 1e-4.
    """
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10_000) / width))
    angle = torch.arange(positions)[:, None] * rate
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()
