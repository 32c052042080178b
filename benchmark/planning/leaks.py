"""Pictures and people that stand in two parts: found before anything is trained, by `data verify` and by a run alike.

What is found is kept beside the small frame store that it is found in. A twin that the project writes itself is not
searched: its people are drawn apart.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.planning.data import Location, Report, open_data
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import alone
from ferbench.benchmark.records.installation import cache_folder
from ferbench.benchmark.records.provenance import code_hash, hash_of
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.leaks import SIDE, Copies, find_copies
from ferbench.datasets.splits import Split, split

OF_A_TRACK = 64
"""Most frames of one track that are compared, evenly spaced."""
SEARCHED_WHOLE = 120_000
"""Faces up to which all are compared with all; of more, those outside of the largest part with all."""
NO_COPIES = Copies(np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.float32))
PAIRS_OF_PARTS = (("train", "test"), ("train", "validation"), ("validation", "test"))


def copies_of(location: Location, report: Report, processes: int = 1) -> Copies:
    """The pictures that a data set holds more than once, in the numbers of its frames; searched for once.

    Raises:
        RequestError: the cache cannot be written.
    """
    if location.own_twin is not None:
        return NO_COPIES
    code = code_hash("ferbench.datasets.leaks"), code_hash("ferbench.datasets.frames")
    file = cache_folder() / "leaks" / f"{hash_of((location.name, location.identity, *code))}.npz"
    if (known := _read(file)) is not None:
        return known
    corpus, store = open_data(location, SIDE, report, processes)
    with alone(f"leaks-{file.stem}"):
        if (known := _read(file)) is not None:
            return known
        frames = _compared(corpus, store.content)
        found = find_copies(
            store.read(frames), _groups(corpus)[_track_of(corpus)[frames]], processes, _asking(corpus, frames),
            lambda done, total: report(f"{location.name}: looking for copies of picture {done}/{total}"),
        )  # fmt: skip
        found = Copies(frames[found.frames], found.agreement)
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft, draft.open("wb") as opened:
            np.savez(opened, frames=found.frames, agreement=found.agreement)
    return found


@lru_cache(maxsize=8)
def _remembered(file: Path, _written: int) -> Copies:
    with np.load(file, allow_pickle=False) as kept:
        return Copies(kept["frames"], kept["agreement"])


def _read(file: Path) -> Copies | None:
    """What was found before; None where nothing was, or where the file is damaged."""
    try:
        return _remembered(file, file.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None


def _track_of(corpus: Corpus) -> NDArray[np.int64]:
    """(N,) of each frame."""
    return np.repeat(np.arange(len(corpus.track_start) - 1), np.diff(corpus.track_start))


def _compared(corpus: Corpus, content: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Frames that are compared: those that can be read, evenly spaced in each track."""
    start, length = corpus.track_start[:-1], np.diff(corpus.track_start)
    place = np.arange(len(corpus.frames)) - np.repeat(start, length)
    step = np.repeat(np.ceil(np.maximum(length, 1) / OF_A_TRACK).astype(np.int64), length)
    return np.flatnonzero((content != 0) & (place % step == 0))


def _groups(corpus: Corpus) -> NDArray[np.int64]:
    """(T,) a number for who is seen in each track, or for the track where that is not known."""
    names = (
        f"track {i}" if subject is None else f"subject {plain(subject)}"
        for i, subject in enumerate(corpus.track_subject)
    )
    number: dict[str, int] = {}
    return np.array([number.setdefault(name, len(number)) for name in names], dtype=np.int64)


