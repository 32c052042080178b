"""What runs inside a worker process: it imports torch once and then makes many cells, one at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ferbench.benchmark.cell import made, run_cell
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, open_data
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.record import Headline
from ferbench.benchmark.running.claims import claimed
from ferbench.benchmark.running.job import name_of
from ferbench.benchmark.running.processes import leave_with

T = TypeVar("T")

SETTINGS = {
    # Measured: training 1.2 to 1.7 times faster, 5% more memory. glibc reads them when a process starts.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    # One thread a process; and what CUDA needs to give the same numbers again.
    "OMP_NUM_THREADS": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}

THREADS = "FERBENCH_THREADS"
"""Threads of torch in a worker, one unless it is set: another number sums in another order, which the gate's baseline
does on purpose."""

MOST_THREADS = 1024


class Listener(Protocol):
    """Whoever is told what this process is doing."""

    def hear(self, job: str, text: str) -> None: ...

    def forget(self, job: str) -> None:
        """The job is done."""


listener: Listener | None = None
"""Of this process; None: nobody."""


def set_worker_environment() -> None:
    """Sets, for processes that are started from now on, what must be there when they begin."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def threads() -> int:
    """How many threads torch has in a worker.

    Raises:
        RequestError: what is asked for is no such number.
    """
    asked = os.environ.get(THREADS) or "1"
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked[:9]) <= MOST_THREADS):
        raise RequestError(f"{THREADS}={asked!r}: a number of threads is from 1 to {MOST_THREADS}: set another one, or "
                           "none")  # fmt: skip
    return int(asked)


def start(status_folder: Path, parent: int) -> None:
    """Runs once in each new worker."""
    global listener
    listener = StatusFile(status_folder / str(os.getpid()))
    # Ctrl-C reaches the whole group: the parent alone decides what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with(parent)
    settle()
    import torch

    from ferbench.benchmark.learning.resuming import leave

    # What trains keeps its state first: a machine that is taken away says so half a minute before.
    signal.signal(signal.SIGTERM, lambda number, _: leave(128 + number))

    if torch.cuda.is_available():  # one worker a GPU; one that replaces another may share a GPU for a while
        torch.cuda.set_device((multiprocessing.current_process()._identity[0] - 1) % torch.cuda.device_count())


def settle() -> None:
    """Makes torch give the same numbers again, in as many threads as are asked for."""
    import torch

    from ferbench.benchmark.learning.training import make_deterministic

    make_deterministic()
    torch.set_num_threads(threads())


class JobError(Exception):
    """Why a job failed, in one line. An exception of somebody else's may not survive the way to another process, where
    it would end the whole pool."""


def reason_of(error: Exception) -> str:
    """What an exception says, in one line."""
    if isinstance(error, JobError):
        return str(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """What goes wrong inside is a `JobError`."""
    try:
        yield
    except Exception as error:
        raise JobError(reason_of(error)) from None


@told_in_one_line()
def prepare_data(location: Location, size: int, processes: int) -> None:
    """Writes the twin, decodes the frames of a data set and looks for copies among them, where that is not done yet."""
    from ferbench.benchmark.planning.leaks import copies_of

    with telling(f"data of {location.name}") as say:
        open_data(location, size, say, processes)
        copies_of(location, say, processes)


@dataclass(frozen=True)
class Made:
    """A cell that has its record."""

    headline: Headline
    seconds: float
    """What it took, without waiting."""
    by_another: bool = False
    """Whether another run on the same results folder made it."""


@told_in_one_line()
def make_cell(
    cell: Cell, location: Location, about: dict[str, Any], device_type: str, workers: int, results: Path
) -> Made | None:
    """Runs one cell to its record, unless another run has made it since this one was planned; None where one is at
    it."""
    folder = cell.folder(results, location.name)
    with claimed(results, folder.relative_to(results).as_posix()) as mine:
        if not mine:
            return None
        if (headline := made(cell, folder, about["key"])) is not None:
            return Made(headline, 0.0, by_another=True)
        began = time.monotonic()
        with telling(name_of(cell, location)) as say:
            headline = or_leave(lambda: run_cell(cell, location, about, device_type, workers, results, say))
        return Made(headline, time.monotonic() - began)


def or_leave(work: Callable[[], T]) -> T:
    """What this work returns; ends this process where it was asked to end and a training has kept its state."""
    from ferbench.benchmark.learning.resuming import LeftError

    try:
        return work()
    except LeftError:
        os._exit(128 + signal.SIGTERM)


@contextmanager
def telling(job: str) -> Iterator[Teller]:
    """What says what a job is doing; nothing is said of it any more when it is done."""
    try:
        yield Teller(job)
    finally:
        if listener is not None:
            listener.forget(job)


class Teller:
    """Says what a job is doing, at most five times a second."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.due = 0.0
        self("starting")

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if listener is None or now < self.due:
            return
        self.due = now + 0.2
        listener.hear(self.job, text)


@dataclass(frozen=True)
class StatusFile:
    """A small file of a worker's own that says what it is doing, so that killing it can never block who reads it."""

    file: Path

    def hear(self, job: str, text: str) -> None:
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps([job, text]), encoding="utf-8")
        draft.replace(self.file)

    def forget(self, job: str) -> None:
        self.file.unlink(missing_ok=True)
