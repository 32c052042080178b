"""Runs that share a results folder share its cells: whoever is at a cell holds it, and the others leave it to them.

What is held is one byte of a file in the results folder. The kernel lets go of it when the process ends, however that
is, and machines that share the folder see it. Where the file system has no locks everything is free, as if nobody else
were there: then two runs may do the same work, and each writes whole records.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

FILE = ".claims"


@contextmanager
def claimed(results: Path, what: str, wait: bool = False) -> Iterator[bool]:
    """Holds a thing of a results folder, such as a cell by its path below it, against other processes.

    Yields whether it is this process's now; False where another one has it. With `wait` it is, sooner or later.
    """
    try:
        file = (results / FILE).open("ab")
    except OSError:
        yield True
        return
    with file:
        yield _lock(file, _place(what), wait)


class Claims:
    """Several things of a results folder that one process holds: of one file, since the kernel lets go of all that a
    process holds when it closes the file once."""

    def __init__(self, results: Path) -> None:
        results.mkdir(parents=True, exist_ok=True)
        self.file = (results / FILE).open("ab")

    def take(self, what: str) -> bool:
        """Whether it is this process's now."""
        return _lock(self.file, _place(what), wait=False)

    def leave(self, what: str) -> None:
        with suppress(OSError):
            fcntl.lockf(self.file, fcntl.LOCK_UN, 1, _place(what))

    def close(self) -> None:
        self.file.close()


def _place(what: str) -> int:
    """The byte that stands for a thing; the file need not be as long."""
    return int.from_bytes(hashlib.blake2b(what.encode(), digest_size=7).digest(), "big")


def _lock(file: IO[bytes], place: int, wait: bool) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True
