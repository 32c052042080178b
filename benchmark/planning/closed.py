"""A data set with the test part of a fold closed, for whoever may learn nothing of it: a search for a recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.splits import Split, groups_of, leaks_of, split


def of_test_part(corpus: Corpus, protocol: Protocol, fold: int) -> NDArray[np.bool_]:
    """(S,) which samples a fold tests, told without looking at any picture.

    Raises:
        DataError: the pictures themselves decide it, as where subjects are unknown and no part is official.
    """
    if any(corpus.part):
        return np.array(corpus.part) == "test"
    if corpus.fold is not None:
        return np.asarray(corpus.fold == fold)
    if any(name is None for name in corpus.group):
        raise DataError(f"{corpus.name}: its test part cannot stay closed, since subjects are unknown and no part is "
                        "official: put the pictures into train and test folders")  # fmt: skip
    groups = groups_of(corpus, np.zeros(len(corpus.frames), dtype=np.uint64))
    return np.isin(groups, sorted(set(groups.tolist()))[fold :: protocol.folds])


def without_test(corpus: Corpus, protocol: Protocol, fold: int) -> Corpus:
    """The corpus without the samples that a fold tests, nor any other of their tracks; its frames keep their numbers.

    A frame store of it holds no frame of the test part: no sample that is left uses one.
    """
    tracks = np.unique(corpus.track[of_test_part(corpus, protocol, fold)])
    kept = np.flatnonzero(~np.isin(corpus.track, tracks))

    def some(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[i] for i in kept.tolist())

    return replace(
        corpus,
        sample_id=some(corpus.sample_id),
        track=corpus.track[kept],
        start=corpus.start[kept],
        stop=corpus.stop[kept],
        label=corpus.label[kept],
        part=some(corpus.part) if corpus.part else corpus.part,
        target=None if corpus.target is None else corpus.target[kept],
        fold=None if corpus.fold is None else corpus.fold[kept],
        attributes={name: some(values) for name, values in corpus.attributes.items()},
        votes=None if corpus.votes is None else corpus.votes[kept],
    )


def parts_without_test(
    whole: Corpus, corpus: Corpus, protocol: Protocol, fold: int, content: NDArray[np.uint64]
) -> Split:
    """The training and validation parts of a fold, those of its cells, in the numbers of a corpus without its test.

    The validation part is cut as for the cells. What the test part holds twice is not known here: under a protocol that
    drops copies of test pictures from training, they stay in it.

    Args:
        whole: all that there is, by name.
        content: (N,) as for `split`, of the frames that were opened; 0 for all others.

    Raises:
        DataError: the two parts share pictures or people; whatever `split` refuses.
    """
    place = {name: i for i, name in enumerate(corpus.sample_id)}
    closed = np.setdiff1d(np.arange(len(whole.frames)), _shown(corpus))
    assumed = np.array(content)  # that each can be read, and shows what no other does
    assumed[closed] = np.iinfo(np.uint64).max - closed.astype(np.uint64)
    found = split(whole, protocol, fold, assumed)
    train, validation, dropped = (
        np.array([place[whole.sample_id[i]] for i in rows.tolist() if whole.sample_id[i] in place], dtype=np.int64)
        for rows in (found.train, found.validation, found.dropped)
    )
    parts = Split(train, validation, np.empty(0, dtype=np.int64), dropped)
    if leaks := leaks_of(corpus, parts, content):
        raise DataError(f"{corpus.name}: {leaks[0]}: remove one of each, or set the protocol's copies")
    return parts


def _shown(corpus: Corpus) -> NDArray[np.int64]:
    """Frames of the samples of a corpus."""
    ranges = [np.arange(start, stop) for start, stop in zip(corpus.start, corpus.stop, strict=True)]
    return np.concatenate(ranges) if ranges else np.empty(0, dtype=np.int64)
