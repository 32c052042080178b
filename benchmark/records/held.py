"""Hidden and temporary folders that live as long as their process: a killed one cannot remove its own, so others do.

A folder is held by a lock that the kernel lets go of with the process. Its name says that it is ours, whole: beside it
lies much that is somebody else's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from uuid import uuid4

_HEX = "[0-9a-f]"


@contextmanager
def held_folder(beside: Path, name: str) -> Iterator[Path]:
    """A new folder in `beside`, of this name and 32 random digits, that is removed at the end.

    Raises:
        OSError: nothing can be written there.
    """
    while True:
        folder = beside / f"{name}{uuid4().hex}"
        folder.mkdir(mode=0o700)
        try:
            opened = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue  # somebody who tidies up found it before it was locked
        with suppress(OSError):  # a file system without locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        if folder.exists():
            break
        os.close(opened)  # likewise
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(opened)


def remove_left(beside: Path, name: str) -> None:
    """Removes the folders that `held_folder` made, by our own user, in processes that are gone.

    Where the file system has no locks nobody can tell, and they stay.
    """
    for folder in beside.glob(f"{escape(name)}{_HEX * 32}"):
        with suppress(OSError):  # one that is held, or somebody else's
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(opened).st_uid == os.getuid():
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(opened)
