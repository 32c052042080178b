"""Work of the board on all cores: in forked processes, which have everything that this one has read."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.running.processes import leave_with


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
    """The result of each job, on a process a core that multiplies matrices on one thread: whenever one is free, it
    takes the first job that has what it needs. What one changes in what is there, no other sees: only the results come
    back.

    Raises:
        RequestError: a process was killed, or cannot be started.
    """
    if cores() == 1 or len(jobs) < 2:
        return [job.do() for job in jobs]
    before, others = list(_JOBS), multiprocessing.active_children()
    _JOBS[:] = jobs
    at_once = min(cores(), len(jobs))
    workers = ProcessPoolExecutor(at_once, multiprocessing.get_context("fork"), _begin, (os.getpid(),))
    try:
        return _all_done(workers, jobs, at_once)
    except BrokenProcessPool:
        raise RequestError(
            "a process that rendered the board was ended (killed, or out of memory): run again"
        ) from None
    finally:
        workers.shutdown(cancel_futures=True)
        _JOBS[:] = before
        for left in multiprocessing.active_children():
            if left not in others:  # the next one could not be started: nothing would ever end this one
                left.terminate()


def _all_done(workers: Executor, jobs: Sequence[Job], at_once: int) -> list[Any]:
    results: dict[int, Any] = {}
    running: dict[Future[Any], int] = {}
    waiting = list(range(len(jobs)))
    while waiting or running:
        ready = [place for place in waiting if all(needed in results for needed in jobs[place].needs)]
        for place in ready[: at_once - len(running)]:
            waiting.remove(place)
            running[_submitted(workers, place)] = place
        assert running, "a job needs one that comes after it"
        for future in sorted(wait(running, return_when=FIRST_COMPLETED).done, key=running.__getitem__):
            results[running.pop(future)] = future.result()
    return [results[place] for place in range(len(jobs))]


def _submitted(workers: Executor, place: int) -> Future[Any]:
    try:
        return workers.submit(_done, place)
    except OSError as error:
        raise RequestError(
            f"no process can be started to render the board ({error.strerror}): end others, or run again later"
        ) from None


def cores() -> int:
    """Processor cores that this process may use; 1 where processes cannot be forked."""
    return available_cores() if "fork" in multiprocessing.get_all_start_methods() else 1


def _begin(parent: int) -> None:
    leave_with(parent)
    threadpool_limits(1)
    gc.freeze()  # what was there before is not searched for cycles, nor copied for it


def _done(place: int) -> Any:
    return _JOBS[place].do()
