"""How an architecture sees a sample: which frames, in which order, as one index array a batch.

All of it is arithmetic on whole arrays; nothing runs per item. An *instance* is one input of a model: (K,) frames
of one sample. An image or pair view has one instance for each of a sample's last frames, and their scores are
averaged; a clip view has one instance a sample. A sequence view has one label a frame: its instances are windows of
the track where the protocol has a context (frame-level data), else one a sample.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.splits import stable_rank
from ferbench.datasets.streams import number_of


@dataclass(frozen=True)
class Instances:
    """Inputs of a model: `frames` (I,K) indices into the frame store, `sample` the sample of each, (I,); of a sequence
    (I,K), the sample that each frame belongs to, or -1."""

    frames: NDArray[np.int64]
    sample: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sample)


def instances(
    view: str,
    corpus: Corpus,
    protocol: Protocol,
    samples: NDArray[np.int64],
    frames: int,
    training: NDArray[np.int64],
    rng: np.random.Generator | None = None,
) -> Instances:
    """The inputs that `samples` give under a view.

    Args:
        view: `image`, `pair`, `clip` or `sequence`.
        samples: indices of the samples, (S,).
        frames: T of a clip or a sequence.
        training: indices of the training samples, where a neutral reference may come from.
        rng: draws the offset within each segment of a clip (training); None takes the centres (test).
    """
    if view == "clip":
        drawn = segments(*_reach(corpus, protocol, samples), frames, rng)
        first, end = corpus.track_start[corpus.track[samples]], corpus.track_start[corpus.track[samples] + 1]
        return Instances(np.clip(drawn, first[:, None], end[:, None] - 1), samples)
    if view == "sequence" and protocol.context:
        return windows(corpus, samples, frames, rng)
    if view == "sequence":
        drawn = segments(corpus.start[samples], corpus.stop[samples], frames, rng)
        return Instances(drawn, np.repeat(samples[:, None], frames, axis=1))
    targets, owners = last_frames(corpus.start[samples], corpus.stop[samples], protocol.image_frames)
    sample = samples[owners]
    if view == "image":
        return Instances(targets[:, None], sample)
    neutral = neutral_frames(corpus, protocol, samples, training)[owners]
    return Instances(np.stack([neutral, targets], axis=1), sample)


def intervals(
    corpus: Corpus, protocol: Protocol, samples: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and stop of the frames that a clip may show of each sample: its own, or those of the context around it."""
    start, stop = _reach(corpus, protocol, samples)
    tracks = corpus.track[samples]
    return np.maximum(start, corpus.track_start[tracks]), np.minimum(stop, corpus.track_start[tracks + 1])


