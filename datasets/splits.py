"""Who is trained on, who chooses the epoch, who is tested: drawn by subject, the same for every architecture."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import CopiesRule, Protocol

PAIRS_OF_PARTS = (("train", "test"), ("train", "validation"), ("validation", "test"))


@dataclass(frozen=True)
class Split:
    """Indices of the samples of each part, ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    dropped: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    """Samples that the rule for copies took out of their part."""

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

    Where the release names the fold that tests each sample, that is the test part of the fold and all else is trained
    on.

    The validation part is the official one, or else cut from training by subject (by group, where the corpus says that
    more than a subject must stay together), so that each class keeps a training sample where it can. Where subjects are
    unknown it is cut by image content, so that a picture that the release holds twice stays on one side.

    A sample of which no frame can be read is tested all the same, and neither trained on nor used to choose. What the
    protocol's rule for copies drops is in no part.

    Args:
        content: (N,) hash of each frame, the same for copies of one picture; 0 where it cannot be read.

    Raises:
        DataError: no such fold, or a part without samples.
    """
    if not 0 <= fold < protocol.folds:
        raise DataError(f"{corpus.name}: no fold {fold}: the protocol has {protocol.folds}, counted from 0")
    groups = groups_of(corpus, content)
    part, seen = np.array(corpus.part), ~unseen(corpus, content)
    if any(corpus.part):
        test = part == "test"
        rest = (part == "train") & seen
    elif corpus.fold is not None:
        test = corpus.fold == fold
        rest = ~test & seen
    else:
        subjects = sorted(set(groups.tolist()))
        test = np.isin(groups, subjects[fold :: protocol.folds])
        rest = ~test & seen
    validation = (part == "validation") & seen
    if not validation.any():
        validation = rest & np.isin(groups, _for_validation(corpus, protocol, fold, groups, rest))
    result = Split(
        train=np.flatnonzero(rest & ~validation), validation=np.flatnonzero(validation), test=np.flatnonzero(test)
    )
    result = without_copies(corpus, result, content, protocol.copies)
    refuse_empty_parts(corpus, result)
    return result


def without_copies(corpus: Corpus, parts: Split, content: NDArray[np.uint64], rule: CopiesRule) -> Split:
    """The parts without the samples that the rule for copies drops.

    content: as for `split`.
    """
    if rule == "refuse":
        return parts
    taken: set[int] = set()
    kept: dict[str, list[int]] = {}
    dropped = []
    for part in ("test", "validation", "train"):
        kept[part] = []
        barred = taken if rule == "keep one" else frozenset(taken)
        for i in parts.parts[part].tolist():
            shown = _pictures_of(corpus, content, i)
            if shown & barred:
                dropped.append(i)
            else:
                kept[part].append(i)
                taken |= shown
    columns = {part: np.array(rows, dtype=np.int64) for part, rows in kept.items()}
    return Split(**columns, dropped=np.array(dropped, dtype=np.int64))


def _pictures_of(corpus: Corpus, content: NDArray[np.uint64], sample: int) -> set[int]:
    """Hashes of the frames of a sample, without those that cannot be read."""
    return set(content[corpus.start[sample] : corpus.stop[sample]].tolist()) - {0}


def unseen(corpus: Corpus, content: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """(S,) samples of which no frame can be read."""
    readable = np.concatenate([[0], np.cumsum(content != 0)])
    return readable[corpus.stop] == readable[corpus.start]


def _for_validation(
    corpus: Corpus, protocol: Protocol, fold: int, groups: NDArray[np.str_], rest: NDArray[np.bool_]
) -> list[str]:
    """The groups that are cut from training, the first in the order of their hashes that leave it every class."""
    candidates = sorted(set(groups[rest].tolist()))
    order = stable_rank(candidates, salt=f"validation of {corpus.dataset}, fold {fold}")
    ranked = [candidates[i] for i in order]
    number = {name: i for i, name in enumerate(candidates)}
    held = np.zeros((len(candidates), len(corpus.classes)), dtype=np.int64)
    of = np.array([number[name] for name in groups[rest].tolist()], dtype=np.int64)
    np.add.at(held, (of, corpus.label[rest]), 1)
    left, wanted = held.sum(axis=0), max(1, round(protocol.validation * len(candidates)))
    chosen: list[str] = []
    for name in ranked:
        own = held[number[name]]
        if len(chosen) < wanted and (left[own > 0] > own[own > 0]).all():
            chosen.append(name)
            left = left - own
    return chosen or ranked[:1]


def groups_of(corpus: Corpus, content: NDArray[np.uint64]) -> NDArray[np.str_]:
    """(S,) what must stay together: the group or the subject, or where both are unknown what shows the same image.

    Such a group has the first of its samples' names, so that it does not depend on how large the frames were read; one
    that is spelled in several ways has the first of its spellings.
    """
    groups = corpus.group
    spelled: dict[str, str] = {}
    for name in sorted({name for name in groups if name is not None}):
        spelled.setdefault(plain(name), name)
    first: dict[int, str] = {}
    images = content[corpus.stop - 1].tolist()
    for image, name in sorted(zip(images, corpus.sample_id, strict=True), key=lambda pair: pair[1]):
        first.setdefault(image, name)
    names = zip(groups, images, corpus.sample_id, strict=True)
    return np.array([spelled[plain(s)] if s is not None else first[i] if i else name for s, i, name in names])


def refuse_empty_parts(corpus: Corpus, parts: Split) -> None:
    """Raises DataError where a part has no sample."""
    for name, samples in parts.parts.items():
        if not len(samples):
            raise DataError(f"{corpus.name} in {corpus.root}: the {name} part is empty: add data or use fewer folds")


def leaks_of(corpus: Corpus, parts: Split, content: NDArray[np.uint64]) -> list[str]:
    """What parts share, in words, one line for each pair of parts that share people and for each that share pictures.

    content: as for `split`.
    """
    people = {name: _people(corpus, samples) for name, samples in parts.parts.items()}
    frames = {name: _frames_of(corpus, samples) for name, samples in parts.parts.items()}
    return [
        *(line for pair in PAIRS_OF_PARTS if (line := _shared_people(people, *pair))),
        *(line for pair in PAIRS_OF_PARTS if (line := _shared_pictures(corpus, content, frames, *pair))),
    ]


def plain(name: str) -> str:
    """A subject's name without case and blanks: releases spell one in several ways."""
    return re.sub(r"\s+", "", name).casefold()


