"""Work of the board on all cores: in forked processes, which have everything that this one has read."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from benchmark.errors import RequestError

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORK: list[Any] = []
"""The function and the items of the work that is done now. A process that is forked finds them here: rows of records
are dear to send, and what draws a plot cannot be sent."""


def on_all_cores(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`[function(item) for item in items]`, begun in this order, on a process a core that multiplies matrices on one
    thread each. What a process changes in an item, this one does not see: only the results come back.

    Raises:
        RequestError: a process was killed.
    """
    if _cores() == 1 or len(items) < 2:
        return [function(item) for item in items]
    before = list(_WORK)
    _WORK[:] = [function, items]
    try:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(min(_cores(), len(items)), context, _begin) as workers:
            return list(workers.map(_done, range(len(items))))
    except BrokenProcessPool:
        raise RequestError(
            "a process that rendered the board was ended (killed, or out of memory): run again"
        ) from None
    finally:
        _WORK[:] = before


def _cores() -> int:
    """Processor cores that this process may use; 1 where processes cannot be forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    threadpool_limits(1)
    gc.freeze()  # what was there before is not searched for cycles, nor copied for it


def _done(index: int) -> Any:
    function, items = _WORK
    return function(items[index])
