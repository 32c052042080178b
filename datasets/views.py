"""How an architecture sees a sample: which frames, in which order, as one index array a batch.

All of it is arithmetic on whole arrays; nothing runs per item. An *instance* is one input of a model: (K,) frames
of one sample. An image or pair view has one instance for each of a sample's last frames, and their scores are
averaged; a clip or sequence view has one instance a sample.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.corpus import Corpus, DataError
from datasets.dataset import Protocol
from datasets.splits import stable_rank


@dataclass(frozen=True)
class Instances:
    """Inputs of a model: `frames` (I,K) indices into the frame store, `sample` (I,) the sample of each."""

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
    if view in ("clip", "sequence"):
        return Instances(segments(corpus.start[samples], corpus.stop[samples], frames, rng), samples)
    targets, owners = last_frames(corpus.start[samples], corpus.stop[samples], protocol.image_frames)
    sample = samples[owners]
    if view == "image":
        return Instances(targets[:, None], sample)
    neutral = neutral_frames(corpus, protocol, samples, training)[owners]
    return Instances(np.stack([neutral, targets], axis=1), sample)


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

    `first_frame`: the first frame of its track. `training_neutral`: a neutral face of the training part, chosen by
    the hash of the sample's name, whatever the order of the samples.

    Raises:
        DataError: the rule needs a neutral class and the training part has none.
    """
    if protocol.neutral == "first_frame":
        return corpus.track_start[corpus.track[samples]]
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
