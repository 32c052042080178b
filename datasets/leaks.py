"""The same picture twice, as a person would say so: re-encoded, resized, cropped, mirrored, slightly turned, brightened
or grey copies among the faces of a corpus.

Two looks. The first compares every face with every other by a short description of its grey values, blurred and seen
through a soft window, and keeps each one's few nearest; a mirrored face is described as well. The second lays each of
these pairs over one another (Lucas and Kanade's alignment over shift, turn and size, in the inverse form of Baker and
Matthews, IJCV 56(3), 2004, blind to gain and offset of the light) and correlates the whole, and what is left of it when
what is coarse is taken away.

Frames of one person are no copies of each other: people look like themselves.

How the thresholds were set: of 300 photographs of faces (48 pixels), each re-encoded at quality 70, at half size,
mirrored, turned by 5 degrees either way, 20% brighter, cropped by 5% on all sides or at a corner, grey, and mirrored
and turned, 99 in 100 are found. Of 19,509 photographs the 62 pairs that agree least were looked at: all are copies.
`docs/leaks.md` has the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 32
"""Pixels a side at which faces are compared."""
WHOLE, DETAILS = 0.983, 0.91
"""Agreement of the whole and of its details from which two faces are the same picture."""
DETAILS_ALONE = 0.96
"""Agreement of details that is enough: other marks, margins and backgrounds are no other picture."""
NEAREST = 4
"""Neighbours of each face that are looked at a second time."""
WIDTH = 64
"""Numbers in a description."""
ALIKE = ((5_000, 0.4), (math.inf, 0.72))
"""Likeness below which a neighbour is no candidate, by the number of faces: among few even the nearest may be far."""
BLOCK = 10_000_000
"""Most likenesses that a thread holds at a time."""
PAIRS = 200
"""Pairs that are aligned at a time: what they take stays in a processor's cache."""
TURNS = (-5.0, 0.0, 5.0)
"""Degrees from which an alignment sets out."""
LARGEST = 1.35**2
"""How much larger in area one of two copies may be: an alignment that goes further has lost its way, to where a small
spot of one face fills the other."""
LEAST_SEEN = 0.7
"""Share of a face, weighed by the window, that must lie inside the other's picture."""
FEWEST_DETAILS = 2.0
"""Standard deviation of grey values (of 255) below which a picture shows nothing, and is no copy of anything."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Copies:
    """Pairs of frames that are the same picture."""

    frames: NDArray[np.int64]
    """(P,2), the smaller number first, ascending."""
    agreement: NDArray[np.float32]
    """(P,) correlation of the whole of both."""

    def __len__(self) -> int:
        return len(self.frames)


def find_copies(
    faces: NDArray[np.uint8],
    group: NDArray[np.int64],
    threads: int = 1,
    asking: NDArray[np.bool_] | None = None,
    progress: Progress | None = None,
) -> Copies:
    """The copies among faces of different groups.

    Args:
        faces: (N,32,32,3) RGB.
        group: (N,) who, or what, each shows; faces of one group are not compared.
        asking: (N,) which faces are compared with all others; None: all of them are.
        progress: hears of faces compared, and of all.
    """
    with _at_work(threads) as pool, torch.inference_mode():
        grey = _grey(faces)
        shown = np.flatnonzero(grey.flatten(1).std(1, correction=0).numpy() >= FEWEST_DETAILS)
        if len(shown) < 2:
            return Copies(np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.float32))
        grey = grey[torch.from_numpy(shown)]
        own = np.arange(len(shown)) if asking is None else np.flatnonzero(asking[shown])
        first, second, mirrored = _candidates(
            grey, torch.from_numpy(group[shown]), torch.from_numpy(own), pool, progress
        )
        parts = zip(first.split(PAIRS), second.split(PAIRS), mirrored.split(PAIRS), strict=True)
        agreements = [torch.empty(0, 2), *pool.map(lambda part: _agreements(grey, *part), parts)]
        whole, details = torch.cat(agreements).unbind(1)
        same = (whole >= WHOLE) & (details >= DETAILS) | (details >= DETAILS_ALONE)
        pairs = torch.stack([first, second], 1)[same].numpy()
    return Copies(shown[pairs].reshape(-1, 2), whole[same].numpy())


@contextmanager
def _at_work(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each do one thing after the other: torch's own would wait for one another at every small step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def _grey(faces: NDArray[np.uint8]) -> Tensor:
    """(N,S,S) grey values, float32."""
    weights = torch.tensor([0.299, 0.587, 0.114])
    parts = torch.from_numpy(np.ascontiguousarray(faces)).split(10_000)
    return torch.cat([part.float() @ weights for part in parts]) if len(faces) else torch.empty(0, SIDE, SIDE)


# First look -----------------------------------------------------------------------------------------------------------


def _candidates(
    grey: Tensor, group: Tensor, asking: Tensor, pool: ThreadPoolExecutor, progress: Progress | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs (first < second) that a description finds alike, and whether the first has to be mirrored for that."""
    plain, flipped = _descriptions(grey)
    count = len(grey)
    least = next(likeness for most, likeness in ALIKE if count <= most)
    rows = max(1, BLOCK // count)

    def nearest(own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        likeness, mirrored = plain[own] @ plain.T, flipped[own] @ plain.T
        turned = mirrored > likeness
        torch.maximum(likeness, mirrored, out=likeness)
        likeness.masked_fill_(group[own, None] == group[None], -1)
        values, places = likeness.topk(min(NEAREST, count), dim=1)
        row, rank = torch.nonzero(values >= least, as_tuple=True)
        return own[row], places[row, rank], turned[row, places[row, rank]]

    found: dict[tuple[int, int], bool] = {}
    for done, parts in enumerate(pool.map(nearest, asking.split(rows)), 1):
        for i, j, mirror in zip(*(part.tolist() for part in parts), strict=True):
            found.setdefault((min(i, j), max(i, j)), mirror)
        if progress:
            progress(min(done * rows, len(asking)), len(asking))
    pairs = sorted(found)
    first, second = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).unbind(1)
    return first, second, torch.tensor([found[pair] for pair in pairs], dtype=torch.bool)


def _descriptions(grey: Tensor) -> tuple[Tensor, Tensor]:
    """(N,D) of each face and of its mirror image, of length 1: how it differs from the mean face, along the directions
    in which faces differ most."""
    weight = _window(0.45).sqrt().flatten()
    inside = weight > 0

    def seen(part: Tensor) -> Tensor:
        return (_even(_blurred(part, 1.0), _window(0.45)).flatten(1) * weight)[:, inside]

    step = max(1, len(grey) // 4_000)
    some = seen(grey[::step])
    mean = some.mean(0)
    spread = (some - mean).double()
    variance, directions = torch.linalg.eigh(spread.T @ spread)  # ascending
    variance, directions = variance[-WIDTH:].float(), directions[:, -WIDTH:].float()
    kept = variance > 1e-6 * variance[-1]
    basis = directions[:, kept] / variance[kept] ** 0.25  # half way to equal spread in all directions

    def described(mirror: bool) -> Tensor:
        parts = (part.flip(-1) if mirror else part for part in grey.split(2_000))
        return F.normalize(torch.cat([(seen(part) - mean) @ basis for part in parts]))

    return described(False), described(True)


# Second look ----------------------------------------------------------------------------------------------------------


def _agreements(grey: Tensor, first: Tensor, second: Tensor, mirrored: Tensor) -> Tensor:
    """(P,2) correlations of pairs after alignment: of all that lies in the circle, and of details in its middle."""
    one, other = grey[first], grey[second]
    one = torch.where(mirrored[:, None, None], one.flip(-1), one)
    pose = _start(one, other)
    for blur in (2.0, 1.0, 0.7):
        pose = _aligned(_even(_blurred(one, blur), _window(0.6)), _even(_blurred(other, blur), _window(0.6)), pose)
    found = []
    for seen, width in ((_smooth, 1.5), (_detail, 0.6)):
        moved, inside = _moved(seen(other), pose)
        weight = _window(width) * inside
        found.append(_correlation(seen(one), moved, weight).nan_to_num(-1.0))
    size = pose[:, 0, 0].square() + pose[:, 1, 0].square()
    likely = (weight.sum((1, 2)) >= LEAST_SEEN * _window(width).sum()) & (size > 1 / LARGEST) & (size < LARGEST)
    return torch.where(likely[:, None], torch.stack(found, 1), -1.0)


def _start(one: Tensor, other: Tensor) -> Tensor:
    """(P,3,3) the turn from which the other face agrees best as it is."""
    one, other = _blurred(one, 1.5), _blurred(other, 1.5)
    poses = torch.stack([_turned(degrees) for degrees in TURNS])
    agreement = []
    for pose in poses:
        moved, inside = _moved(other, pose.expand(len(other), 3, 3))
        agreement.append(_correlation(one, moved, _window(0.6) * inside))
    return poses[torch.stack(agreement).argmax(0)]


def _turned(degrees: float) -> Tensor:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _aligned(one: Tensor, other: Tensor, pose: Tensor, steps: int = 4) -> Tensor:
    """Steps of Gauss and Newton over shift, turn and size, from a pose (P,3,3) to one at which the other agrees better.

    The gradient is that of the face that stays, so that all steps share one inverse.
    """
    weight = _window(0.6).flatten() / _window(0.6).sum()
    x, y = _places()[:, 0], _places()[:, 1]
    along, down = _gradients(one)
    fixed = one.flatten(1)
    power = (fixed.square() * weight).sum(1)[:, None]
    ways = torch.stack([along * x + down * y, down * x - along * y, along, down], -1)
    ways = ways - (ways * weight[:, None]).sum(1, keepdim=True)
    # What a change of gain would do is taken out: light is no motion.
    gain = (ways * (fixed * weight)[..., None]).sum(1, keepdim=True) / power[..., None]
    ways = ways - fixed[..., None] * gain
    weighed = (ways * weight[:, None]).transpose(1, 2)
    square = weighed @ ways
    ridge = 1e-3 * square.diagonal(dim1=1, dim2=2).mean(1).clamp_min(1e-6)
    inverse = torch.linalg.inv(square + ridge[:, None, None] * torch.eye(4))
    for _ in range(steps):
        seen = _moved(other, pose)[0].flatten(1)
        seen = seen - (seen * weight).sum(1, keepdim=True)
        seen = seen / ((seen * fixed * weight).sum(1, keepdim=True) / power).clamp_min(0.3)
        size, turn, right, low = ((inverse @ (weighed @ (seen - fixed)[..., None]))[..., 0]).clamp(-0.3, 0.3).unbind(1)
        zero, one_more = torch.zeros_like(size), torch.ones_like(size)
        change = torch.stack([1 + size, -turn, right, turn, 1 + size, low, zero, zero, one_more], 1).view(-1, 3, 3)
        pose = pose @ torch.linalg.inv(change)
    return pose


def _gradients(faces: Tensor) -> tuple[Tensor, Tensor]:
    """(P,S*S) along x and down y, in units of half a face."""
    along, down = torch.zeros_like(faces), torch.zeros_like(faces)
    along[:, :, 1:-1] = (faces[:, :, 2:] - faces[:, :, :-2]) * (SIDE - 1) / 4
    down[:, 1:-1] = (faces[:, 2:] - faces[:, :-2]) * (SIDE - 1) / 4
    return along.flatten(1), down.flatten(1)


def _moved(faces: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Faces (P,S,S) as they look from a pose, and where (P,S,S) that is inside of them."""
    grid = (_places() @ pose[:, :2].transpose(1, 2)).view(-1, SIDE, SIDE, 2)
    moved = F.grid_sample(faces[:, None], grid, align_corners=True, padding_mode="border")[:, 0]
    return moved, (grid.abs() <= 1).all(-1).float()


def _places() -> Tensor:
    """(S*S,3) x, y and 1 of each pixel, from -1 to 1."""
    line = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3)


def _window(width: float) -> Tensor:
    """(S,S) a bell over the middle, nothing outside of the circle: corners are lost when a picture is turned."""
    line = torch.linspace(-1, 1, SIDE)
    square = line[:, None].square() + line.square()
    return torch.exp(-square / (2 * width**2)) * (square <= 0.95**2)


def _blurred(faces: Tensor, sigma: float) -> Tensor:
    """(P,S,S) by a Gaussian of this many pixels."""
    reach = int(3 * sigma + 0.5)
    bell = torch.exp(-(torch.arange(-reach, reach + 1).float().square()) / (2 * sigma**2))
    bell = bell / bell.sum()
    rows = F.conv2d(F.pad(faces[:, None], (reach, reach, 0, 0), "replicate"), bell.view(1, 1, 1, -1))
    return F.conv2d(F.pad(rows, (0, 0, reach, reach), "replicate"), bell.view(1, 1, -1, 1))[:, 0]


def _smooth(faces: Tensor) -> Tensor:
    """Without what codecs and filters change."""
    return _blurred(faces, 0.7)


def _detail(faces: Tensor) -> Tensor:
    """What lies between coarse and fine."""
    return _blurred(faces, 0.7) - _blurred(faces, 1.5)


def _even(faces: Tensor, weight: Tensor) -> Tensor:
    """Of mean 0 and deviation 1 under a weight (S,S) or (P,S,S)."""
    total = weight.sum((-2, -1), keepdim=True)
    faces = faces - (faces * weight).sum((1, 2), keepdim=True) / total
    return faces / ((faces.square() * weight).sum((1, 2), keepdim=True) / total).sqrt().clamp_min(1e-3)


def _correlation(one: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """(P,) under a weight (P,S,S)."""
    return (_even(one, weight) * _even(other, weight) * weight).sum((1, 2)) / weight.sum((1, 2))
