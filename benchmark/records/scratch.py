"""Folders for as long as a process lives: a killed one cannot remove its own, so the next one does.

A folder is held by a lock that the kernel lets go of with the process. Its name says that it is ours, whole: in a
temporary folder lies much that is somebody else's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

_OURS = f"ferbench-[a-z]*-{'[0-9a-f]' * 32}"


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A new folder below the temporary one that is removed at the end; those of processes that are gone are too.

    purpose: part of its name, in small letters.

    Raises:
        OSError: there is no temporary folder that can be written.
    """
    _remove_left()
    folder = Path(tempfile.gettempdir()) / f"ferbench-{purpose}-{uuid4().hex}"
    folder.mkdir(mode=0o700)
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(held, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(_OURS):
        with suppress(OSError):  # somebody else's, or one that is held
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(opened).st_uid == os.getuid():
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(opened)
