"""What is made once and kept for later runs: twins, frame stores, rendered faces of the pretexts."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.errors import RequestError
from benchmark.provenance import CHECKOUT


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
