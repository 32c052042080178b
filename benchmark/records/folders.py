"""A folder appears in one step: whoever reads it finds the old one or the new one, each whole, and never neither.

The new one is written in a hidden folder beside it, and the two change places in one call of the kernel. Where its file
system has no such call, the old one steps aside first: killed between these two steps it is put back by `settle`, which
who reads such a folder calls before. Readers pass over hidden folders, and the next writer removes those whose process
is gone.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ferbench.benchmark.records.held import held_folder, remove_left

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP)
_ASIDE = ".ferbench-before"


@contextmanager
def redone(folder: Path) -> Iterator[Path]:
    """An empty folder to write into, of the same name, that takes the place of `folder` when all went well.

    What is written there and what lies in `folder` are never mixed: the old content goes. Where something went wrong,
    or the process is killed, it stays.

    Raises:
        OSError: beside `folder` nothing can be written.
    """
    folder = folder.resolve()  # what a link leads to is replaced, not the link
    folder.parent.mkdir(parents=True, exist_ok=True)
    settle(folder)
    if folder.exists():
        shutil.rmtree(_aside(folder), ignore_errors=True)
    remove_left(folder.parent, f".{folder.name}.")
    with held_folder(folder.parent, f".{folder.name}.") as holder:
        draft = holder / folder.name
        draft.mkdir()
        yield draft
        _put(draft, folder)
        shutil.rmtree(_aside(folder), ignore_errors=True)


def settle(folder: Path) -> None:
    """Puts a folder back that stepped aside for a new one and whose writer was killed before that took its place.

    A writer that is at work right now loses nothing by it: it finds the folder there again, and starts over.
    """
    folder = folder.resolve()
    aside = _aside(folder)
    if aside.is_dir() and not folder.exists():
        with suppress(OSError):  # another reader was faster, or nothing can be written here
            aside.rename(folder)


def settle_below(folder: Path) -> None:
    """Puts every folder back that stepped aside below this one (`settle`)."""
    for aside in folder.glob(f".*{_ASIDE}"):
        settle(aside.with_name(aside.name.removeprefix(".").removesuffix(_ASIDE)))


def exchange(one: Path, other: Path) -> None:
    """Two names of one file system change what they stand for, in one step.

    Raises:
        OSError: one of them is not there, or the system cannot do it (`errno` says which).
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # another system than Linux, or a very old one
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


def _put(draft: Path, folder: Path) -> None:
    """A folder takes the place of another; what was there lies beside `draft` afterwards, or is gone."""
    while True:
        try:
            draft.rename(folder)  # where nothing is there, or an empty folder
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        try:
            exchange(draft, folder)
            return
        except FileNotFoundError:
            continue  # it has gone in this moment
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
        _step_aside(folder)


def _step_aside(folder: Path) -> None:
    shutil.rmtree(_aside(folder), ignore_errors=True)  # `folder` is there, so nobody needs it
    with suppress(FileNotFoundError):  # another writer was faster
        folder.rename(_aside(folder))


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_ASIDE}")
