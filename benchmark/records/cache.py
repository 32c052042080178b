"""What is made once and kept for later runs: twins, frame stores, features, rendered faces of the pretexts."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.installation import cache_folder

DAY = 24 * 3600
_HEX = "[0-9a-f]"
_FEATURES = f"features/{_HEX * 16}"
_DRAFT = _HEX * 32
OLD = (
    (f"{_FEATURES}/{_HEX * 32}.npy", 30),
    (f"{_FEATURES}/{_HEX * 32}.json", 30),
    (f"{_FEATURES}/.*.{_DRAFT}", 1),
    (f"trained/.*.{_DRAFT}", 1),
    (f"training/{_HEX * 16}.pt", 30),
    (f"training/{_HEX * 16}.json", 365),
    (f"training/.*.{_DRAFT}", 1),
    (f"board/.*.{_DRAFT}", 1),
    (f"corpora/{_HEX * 16}.npz", 365),
    (f"corpora/.*.{_DRAFT}", 1),
)
"""What may be removed, and how many days after it was last written; the cache may be a folder that others use too,
so nothing is taken for ours but by its whole name."""


KEEP_EVERY = "FERBENCH_KEEP_EVERY"
"""Seconds after which a training keeps its state (`learning/resuming.py`), for machines that are taken away often."""


def keep_every() -> float | None:
    """What is asked for; None: nothing is.

    Raises:
        RequestError: it is no number of seconds.
    """
    asked = os.environ.get(KEEP_EVERY)
    if not asked:
        return None
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 365 * DAY:
        raise RequestError(f"{KEEP_EVERY}={asked!r}: give seconds, such as 60, or nothing")
    return seconds


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Holds the lock of a thing that is being made; other processes wait. A killed one leaves no lock behind.

    Raises:
        RequestError: the cache cannot be written.
    """
    folder = cache_folder() / "locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / name).open("w")
    except OSError as error:
        raise RequestError(
            f"{folder}: cannot be written ({error.strerror}): set FERBENCH_CACHE to a folder that can be"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget_old() -> None:
    """Removes what nobody will miss from the cache: features that were made a month ago, and files that a process was
    writing when it was killed (`benchmark.records.atomic`) and that nobody has touched for a day."""
    for pattern, days in OLD:
        for file in cache_folder().glob(pattern):
            with suppress(OSError):
                if time.time() - file.stat().st_mtime > days * DAY:
                    file.unlink()
