"""Work of the board on all cores: in forked processes, which have everything that this one has read."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from benchmark.errors import RequestError

Result = TypeVar("Result")


@dataclass(frozen=True)
class Job:
    """One piece of work."""

    do: Callable[[], Any]
    needs: tuple[int, ...] = ()
    """Places of jobs before this one: it is begun when they are done."""


_JOBS: list[Job] = []
"""The work that is done now. A process that is forked finds it here: rows of records are dear to send, and what draws
a plot cannot be sent."""


def on_all_cores(jobs: Sequence[Job]) -> list[Any]:
    """The result of each job. They are begun in this order where nothing is needed, on a process a core that multiplies
    matrices on one thread each. What one changes in what is there, no other sees: only the results come back.

    Raises:
        RequestError: a process was killed.
    """
    if _cores() == 1 or len(jobs) < 2:
        return [job.do() for job in jobs]
    before = list(_JOBS)
    _JOBS[:] = jobs
    workers = ProcessPoolExecutor(min(_cores(), len(jobs)), multiprocessing.get_context("fork"), _begin)
    try:
        return _all_done(workers, jobs)
    except BrokenProcessPool:
        raise RequestError(
            "a process that rendered the board was ended (killed, or out of memory): run again"
        ) from None
    finally:
        workers.shutdown(cancel_futures=True)
        _JOBS[:] = before


def _all_done(workers: Executor, jobs: Sequence[Job]) -> list[Any]:
    results: dict[int, Any] = {}
    running: dict[Future[Any], int] = {}
    waiting = list(range(len(jobs)))
    while waiting or running:
        ready = [place for place in waiting if all(needed in results for needed in jobs[place].needs)]
        waiting = [place for place in waiting if place not in ready]
        for place in ready:
            running[workers.submit(_done, place)] = place
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            results[running.pop(future)] = future.result()
    return [results[place] for place in range(len(jobs))]


def _cores() -> int:
    """Processor cores that this process may use; 1 where processes cannot be forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin() -> None:
    threadpool_limits(1)
    gc.freeze()  # what was there before is not searched for cycles, nor copied for it


def _done(place: int) -> Any:
    return _JOBS[place].do()


@contextmanager
def beside(do: Callable[..., Result], *parts: Any) -> Iterator[Future[Result]]:
    """What a function of some module makes of these parts, in a process beside this one, where that can be forked and
    has a core for itself."""
    if _cores() == 1:
        found: Future[Result] = Future()
        found.set_result(do(*parts))
        yield found
        return
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as one:
        yield one.submit(do, *parts)
