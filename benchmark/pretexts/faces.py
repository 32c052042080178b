"""Rendered faces for the pretexts: people that no twin shows, moved by action units drawn at random.

Geometry targets are made of the 68 landmarks alone: where they are in the picture, and where they are once position,
size and tilt of the face, or of one part of it, are taken away (which leaves who it is and what the face does), with
the head's pose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.action_units import ACTION_UNITS, unit_index
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.landmarks import landmarks
from ferbench.datasets.synthetic.renderer import render
from ferbench.datasets.synthetic.scene import Scenes, Style, track_scenes

AT_ONCE = 256
EYES = (slice(36, 42), slice(42, 48))
PARTS = (
    [*range(17, 22), *range(36, 42)],
    [*range(22, 27), *range(42, 48)],
    [*range(27, 36)],
    [*range(48, 68)],
)
"""Landmarks (iBUG's order) of each eye with its brow, of the nose and of the mouth."""
STYLES: tuple[Style, ...] = ("wild", "wild", "lab")
"""Two of three pictures are taken anywhere, one in a laboratory."""


@dataclass(frozen=True)
class Faces:
    """Pictures with the targets of a pretext."""

    pictures: NDArray[np.uint8]
    """(N,H,W,3), or (N,T,H,W,3) of clips."""
    targets: NDArray[np.float32] | NDArray[np.int64]
    """(N,F) standardised numbers, or (N,) identities."""
    outputs: int
    """F, or the number of identities."""

    @property
    def is_identity(self) -> bool:
        """Whether the targets are identities."""
        return self.targets.ndim == 1


def person(purpose: str, seed: int, i: int) -> int:
    """Number of the i-th identity of a pretext; a twin's people are named otherwise, so the two never meet."""
    return number_of("pretrain", purpose, seed, i)


def random_units(rng: np.random.Generator) -> NDArray[np.float32]:
    """(A,) action units that follow no emotion: each is there with a chance of 0.25, at any intensity."""
    units = np.where(rng.random(len(ACTION_UNITS)) < 0.25, rng.random(len(ACTION_UNITS)), 0.0)
    one_sided = rng.random() < 0.1
    units[unit_index("ASYM")] = rng.uniform(-1, 1) if one_sided else 0.0
    units[unit_index("AU43")] *= rng.random() < 0.2
    return units.astype(np.float32)


def stills(count: int, seed: int, size: int) -> Faces:
    """One picture each of `count` people, with geometry targets."""
    pictures, shapes, poses = [], [], []
    for i, style in _batches(count):
        rng = [np.random.default_rng(number_of("pretrain units", seed, int(n))) for n in i]
        units = torch.from_numpy(np.stack([random_units(r) for r in rng]))
        identities = sample_identities([person("geometry", seed, int(n)) for n in i])
        scenes = track_scenes([number_of("pretrain scene", seed, int(n)) for n in i], [0] * len(i), style=style)
        pictures.append(_picture(render(identities, units, scenes, size)))
        shapes.append(landmarks(identities, units, scenes, size).numpy())
        poses.append(_pose(scenes))
    order = _shuffled(count, seed)
    shape = np.concatenate(shapes)
    targets = standardised(np.concatenate([placement(shape), np.concatenate(poses), geometry(shape)], axis=1))
    return Faces(np.concatenate(pictures)[order], targets[order], targets.shape[1])


def clips(count: int, frames: int, seed: int, size: int) -> Faces:
    """`count` clips of one person each, whose face goes from one random state to another and on to a third.

    Targets are the geometry of the last frame and how the aligned landmarks moved, first to middle to last.
    """
    pictures, shapes, poses = [], [], []
    for i, style in _batches(count, AT_ONCE // frames):
        rng = [np.random.default_rng(number_of("pretrain clip", seed, int(n))) for n in i]
        units = torch.from_numpy(np.concatenate([random_motion(r, frames) for r in rng]))
        owner = np.repeat(np.arange(len(i)), frames)
        identities = sample_identities([person("motion", seed, int(n)) for n in i])[owner.tolist()]
        seeds = [number_of("pretrain clip scene", seed, int(i[o])) for o in owner]
        scenes = track_scenes(seeds, (3 * np.tile(np.arange(frames), len(i))).tolist(), style=style)
        pictures.append(_picture(render(identities, units, scenes, size)))
        shapes.append(landmarks(identities, units, scenes, size).numpy())
        poses.append(_pose(scenes))
    order = _shuffled(count, seed)
    shape, pose = np.concatenate(shapes), np.concatenate(poses).reshape(count, frames, -1)
    still = geometry(shape).reshape(count, frames, -1)
    first, middle, last = still[:, 0], still[:, frames // 2], still[:, -1]
    targets = standardised(np.concatenate([last, last - first, middle - first, pose[:, -1] - pose[:, 0]], axis=1))
    movie = np.concatenate(pictures)
    return Faces(movie.reshape(count, frames, *movie.shape[1:])[order], targets[order], targets.shape[1])


def people(number: int, count: int, seed: int, size: int) -> Faces:
    """`count` pictures of `number` people, each with another expression in another place; the target is who it is."""
    pictures = []
    for i, style in _batches(count):
        rng = [np.random.default_rng(number_of("pretrain portrait", seed, int(n))) for n in i]
        units = torch.from_numpy(np.stack([random_units(r) for r in rng]))
        identities = sample_identities([person("identity", seed, int(n) % number) for n in i])
        seeds = [number_of("pretrain portrait scene", seed, int(n)) for n in i]
        pictures.append(_picture(render(identities, units, track_scenes(seeds, [0] * len(i), style=style), size)))
    order = _shuffled(count, seed)
    return Faces(np.concatenate(pictures)[order], (np.arange(count) % number)[order], number)


def random_motion(rng: np.random.Generator, frames: int) -> NDArray[np.float32]:
    """(T,A) action units that go smoothly through three random states, each unit at its own pace."""
    states = np.stack([random_units(rng) * rng.uniform(0, 1) for _ in range(3)])
    pace = rng.uniform(0.6, 1.6, size=states.shape[1])
    time = 2 * np.linspace(0, 1, frames)[:, None] ** pace
    step = np.minimum(time.astype(int), 1)
    share = time - step
    channel = np.arange(states.shape[1])
    return ((1 - share) * states[step, channel] + share * states[step + 1, channel]).astype(np.float32)


def aligned(shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,136) landmarks (N,68,2) less their centre, over their size, turned so that the eyes are level."""
    centred = shape - shape.mean(axis=1, keepdims=True)
    eyes = shape[:, EYES[1]].mean(axis=1) - shape[:, EYES[0]].mean(axis=1)
    angle = np.arctan2(eyes[:, 1], eyes[:, 0])
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    size = np.sqrt(np.square(centred).mean(axis=(1, 2)))[:, None]
    x, y = centred[..., 0], centred[..., 1]
    return np.concatenate([(cos * x + sin * y) / size, (cos * y - sin * x) / size], axis=1)


def geometry(shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,238) aligned landmarks, and each part of the face about its own centre: either eye with its brow, nose, mouth.

    The second form tells how a mouth is bent wherever it is, which in the first is drowned by how long the face is.
    """
    points = aligned(shape).reshape(len(shape), 2, -1)
    parts = [points[:, :, part] - points[:, :, part].mean(axis=2, keepdims=True) for part in PARTS]
    return np.concatenate([points.reshape(len(shape), -1), *(part.reshape(len(shape), -1) for part in parts)], axis=1)


def placement(shape: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,5) where the face is in the picture: centre, size, and the direction of the line between the eyes."""
    centred = shape - shape.mean(axis=1, keepdims=True)
    size = np.sqrt(np.square(centred).mean(axis=(1, 2)))[:, None]
    eyes = shape[:, EYES[1]].mean(axis=1) - shape[:, EYES[0]].mean(axis=1)
    return np.concatenate([shape.mean(axis=1), size, eyes / np.linalg.norm(eyes, axis=1, keepdims=True)], axis=1)


def standardised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Columns with mean 0 and deviation 1."""
    return ((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-6)).astype(np.float32)


def _batches(count: int, at_once: int = AT_ONCE) -> Iterator[tuple[NDArray[np.int64], Style]]:
    """Numbers of the faces to render together, and the style that they share."""
    for n, start in enumerate(range(0, count, at_once)):
        yield np.arange(start, min(count, start + at_once)), STYLES[n % len(STYLES)]


def _shuffled(count: int, seed: int) -> NDArray[np.int64]:
    """An order in which styles and people are mixed, so that a tail of it is a fair part to hold out."""
    return np.random.default_rng(number_of("pretrain shuffle", seed)).permutation(count)


def _picture(images: Tensor) -> NDArray[np.uint8]:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def _pose(scenes: Scenes) -> NDArray[np.float32]:
    return torch.stack([scenes.yaw, scenes.pitch, scenes.roll], dim=1).numpy()
