"""Where the labels of points go: beside their points, off every mark and off each other, as near as there is room.

All lengths are inches of the axes. A box is (left, bottom, right, top); a line along an axis is a box without width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.measures.metrics import Array

RADIUS = 0.05
"""Of a mark."""
_GAPS = np.array([0.015, 0.08, 0.15, 0.23, 0.33, 0.45, 0.6, 0.8])
"""How far a label may be from its mark: at the first it touches it, at the others a line leads to it."""
_SIDES = np.array([0, 8, 1, 15, 7, 9, 2, 14, 6, 10, 3, 13, 5, 11, 4, 12]) * np.pi / 8
"""Left and right of a mark first: above and below is its interval."""
_HIDES, _CROSSES, _DOUBTFUL, _ON_LINE, _INCH = 40.0, 15.0, 8.0, 3.0, 6.0
"""What it costs to hide a mark or a label, to be led to across one, to be as near to another mark as to one's own, to
stand on a line, and an inch of distance."""
_SWEEPS = 4


@dataclass(frozen=True)
class Placed:
    """centres: (N, 2) of the labels. leaders: (M, 2, 2), from a point to its label, of those that do not touch it."""

    centres: Array
    leaders: Array


def beside(points: Array, sizes: Array, kept: Array, lines: Array, frame: tuple[float, float]) -> Placed:
    """A place beside each point; the same every time.

    points: (N, 2), where the marks are. sizes: (N, 2), width and height of each label. kept: (K, 4), boxes to be kept
    free. lines: (L, 4), boxes that a label should rather not stand on. frame: width and height of the axes.
    """
    gap, side = (each.ravel() for each in np.meshgrid(_GAPS, _SIDES, indexing="ij"))
    way = np.round(np.stack([np.cos(side), np.sin(side)], axis=1), 9)  # (C, 2), of each candidate
    centres = points[:, None] + way * (RADIUS + gap[:, None] + sizes[:, None] / 2)  # (N, C, 2)
    costs = _alone(points, centres, sizes, gap, kept, lines, frame)
    chosen = _chosen(points, sizes, costs, centres)
    found, led = centres[np.arange(len(points)), chosen], gap[chosen] > _GAPS[0]
    return Placed(found, _leaders(points[led], found[led], sizes[led]))


def _alone(
    points: Array, centres: Array, sizes: Array, gap: Array, kept: Array, lines: Array, frame: tuple[float, float]
) -> Array:
    """(N, C): what each candidate costs whatever the other labels do."""
    boxes, marks = _boxes(centres, sizes[:, None]), _boxes(points, 2 * RADIUS)
    others = ~np.eye(len(points), dtype=bool)[:, None]
    outside = (boxes[..., 0] < 0) | (boxes[..., 1] < 0) | (boxes[..., 2] > frame[0]) | (boxes[..., 3] > frame[1])
    cost = (
        1000.0 * outside
        + _HIDES * (meet(boxes, marks).sum(axis=-1) + meet(boxes, kept).sum(axis=-1))
        + _CROSSES * (_runs_over(points[:, None], centres, marks) & others).sum(axis=-1)
        + _DOUBTFUL * (gap == _GAPS[0]) * (meet(boxes, _boxes(points, 4 * RADIUS)) & others).any(axis=-1)
        + _ON_LINE * meet(boxes, lines).sum(axis=-1)
        + _INCH * gap
    )
    return np.round(cost, 6)  # what costs the same does so on every machine


def _chosen(points: Array, sizes: Array, costs: Array, centres: Array) -> NDArray[np.int64]:
    """(N,): the candidate of each label. Those with the least room choose first; then all that another label is in the
    way of choose again, until none changes.

    costs: (N, C) of each candidate alone. centres: (N, C, 2).
    """
    boxes, least = _boxes(centres, sizes[:, None]), costs.min(axis=1)
    order = np.argsort(-least, kind="stable").tolist()
    chosen, paid = np.full(len(costs), -1), np.full(len(costs), np.inf)
    for _ in range(_SWEEPS):
        before = chosen.copy()
        for label in order:
            if paid[label] > least[label]:
                rest = np.flatnonzero((chosen >= 0) & (np.arange(len(chosen)) != label))
                at, there = centres[rest, chosen[rest]], boxes[rest, chosen[rest]]
                cost = (
                    costs[label]
                    + _HIDES * meet(boxes[label], there).sum(axis=-1)
                    + _CROSSES * _runs_over(points[label], centres[label], there).sum(axis=-1)
                    + _CROSSES * _runs_over(points[rest], at, boxes[label]).sum(axis=0)
                    + _CROSSES * _cross(points[label], centres[label], points[rest], at).sum(axis=-1)
                )
                chosen[label], paid[label] = cost.argmin(), cost.min()
        if (chosen == before).all():
            break
    return chosen


def _boxes(centres: Array, sizes: Array | float) -> Array:
    """(..., 4) around centres (..., 2)."""
    return np.concatenate([centres - np.asarray(sizes) / 2, centres + np.asarray(sizes) / 2], axis=-1)


def meet(boxes: Array, others: Array) -> NDArray[np.bool_]:
    """(..., M): whether each of `boxes` (..., 4) overlaps each of `others` (M, 4)."""
    left, bottom, right, top = np.moveaxis(boxes[..., None, :], -1, 0)
    return np.asarray((left < others[:, 2]) & (right > others[:, 0]) & (bottom < others[:, 3]) & (top > others[:, 1]))


def _runs_over(starts: Array, ends: Array, boxes: Array) -> NDArray[np.bool_]:
    """(..., M): whether each line from one of `starts` to one of `ends` (..., 2) runs over each of `boxes` (M, 4)."""
    half_x, half_y = np.moveaxis((ends - starts)[..., None, :] / 2, -1, 0)
    x, y = np.moveaxis((starts + ends)[..., None, :] / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2, -1, 0)
    width, height = (boxes[:, 2:] - boxes[:, :2]).T / 2
    near = (np.abs(x) < np.abs(half_x) + width) & (np.abs(y) < np.abs(half_y) + height)
    return np.asarray(near & (np.abs(half_x * y - half_y * x) < width * np.abs(half_y) + height * np.abs(half_x)))


def _cross(start: Array, ends: Array, starts: Array, others: Array) -> NDArray[np.bool_]:
    """(C, M): whether the lines from `start` (2,) to `ends` (C, 2) cross those from `starts` to `others` (M, 2)."""
    way, other, apart = ends - start, others - starts, starts - start
    turn = way[:, :1] * other[:, 1] - way[:, 1:] * other[:, 0]  # 0 where they are parallel
    along = (apart[:, 0] * other[:, 1] - apart[:, 1] * other[:, 0]) * np.sign(turn)
    along_other = (apart[:, 0] * way[:, 1:] - apart[:, 1] * way[:, :1]) * np.sign(turn)
    whole = np.abs(turn)
    return np.asarray((along > 0) & (along < whole) & (along_other > 0) & (along_other < whole))


def _leaders(points: Array, centres: Array, sizes: Array) -> Array:
    """(M, 2, 2): from each point to the edge of its label."""
    way = points - centres
    reach = (sizes / 2 / np.maximum(np.abs(way), 1e-9)).min(axis=1, keepdims=True)
    return np.stack([points, centres + way * reach], axis=1)
