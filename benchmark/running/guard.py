"""A process of its own that outlives the one that started it, just long enough to end what that one left behind.

Run as a script: it waits until its standard input ends, which is when its parent is gone, however that was. Unless the
parent has said that all is well, every process that has the given mark in its environment is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

MARK = "FERBENCH_GUARDED"
WELL = "well"


def main(mark: str) -> None:
    """Waits, and then kills every process that has this mark."""
    if sys.stdin.read() == WELL:
        return
    entry = f"{MARK}={mark}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended since, or is somebody else's
            if int(process.name) != os.getpid() and entry in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