def _reach(
    corpus: Corpus, protocol: Protocol, samples: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same, but a context may reach beyond the ends of its track, where the first or the last frame is repeated:
    so the sample stays at frame T // 2 of the clip."""
    start, stop = corpus.start[samples], corpus.stop[samples]
    if not protocol.context:
        return start, stop
    begin = (start + stop - 1) // 2 - protocol.context // 2
    return begin, begin + protocol.context


def windows(corpus: Corpus, samples: NDArray[np.int64], frames: int, rng: np.random.Generator | None) -> Instances:
    """Windows of `frames` consecutive frames that tile the tracks of the samples; those without any are left out.

    With `rng` (training) each track's tiling begins at a random frame; without, at its first one, and the last window
    is shifted back so that it ends with the track. A track that is shorter than a window repeats its last frame,
    which belongs to no sample then.
    """
    owner = sample_of_frame(corpus, samples)
    tracks = np.unique(corpus.track[samples])
    first, end = corpus.track_start[tracks], corpus.track_start[tracks + 1]
    offset = np.zeros(len(tracks), dtype=np.int64)
    if rng is not None:  # what lies before the offset is seen through a window that begins with the track
        offset = rng.integers(0, frames, len(tracks)) - frames + 1
    count = -(-(end - first - offset) // frames)
    track = np.repeat(np.arange(len(tracks)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    begin = (first + offset)[track] + place * frames
    begin = np.maximum(first[track], np.minimum(begin, end[track] - frames))
    seen = begin[:, None] + np.arange(frames)
    inside = seen < end[track][:, None]
    seen = np.minimum(seen, end[track][:, None] - 1)
    sample = np.where(inside, owner[seen], -1)
    used = (sample >= 0).any(axis=1)
    return Instances(seen[used], sample[used])


def sample_of_frame(corpus: Corpus, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) for each frame of the corpus the sample of `samples` that holds it, or -1."""
    owner = np.full(len(corpus.frames), -1, dtype=np.int64)
    length = corpus.stop[samples] - corpus.start[samples]
    inside = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    owner[np.repeat(corpus.start[samples], length) + inside] = np.repeat(samples, length)
    return owner


def frames_seen(
    view: str, corpus: Corpus, protocol: Protocol, samples: NDArray[np.int64], training: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Every frame that any draw of these samples can show under a view, ascending."""
    if view in ("image", "pair"):
        return np.unique(instances(view, corpus, protocol, samples, 1, training).frames)
    tracks = corpus.track[samples]
    start, stop = corpus.track_start[tracks], corpus.track_start[tracks + 1]
    if view == "clip" or not protocol.context:
        start, stop = intervals(corpus, protocol, samples)
    steps = np.zeros(len(corpus.frames) + 1, dtype=np.int64)
    np.add.at(steps, start, 1)
    np.add.at(steps, stop, -1)
    return np.flatnonzero(np.cumsum(steps[:-1]))


def segments(
    start: NDArray[np.int64], stop: NDArray[np.int64], frames: int, rng: np.random.Generator | None
) -> NDArray[np.int64]:
    """(S,T) one frame from each of T equal segments of [start, stop): the centre, or a random one.

    An interval shorter than T repeats frames; their order never changes.
    """
    length = (stop - start)[:, None]
    offset = 0.5 if rng is None else rng.random((len(start), frames))
    place = np.floor((np.arange(frames) + offset) * length / frames).astype(np.int64)
    return start[:, None] + np.minimum(place, length - 1)


def shuffled(inputs: Instances, corpus: Corpus, rng: np.random.Generator | None = None) -> Instances:
    """The same inputs, the frames of each in a random order: an ablation that takes time away.

    Args:
        rng: draws another order each time (training); None takes the one that the name of an input's first frame
            fixes (test).
    """
    if rng is not None:
        keys = rng.random(inputs.frames.shape)
    else:
        seeds = [number_of("order of frames", corpus.frames[first]) for first in inputs.frames[:, 0]]
        keys = np.stack([np.random.default_rng(seed).random(inputs.frames.shape[1]) for seed in seeds])
    order = keys.argsort(axis=1)
    sample = inputs.sample if inputs.sample.ndim == 1 else np.take_along_axis(inputs.sample, order, axis=1)
    return Instances(np.take_along_axis(inputs.frames, order, axis=1), sample)


def last_frames(
    start: NDArray[np.int64], stop: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The last `count` frames of each interval (all of a shorter one), flat, and the interval of each."""
    kept = np.minimum(stop - start, count)
    owners = np.repeat(np.arange(len(start)), kept)
    place = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
    return (stop - kept)[owners] + place, owners


def neutral_frames(
    corpus: Corpus, protocol: Protocol, samples: NDArray[np.int64], training: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(S,) frame of the neutral reference of each sample.

    `first_frame`: the first frame of its track. `enrolment_frame`: that of its subject. `training_neutral`: a neutral
    face of the training part, chosen by the hash of the sample's name, whatever the order of the samples.

    Raises:
        DataError: the rule needs a neutral class and the training part has none.
    """
    if protocol.neutral == "first_frame":
        return corpus.track_start[corpus.track[samples]]
    if protocol.neutral == "enrolment_frame":
        if corpus.track_neutral is None:
            raise DataError(f"{corpus.name}: it names no enrolment frames: choose another neutral rule")
        return corpus.track_neutral[corpus.track[samples]]
    neutrals = training[corpus.label[training] == corpus.neutral_class] if corpus.neutral_class is not None else []
    if not len(neutrals):
        raise DataError(f"{corpus.name}: a pair needs a neutral face and the training part has none: add some, or "
                        "leave out the architectures that see pairs")  # fmt: skip
    names = [corpus.sample_id[i] for i in neutrals]
    ranked = np.asarray(neutrals)[stable_rank(names, salt="neutral")]
    draw = np.array([int.from_bytes(_digest(corpus.sample_id[i]), "little") % len(ranked) for i in samples])
    own = ranked[draw] == samples  # a training neutral that drew itself takes the next one
    return corpus.stop[ranked[(draw + own) % len(ranked)]] - 1


def _digest(name: str) -> bytes:
    return hashlib.sha256(f"neutral of {name}".encode()).digest()[:8]
