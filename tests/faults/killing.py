"""A child of this process that is killed at a step of its work: before its n-th call that changes the file system."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

STEPS = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "ctypes.dlsym")
"""Audit events that are a step, beside an opening for writing; the last one precedes the exchange of two folders."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Does the work in a forked child that kills itself before this step; whether it got that far."""
    child = os.fork()
    if not child:
        _work_until(step, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work itself failed"
    return False


def _work_until(step: int, work: Callable[[], object]) -> None:
    taken = 0

    def count(event: str, about: tuple[Any, ...]) -> None:
        nonlocal taken
        if event in STEPS or (event == "open" and about[2] & WRITING):
            taken += 1
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        sys.addaudithook(count)
        work()
        code = 0
    finally:
        os._exit(code)
