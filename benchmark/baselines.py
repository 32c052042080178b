"""Floors and oracle: the rows between which every other row is read.

`majority` answers the commonest class of the training part, `random` draws from its class shares, and `oracle` sees the
action units that a twin really shows: what it misses is label noise and expressions that share their units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets.corpus import Corpus
from datasets.splits import Split
from datasets.streams import number_of

if TYPE_CHECKING:
    from pathlib import Path

TITLES = {"majority": "Majority class", "random": "Random draw", "oracle": "Oracle (true action units)"}


class NoTruthError(Exception):
    """Only a twin says which action units its pictures show."""


def baseline_scores(name: str, corpus: Corpus, split: Split, seed: int) -> NDArray[np.float64]:
    """(S,C) class scores of the test samples.

    Raises:
        NoTruthError: the oracle is asked of data that are no twin.
    """
    count = np.bincount(corpus.label[split.train], minlength=len(corpus.classes))
    share = count / count.sum()
    if name == "majority":
        return np.tile(np.eye(len(share))[share.argmax()], (len(split.test), 1))
    rng = np.random.default_rng(number_of(seed, "baseline", name, corpus.name))
    if name == "random":
        return np.eye(len(share))[rng.choice(len(share), size=len(split.test), p=share)]
    return _oracle(corpus, split, int(rng.integers(2**31)))


def _oracle(corpus: Corpus, split: Split, seed: int) -> NDArray[np.float64]:
    from sklearn.ensemble import ExtraTreesClassifier

    features = shown_units(corpus, corpus.root / "truth.npz")
    train = np.concatenate([split.train, split.validation])
    forest = ExtraTreesClassifier(400, min_samples_leaf=2, class_weight="balanced", random_state=seed)
    forest.fit(features[train], corpus.label[train])
    scores = np.zeros((len(split.test), len(corpus.classes)))
    scores[:, forest.classes_] = forest.predict_proba(features[split.test])
    return scores


def shown_units(corpus: Corpus, truth_file: Path) -> NDArray[np.float32]:
    """(S,F) what the oracle sees of each sample.

    The units of its last frame; of a sequence also those of its first, their difference, and when each unit first
    passes half of its largest value, as a share of the sequence.
    """
    if not truth_file.is_file():
        raise NoTruthError("true action units are known of twins only")
    with np.load(truth_file) as truth:
        place = {file: i for i, file in enumerate(truth["files"].tolist())}
        units = truth["units"].astype(np.float32)[[place[frame] for frame in corpus.frames]]
    last, first = units[corpus.stop - 1], units[corpus.start]
    if (corpus.stop - corpus.start == 1).all():
        return last
    when = np.stack([_rise(units[a:b]) for a, b in zip(corpus.start, corpus.stop, strict=True)])
    return np.concatenate([last, first, last - first, when], axis=1)


def _rise(units: NDArray[np.float32]) -> NDArray[np.float32]:
    """(A,) share of the sequence (T,A) after which each unit has passed half of its rise; 1 where it never rises."""
    change = np.abs(units - units[0])
    peak = change.max(axis=0)
    passed = (change >= 0.5 * peak).argmax(axis=0) / len(units)
    return np.where(peak > 0.1, passed, 1.0).astype(np.float32)
