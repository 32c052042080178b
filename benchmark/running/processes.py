"""What processes that this project starts have in common: none outlives the one that started it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import uuid4

from ferbench.benchmark.running import guard


def leave_with(parent: int) -> None:
    """Ends this process when its parent is gone, so that a killed run leaves nothing behind that works on, or waits."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        if resuming := sys.modules.get("ferbench.benchmark.learning.resuming"):  # where nothing trains, it is not there
            resuming.leave(1)
        else:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def guarded() -> Iterator[None]:
    """Processes that are started inside are killed when this one is: for pools whose workers cannot `leave_with` it,
    such as those of `datasets`, which know nothing of this package. Where there is no `/proc` they are not."""
    mark, before = uuid4().hex, os.environ.get(guard.MARK)
    words = [sys.executable, "-I", guard.__file__, mark]  # a session of its own: Ctrl-C is not for it
    watcher = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, start_new_session=True)
    assert watcher.stdin is not None
    os.environ[guard.MARK] = mark
    try:
        yield
    finally:
        os.environ.pop(guard.MARK)
        if before is not None:
            os.environ[guard.MARK] = before
        with suppress(OSError):  # it was killed itself
            watcher.communicate(guard.WELL)
