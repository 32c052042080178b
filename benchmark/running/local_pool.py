"""Jobs in processes of this machine: pebble's pool, which ends a job that is over its time and replaces its worker."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.planning.data import Location
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.job import DATA_TIME_LIMIT, Job

if TYPE_CHECKING:
    from pebble import ProcessPool

ASKED_TO_END = 128 + signal.SIGTERM
STOP_SECONDS = 10.0
"""What workers are given to end when a run is stopped."""


class LocalPool:
    """`workers` processes, and what they are at."""

    def __init__(self, workers: int, device_type: str, results: Path, status_folder: Path) -> None:
        self.slots = workers
        self.device_type = device_type
        self.results = results
        self.status_folder = status_folder
        self.strangers = set(active_children())
        """Processes that this pool has not started."""
        self.pool = self._new()

    def _new(self) -> ProcessPool:
        from pebble import ProcessPool

        return ProcessPool(
            max_workers=self.slots, initializer=worker.start, initargs=(self.status_folder, os.getpid()),
            context=get_context("spawn"),
        )  # fmt: skip

    @property
    def active(self) -> bool:
        """Whether jobs can be given to it. It breaks when a worker is killed while none has a task."""
        return bool(self.pool.active)

    def begin_again(self) -> None:
        """Replaces a pool that broke; what it had is lost."""
        self.stop()
        self.pool = self._new()

    def make(self, job: Job) -> Future[Any]:
        """Runs a cell to its record: `worker.Made`, or None where another run is at it."""
        about = (job.cell, job.location, job.about, self.device_type, self.slots, self.results)
        return self.schedule(worker.make_cell, about, job.cell.time_limit)

    def prepare(self, location: Location, size: int, groups: int) -> Future[Any]:
        """Prepares the data of one of so many groups of cells."""
        processes = max(1, available_cores() // max(1, min(self.slots, groups)))
        return self.schedule(worker.prepare_data, (location, size, processes), DATA_TIME_LIMIT)

    def schedule(self, function: Callable[..., Any], args: tuple[Any, ...], limit: int) -> Future[Any]:
        """Runs a function in one of its processes, for so many seconds at most."""
        future: Future[Any]
        try:
            future = self.pool.schedule(function, args=args, timeout=limit)
        except RuntimeError:  # the pool broke since it was last looked at
            future = Future()
            future.set_exception(BrokenProcessPool())
        return future

    def look(self) -> None:
        """Its futures come to an end by themselves."""

    def running(self) -> list[tuple[str, str]]:
        """Each job that is at work, and what it is at."""
        running = []
        for file in sorted(self.status_folder.glob("*[0-9]")):
            try:
                os.kill(int(file.name), 0)  # a worker that was stopped says nothing any more
                job, text = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            running.append((job, text))
        return running

    def close(self) -> None:
        """Ends it when all its jobs have."""
        self.pool.close()
        self.pool.join()

    def stop(self) -> None:
        """Ends all workers. A pool waits for up to a minute for a lock that a worker held when it was ended; nobody who
        pressed Ctrl-C should, and by then there is nothing left that is worth waiting for."""

        def stop() -> None:
            self.pool.stop()
            self.pool.join()

        stopping = threading.Thread(target=stop, daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)
        for child in set(active_children()) - self.strangers:
            child.kill()


def is_lost(future: Future[Any]) -> bool:
    """Whether a pool broke before the job came to an end."""
    return not future.done() or (not future.cancelled() and isinstance(future.exception(), BrokenProcessPool))


def was_asked_to_end(future: Future[Any]) -> bool:
    """Whether a job ended because its process was told to (SIGTERM), as when a machine is taken away."""
    from pebble import ProcessExpired

    error = None if future.cancelled() else future.exception()
    return isinstance(error, ProcessExpired) and error.exitcode == ASKED_TO_END


def reason(future: Future[Any], limit: int) -> str | None:
    """Why a job failed, in one line; None when it did not."""
    from pebble import ProcessExpired

    try:
        future.result()
    except TimeoutError:
        return f"over its time limit of {limit} s"
    except ProcessExpired as error:
        if error.exitcode == ASKED_TO_END:
            return "its process was asked to end: its training is kept, and goes on at the next run"
        return f"its process ended with exit code {error.exitcode} (killed, or out of memory)"
    except CancelledError:
        return "cancelled"
    except Exception as error:
        return worker.reason_of(error)
    return None
