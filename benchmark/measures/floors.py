"""Floors and oracle: the rows between which every other row is read.

`majority` answers the commonest class of the training part, `random` draws from its class shares, and `oracle` sees the
action units that a twin really shows: what it misses is label noise and expressions that share their units. `people`
answers what most of those said whom a release asked; where nobody chose any class all are as likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, divided
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.frames import stand_ins
from ferbench.datasets.splits import Split
from ferbench.datasets.streams import number_of
from ferbench.datasets.views import intervals

if TYPE_CHECKING:
    from pathlib import Path

TITLES = {
    "majority": "Majority class", "random": "Random draw", "oracle": "Oracle (true action units)",
    "people": "People who saw the face",
}  # fmt: skip


class NoTruthError(Exception):
    """Only a twin says which action units its pictures show."""


def baseline_scores(name: str, corpus: Corpus, protocol: Protocol, split: Split, seed: int) -> NDArray[np.float64]:
    """(S,C) class scores of the test samples; of a value (S,1): the training mean, a training sample's, the oracle's.

    Raises:
        NoTruthError: the oracle is asked of data that are no twin.
    """
    if corpus.target is not None:
        return _baseline_values(name, corpus, protocol, split, seed)[:, None]
    count = np.bincount(corpus.label[split.train], minlength=len(corpus.classes))
    share = count / count.sum()
    if name == "majority":
        return np.tile(np.eye(len(share))[share.argmax()], (len(split.test), 1))
    if name == "people":
        if corpus.votes is None:
            raise NoTruthError("what people saw is not published with these data, or its table is not there")
        votes = corpus.votes[split.test]
        return np.where(votes.sum(axis=1, keepdims=True) > 0, votes, 1) / np.maximum(
            votes.sum(axis=1, keepdims=True), 1
        )
    rng = _stream(name, corpus, seed)
    if name == "random":
        return np.eye(len(share))[rng.choice(len(share), size=len(split.test), p=share)]
    return _oracle(corpus, protocol, split, int(rng.integers(2**31)))


def _stream(name: str, corpus: Corpus, seed: int) -> np.random.Generator:
    return np.random.default_rng(number_of(seed, "baseline", name, corpus.name))


def _baseline_values(name: str, corpus: Corpus, protocol: Protocol, split: Split, seed: int) -> NDArray[np.float64]:
    """(S,) answers where the task is a value."""
    assert corpus.target is not None
    learned = corpus.target[split.train]
    if name == "majority":
        return np.full(len(split.test), learned.mean())
    rng = _stream(name, corpus, seed)
    if name == "random":
        return rng.choice(learned, size=len(split.test))
    from sklearn.ensemble import ExtraTreesRegressor

    features = shown_units(corpus, protocol, corpus.root / "truth.npz")
    train = np.concatenate([split.train, split.validation])
    forest = ExtraTreesRegressor(400, min_samples_leaf=2, random_state=int(rng.integers(2**31)))
    answers: NDArray[np.float64] = forest.fit(features[train], corpus.target[train]).predict(features[split.test])
    return answers


def _oracle(corpus: Corpus, protocol: Protocol, split: Split, seed: int) -> NDArray[np.float64]:
    from sklearn.ensemble import ExtraTreesClassifier

    features = shown_units(corpus, protocol, corpus.root / "truth.npz")
    train = np.concatenate([split.train, split.validation])
    forest = ExtraTreesClassifier(400, min_samples_leaf=2, class_weight="balanced", random_state=seed)
    forest.fit(features[train], corpus.label[train])
    scores = np.zeros((len(split.test), len(corpus.classes)))
    scores[:, forest.classes_] = forest.predict_proba(features[split.test])
    return scores


def shown_units(corpus: Corpus, protocol: Protocol, truth_file: Path) -> NDArray[np.float32]:
    """(S,F) what the oracle sees of each sample: all that a view of it can show.

    The units of its last frame; those of its neutral reference, and the difference, where the protocol names a frame
    that is not its own first; of a sample with a context those of the first and the last frame around it, their
    difference and the mean; of a sequence those of its first frame, the difference, and when each unit first passes
    half of its largest value, as a share of the sequence. A frame that is missing shows what stands in for it.
    """
    if not truth_file.is_file():
        raise NoTruthError("true action units are known of twins only")
    with np.load(truth_file) as truth:
        row = truth_rows(truth["files"].tolist(), corpus.frames)
        units = truth["units"].astype(np.float32)[row[stand_ins(corpus, row >= 0)]]
    last = units[corpus.stop - 1]
    seen = [last]
    if corpus.track_neutral is not None or (protocol.context and protocol.neutral == "first_frame"):
        begin = corpus.track_start if corpus.track_neutral is None else corpus.track_neutral
        neutral = units[begin[corpus.track]]
        seen += [neutral, last - neutral]
    start, stop = intervals(corpus, protocol, np.arange(len(corpus)))
    if (stop - start == 1).all():
        return np.concatenate(seen, axis=1)
    first, final = units[start], units[stop - 1]
    if protocol.context:
        mean = np.stack([units[a:b].mean(axis=0) for a, b in zip(start, stop, strict=True)])
        return np.concatenate([*seen, first, final, final - first, mean], axis=1)
    when = np.stack([_rise(units[a:b]) for a, b in zip(start, stop, strict=True)])
    return np.concatenate([*seen, first, last - first, when], axis=1)


def truth_rows(files: Sequence[str], frames: Sequence[str]) -> NDArray[np.int64]:
    """(N,) row of the truth for each frame of a corpus; -1 where it holds none.

    A picture of a video has the truth of that which lies nearest in time, the earlier of two: the one that the decoder
    answers with.
    """
    place = {file: i for i, file in enumerate(files)}
    times: dict[str, list[tuple[float, int]]] = {}
    for file, i in place.items():
        video, within = divided(file)
        if within.startswith("#t="):
            times.setdefault(video, []).append((float(within[3:]), i))

    def row(frame: str) -> int:
        video, within = divided(frame)
        if frame in place or video not in times:
            return place.get(frame, -1)
        return min(times[video], key=lambda shown: (abs(shown[0] - float(within[3:])), shown[0]))[1]

    return np.array([row(frame) for frame in frames], dtype=np.int64)


def _rise(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A,) share of the sequence (T,A) after which each unit has passed half of its rise; 1 where it never rises."""
    change = np.abs(units - units[0])
    peak = change.max(axis=0)
    passed = (change >= 0.5 * peak).argmax(axis=0) / len(units)
    return np.where(peak > 0.1, passed, 1.0).astype(np.float32)
