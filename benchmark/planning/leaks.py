"""Pictures and people that stand in two parts: found before anything is trained, by `data verify` and by a run alike.

What is found is kept beside the small frame store that it is found in. A twin that the project writes itself is not
searched: its people are drawn apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
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
from ferbench.datasets.splits import Split, leaks_of, plain, split, unseen

OF_A_TRACK = 64
"""Most frames of one track that are compared, evenly spaced."""
SEARCHED_WHOLE = 120_000
"""Faces up to which all are compared with all; of more, those outside of the largest part with all."""
NO_COPIES = Copies(np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.float32))


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
    parts = split(corpus, protocol, fold, content)
    leaks = leaks_of(corpus, parts, content)
    if leaks and not allowed:
        raise DataError(
            f"{corpus.name}: {leaks[0]}: remove one of each, set the protocol's copies to 'drop from training' in a "
            "suite, or use --allow-leaks, which marks every row"
        )
    notes = [*(f"leaks allowed: {leak}" for leak in leaks), *_shortcomings(corpus, parts, content)]
    return parts, [*_dropped(corpus, protocol, parts), *notes]


def _dropped(corpus: Corpus, protocol: Protocol, parts: Split) -> Iterator[str]:
    """What the board must say of the samples that the rule for copies took out."""
    if not len(parts.dropped):
        return
    of = Counter(corpus.part[i] for i in parts.dropped.tolist())
    where = ", ".join(f"{count} of {part}" for part, count in sorted(of.items()))
    if not any(corpus.part):  # a note that differed from fold to fold would be one for each
        where = "some in each fold, counted in its record,"
    yield f"samples that show the same picture (rule: {protocol.copies}): {where} left out"


def _shortcomings(corpus: Corpus, parts: Split, content: NDArray[np.uint64]) -> Iterator[str]:
    """What the board must say of the samples of a fold."""
    if twice := len(under_two_classes(corpus, content)):
        yield f"{twice} pictures stand under two classes"
    hidden = unseen(corpus, content)
    tested = int(hidden[parts.test].sum())
    if tested:
        yield (
            f"of {tested} test samples no frame can be read: they are scored all the same, on the nearest earlier "
            "frame of the same recording, or else on a black picture"
        )
    if left_out := int(hidden.sum()) - tested:
        yield f"of {left_out} samples no frame can be read: they are not trained on"
    if corpus.target is None and (never := np.setdiff1d(corpus.label[parts.test], corpus.label[parts.train]).tolist()):
        yield f"the training part of a fold has no {', '.join(corpus.classes[code] for code in never)}"


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