def _asking(corpus: Corpus, frames: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """(F,) which of many frames are compared with all of them; None: all are."""
    if len(frames) <= SEARCHED_WHOLE or not any(corpus.part):
        return None
    parts = np.full(len(corpus.track_start) - 1, "", dtype=object)
    parts[corpus.track] = np.array(corpus.part, dtype=object)
    largest = Counter(corpus.part).most_common(1)[0][0]
    return parts[_track_of(corpus)[frames]] != largest


def plain(name: str) -> str:
    """A subject's name without case and blanks: releases spell one in several ways."""
    return re.sub(r"\s+", "", name).casefold()


def parted(
    corpus: Corpus, protocol: Protocol, fold: int, content: NDArray[np.uint64], copies: Copies, allowed: bool = False
) -> tuple[Split, list[str]]:
    """The parts of a fold, and what the board must say of copies in them.

    Pictures of people who are not known stay in one part with their copies where folds are drawn.

    Args:
        content: (N,) hash of each frame, 0 where it cannot be read.
        allowed: leave parts as they are that share pictures or people.

    Raises:
        DataError: parts that share pictures or people; whatever `split` refuses.
    """
    content = one_content(content, copies)
    parts = _parts_as_they_are(corpus, protocol, fold, content)
    leaks = [*_shared_people(corpus, parts), *_shared_pictures(corpus, parts, content)]
    if leaks and not allowed:
        raise DataError(f"{corpus.name}: {leaks[0]}: remove one of each, or use --allow-leaks, which marks every row")
    notes = [f"leaks allowed: {leak}" for leak in leaks]
    twice = under_two_classes(corpus, content)
    if twice:
        notes.append(f"{len(twice)} pictures stand under two classes")
    return parts, notes


def one_content(content: NDArray[np.uint64], copies: Copies) -> NDArray[np.uint64]:
    """(N,) hashes of which copies have the same one."""
    same: dict[int, int] = {}

    def first(value: int) -> int:
        while (earlier := same.get(value, value)) != value:
            value = earlier
        return value

    for i, j in content[copies.frames].tolist():
        a, b = sorted((first(i), first(j)))
        if a and a != b:
            same[b] = a
    if not same:
        return content
    values, place = np.unique(content, return_inverse=True)
    return np.array([first(value) for value in values.tolist()], dtype=np.uint64)[place]


def _parts_as_they_are(corpus: Corpus, protocol: Protocol, fold: int, content: NDArray[np.uint64]) -> Split:
    """The parts of a fold, whatever pictures they share."""
    official = sorted(set(corpus.part))
    held = [np.unique(content[_frames(corpus, np.flatnonzero(np.array(corpus.part) == name))]) for name in official]
    values, times = np.unique(np.concatenate(held), return_counts=True)
    in_several = np.isin(content, values[times > 1])
    try:
        return split(corpus, protocol, fold, np.where(in_several, np.uint64(0), content))
    except DataError:  # people who are known and share pictures; or something else, which comes again
        return split(corpus, protocol, fold, np.zeros_like(content))


def _frames(corpus: Corpus, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    ranges = [np.arange(corpus.start[i], corpus.stop[i]) for i in samples]
    return np.concatenate(ranges) if ranges else np.empty(0, dtype=np.int64)


def _shared_pictures(corpus: Corpus, parts: Split, content: NDArray[np.uint64]) -> list[str]:
    """By pair of parts that share any, in words."""
    frames = {name: _frames(corpus, rows) for name, rows in parts.parts.items()}
    found = []
    for one, other in PAIRS_OF_PARTS:
        shared = np.intersect1d(content[frames[one]], content[frames[other]])
        shared = shared[shared != 0]
        if len(shared):
            first, second = (next(f for f in frames[n] if content[f] == shared[0]) for n in (one, other))
            found.append(
                f"the same image is in the {one} and the {other} part: {corpus.frames[first]} and "
                f"{corpus.frames[second]} ({len(shared)} in all, with copies that are re-encoded, resized, cropped, "
                "mirrored, turned or brighter)"
            )
    return found


def _shared_people(corpus: Corpus, parts: Split) -> list[str]:
    """By pair of parts that share any under spellings of one name, in words."""
    subject = corpus.subject
    found = []
    for one, other in PAIRS_OF_PARTS:
        names = [{plain(name): name for i in parts.parts[n] if (name := subject[i]) is not None} for n in (one, other)]
        shared = sorted(names[0].keys() & names[1].keys())
        if shared:
            found.append(
                f"subject {names[0][shared[0]]!r} is in the {one} part and {names[1][shared[0]]!r} in the {other} "
                f"part ({len(shared)} in all)"
            )
    return found


def under_two_classes(corpus: Corpus, content: NDArray[np.uint64]) -> list[tuple[str, str]]:
    """Pictures that stand twice among the stills of a data set, under two labels."""
    if corpus.target is not None:
        return []
    stills = np.flatnonzero((corpus.stop - corpus.start == 1) & (content[corpus.start] != 0))
    stills = stills[np.argsort(content[corpus.start[stills]], kind="stable")]
    one, other = stills[:-1], stills[1:]
    same = content[corpus.start[one]] == content[corpus.start[other]]
    found = same & (corpus.label[one] != corpus.label[other])
    pairs = zip(one[found].tolist(), other[found].tolist(), strict=True)
    return [(corpus.sample_id[i], corpus.sample_id[j]) for i, j in pairs]