def _shared_people(people: dict[str, dict[str, str]], one: str, other: str) -> str:
    first, second = people[one], people[other]
    shared = sorted(first.keys() & second.keys())
    if not shared:
        return ""
    name, other_name = first[shared[0]], second[shared[0]]
    also = "" if name == other_name else f", as {other_name!r}"
    return f"subject {name!r} is in the {one} part and in the {other} part{also} ({len(shared)} in all)"


def _people(corpus: Corpus, samples: NDArray[np.int64]) -> dict[str, str]:
    """Who is seen in samples, and what they must stay together with, by plain name."""
    subject, group = corpus.subject, corpus.group
    return {plain(name): name for i in samples.tolist() for name in (group[i], subject[i]) if name is not None}


def _shared_pictures(
    corpus: Corpus, content: NDArray[np.uint64], frames: dict[str, NDArray[np.int64]], one: str, other: str
) -> str:
    shared = np.intersect1d(content[frames[one]], content[frames[other]])
    shared = shared[shared != 0]
    if not len(shared):
        return ""
    files = [corpus.frames[next(f for f in frames[name] if content[f] == shared[0])] for name in (one, other)]
    return (
        f"the same image is in the {one} and the {other} part: {' and '.join(files)} ({len(shared)} in all, with "
        "copies that are re-encoded, resized, cropped, mirrored, turned or brighter)"
    )


def _frames_of(corpus: Corpus, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    ranges = [np.arange(corpus.start[i], corpus.stop[i]) for i in samples]
    return np.concatenate(ranges) if ranges else np.empty(0, dtype=np.int64)
