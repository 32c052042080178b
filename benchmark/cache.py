"""What is made once and kept for later runs: twins, frame stores, features, rendered faces of the pretexts."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmark.errors import RequestError
from benchmark.provenance import CHECKOUT

DAY = 24 * 3600


def cache_folder() -> Path:
    """Where it is kept: FERBENCH_CACHE, or `.cache` of the checkout."""
    return Path(os.environ.get("FERBENCH_CACHE") or CHECKOUT / ".cache")


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


def forget_drafts() -> None:
    """Removes files that a process was writing when it was killed (`benchmark.atomic`): those that nobody has touched
    for a day, since a younger one may still be somebody's, on this machine or another."""
    for draft in cache_folder().glob("*/.*"):
        with suppress(OSError):
            if draft.is_file() and time.time() - draft.stat().st_mtime > DAY:
                draft.unlink()
