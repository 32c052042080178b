"""Who is trained on, who chooses the epoch, who is tested: drawn by subject, the same for every architecture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol


@dataclass(frozen=True)
class Split:
    """Indices of the samples of each part, ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]

    @property
    def parts(self) -> dict[str, NDArray[np.int64]]:
        """The three parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def stable_rank(names: Sequence[str], salt: str) -> NDArray[np.int64]:
    """Order of the names by a hash: the same on every machine, whatever else is in the list."""
    digests = [hashlib.sha256(f"{salt}\0{name}".encode()).digest() for name in names]
    return np.array(sorted(range(len(names)), key=digests.__getitem__), dtype=np.int64)


def split(corpus: Corpus, protocol: Protocol, fold: int, content: NDArray[np.uint64]) -> Split:
    """The fold's parts: official ones where the release has them, else `subjects[fold::folds]` for the test.

    The validation part is the official one, or else cut from training by subject (by group, where the corpus says that
    more than a subject must stay together). Where subjects are unknown it is cut by image content
    (`content` is a hash of each frame), so that a picture that the release holds twice stays on one side.

    Raises:
        DataError: no such fold, a part without samples, a subject or an image in two parts.
    """
    if not 0 <= fold < protocol.folds:
        raise DataError(f"{corpus.name}: no fold {fold}: the protocol has {protocol.folds}, counted from 0")
    groups = groups_of(corpus, content)
    part = np.array(corpus.part)
    if any(corpus.part):
        test = part == "test"
        rest = part == "train"
    else:
        subjects = sorted(set(groups.tolist()))
        test = np.isin(groups, subjects[fold :: protocol.folds])
        rest = ~test
    validation = part == "validation"
    if not validation.any():
        candidates = sorted(set(groups[rest].tolist()))
        order = stable_rank(candidates, salt=f"validation of {corpus.dataset}, fold {fold}")
        chosen = [candidates[i] for i in order[: max(1, round(protocol.validation * len(candidates)))]]
        validation = rest & np.isin(groups, chosen)
    result = Split(
        train=np.flatnonzero(rest & ~validation), validation=np.flatnonzero(validation), test=np.flatnonzero(test)
    )
    refuse_empty_parts(corpus, result)
    refuse_shared_subjects(corpus, result)
    refuse_shared_images(corpus, result, content)
    return result


def groups_of(corpus: Corpus, content: NDArray[np.uint64]) -> NDArray[np.str_]:
    """(S,) what must stay together: the group or the subject, or where both are unknown what shows the same image.

    Such a group has the first of its samples' names, so that it does not depend on how large the frames were read.
    """
    first: dict[int, str] = {}
    images = [int(i) for i in content[corpus.stop - 1]]
    for image, name in sorted(zip(images, corpus.sample_id, strict=True), key=lambda pair: pair[1]):
        first.setdefault(image, name)
    names = zip(corpus.group, images, corpus.sample_id, strict=True)
    return np.array([s if s is not None else first[i] if i else name for s, i, name in names])


def refuse_empty_parts(corpus: Corpus, parts: Split) -> None:
    """Raises DataError where a part has no sample."""
    for name, samples in parts.parts.items():
        if not len(samples):
            raise DataError(f"{corpus.name} in {corpus.root}: the {name} part is empty: add data or use fewer folds")


def refuse_shared_subjects(corpus: Corpus, parts: Split) -> None:
    """Raises DataError where a subject is in two parts: scores across such a split mean nothing."""
    subject, group = corpus.subject, corpus.group
    members = {
        name: ({subject[i] for i in rows} | {group[i] for i in rows}) - {None} for name, rows in parts.parts.items()
    }
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        shared = members[one] & members[other]
        if shared:
            raise DataError(
                f"{corpus.name}: subject {min(map(str, shared))} is in the {one} and the {other} part "
                f"({len(shared)} in all): give every subject one part"
            )


def refuse_shared_images(corpus: Corpus, parts: Split, content: NDArray[np.uint64]) -> None:
    """Raises DataError where the same image (by content hash of each frame) is in two parts."""
    frames = {name: _frames_of(corpus, rows) for name, rows in parts.parts.items()}
    for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
        shared = np.intersect1d(content[frames[one]], content[frames[other]])
        shared = shared[shared != 0]
        if len(shared):
            first, second = (next(f for f in frames[n] if content[f] == shared[0]) for n in (one, other))
            raise DataError(
                f"{corpus.name}: the same image is in the {one} and the {other} part: {corpus.frames[first]} and "
                f"{corpus.frames[second]} ({len(shared)} in all): remove one of each"
            )


def _frames_of(corpus: Corpus, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    ranges = [np.arange(corpus.start[i], corpus.stop[i]) for i in samples]
    return np.concatenate(ranges) if ranges else np.empty(0, dtype=np.int64)
