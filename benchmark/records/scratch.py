"""Temporary folders that are removed even when the process that made them was killed: by the next one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ferbench.benchmark.records.held import held_folder, remove_left

_NAME = "ferbench-"


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder below the temporary one that is removed at the end; those of processes that are gone are too.

    Raises:
        OSError: there is no temporary folder that can be written.
    """
    temporary = Path(tempfile.gettempdir())
    remove_left(temporary, _NAME)
    with held_folder(temporary, _NAME) as folder:
        yield folder
