"""Cells -> finished cells: what is missing is run, side by side, each with a time limit; the rest is left alone.

A cell costs no other cell anything. A worker that crashes or runs out of time is replaced (the pool does that);
its cell stays on the board as failed with the reason, and is tried again at the next run. One that is killed while it
has nothing to do costs nothing.

Several runs may be at work in one results folder: a cell that another one is at is asked for again until that one has
made it, or has left it.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferbench.benchmark.cell import failed_record
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, locate
from ferbench.benchmark.planning.identity import identity
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.cache import forget_old
from ferbench.benchmark.records.record import write_record
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.job import DATA_TIME_LIMIT, Job, Pool
from ferbench.benchmark.running.local_pool import LocalPool, is_lost, reason
from ferbench.benchmark.running.order import expected_seconds, longest_first
from ferbench.benchmark.running.progress import RunProgress

MOST_BREAKS = 3
"""How often workers may be replaced all together without one job that is done with in between."""
ASK_AGAIN = 1.0
"""Seconds after which a cell that another run was at is asked for again."""


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    finished: int
    failed: int


def plan(cells: list[Cell], results: Path, data: Path | None, device_type: str) -> tuple[list[Job], int]:
    """The jobs whose records are missing, stale or failed, and how many are finished already."""
    return plan_located(list(located(cells, data)), results, device_type)


def plan_located(cells: list[tuple[Cell, Location]], results: Path, device_type: str) -> tuple[list[Job], int]:
    """The same, of cells whose data are found already."""
    missing, kept = [], 0
    for cell, location in cells:
        if cell.architecture == "oracle" and location.source == "real":
            continue
        job = Job(cell, location, cell.folder(results, location.name), identity(cell, location, device_type))
        if job.finished() is not None:
            kept += 1
        else:
            missing.append(job)
    return missing, kept


def located(cells: list[Cell], data: Path | None) -> Iterator[tuple[Cell, Location]]:
    """Each cell with where its data are; a data set is opened once."""
    found: dict[str, Location] = {}
    for cell in cells:
        if cell.dataset not in found:
            found[cell.dataset] = locate(cell, data)
        yield cell, found[cell.dataset]


def refuse_read_only(results: Path, option: str = "--results") -> None:
    """Raises RequestError where nothing can be written, before any work is done; `option` is what names the folder."""
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise RequestError(f"{results}: results cannot be written there ({error.strerror}): use {option} DIR") from None


def run(jobs: list[Job], results: Path, device_type: str, workers: int, pool: Pool | None = None) -> Outcome:
    """Runs every job and writes its record.

    Args:
        pool: where they run; None: in so many processes of this machine.

    Raises:
        KeyboardInterrupt: Ctrl-C; the finished cells have their records.
    """
    worker.set_worker_environment()
    forget_old()
    with scratch() as status, asked_to_stop() as asked:
        seconds = expected_seconds(jobs, results)
        expected = {job.name: seconds[job.folder] for job in jobs}
        pool = pool or LocalPool(workers, device_type, results, status)
        progress = RunProgress(len(jobs), pool, expected=expected)
        with progress:
            _Batch(longest_first(jobs, seconds, results), device_type, pool, progress, asked).work()
    return Outcome(progress.done, progress.failed)


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C, and by SIGTERM as a machine that is taken away sends it; heeded between two rounds: inside the
    pool's own locks it would leave it stuck."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as `nohup` or a shell's `&` may have it
            signal.signal(number, lambda *_: asked.set())
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Batch:
    """The jobs of one run, in the order in which they are to start: those of a data set wait until its data are
    there."""

    def __init__(
        self, jobs: list[Job], device_type: str, pool: Pool, progress: RunProgress, asked_to_stop: threading.Event
    ) -> None:
        self.device_type = device_type
        self.pool = pool
        self.progress = progress
        self.asked_to_stop = asked_to_stop
        self.breaks = 0
        """How often the pool broke since a job was done with."""
        self.waiting: dict[tuple[str, int], list[Job]] = {}
        self.turn = {job.folder: turn for turn, job in enumerate(jobs)}
        for job in jobs:
            self.waiting.setdefault((job.location.name, job.cell.image_size), []).append(job)
        self.running: dict[Any, Job | tuple[str, int]] = {}
        self.pending = {job.folder for job in jobs}
        self.held: list[Job] = []
        """Jobs whose data are there and that wait for others, or for their turn."""
        self.elsewhere: list[tuple[float, Job]] = []
        """Jobs that another run is at, with the time at which they are asked for again."""

    def work(self) -> None:
        self.groups = len(self.waiting)
        try:
            for group in self.waiting:
                self._prepare(group)
            while self.running or self.elsewhere:
                if self.asked_to_stop.is_set():
                    raise KeyboardInterrupt
                self.pool.look()
                for future in [f for f in self.running if not is_lost(f)]:
                    self._collect(future)
                if self.running and not self.pool.active:
                    self._begin_again()
                self._ask_again()
                self.progress.refresh()
                time.sleep(0.1)
            self.pool.close()
        except BaseException:
            self.pool.stop()
            raise

    def _begin_again(self) -> None:
        """Replaces a pool that broke, as it does when a worker is killed while none has a task, and gives the jobs that
        it had to the new one. When that one breaks too, again and again, no worker can live here: they all fail."""
        self.breaks += 1
        self.pool.begin_again()
        left = [what for future, what in self.running.items() if is_lost(future)]
        self.running = {future: what for future, what in self.running.items() if not is_lost(future)}
        if self.breaks > MOST_BREAKS:
            self._give_up(left)
            return
        for what in left:
            if isinstance(what, Job):
                self._start(what)
            else:
                self._prepare(what)

    def _give_up(self, left: list[Job | tuple[str, int]]) -> None:
        """Fails whatever is not done with."""
        given = [what for what in left if isinstance(what, Job)]
        of_data = [job for jobs in self.waiting.values() for job in jobs]
        for job in [*given, *of_data, *self.held, *(job for _, job in self.elsewhere)]:
            self._keep_failure(job, "worker processes are killed, or cannot be started: see how much memory is free")
        self.waiting, self.held, self.elsewhere = {}, [], []

    def _collect(self, future: Any) -> None:
        what = self.running.pop(future)
        self.breaks = 0
        error = reason(future, what.cell.time_limit if isinstance(what, Job) else DATA_TIME_LIMIT)
        if isinstance(what, Job):
            if error is None:
                self._keep(what, future.result())
            else:
                self._keep_failure(what, error)
            self._release()
            return
        if error is None:
            self.progress.say(f"data of {what[0]} ready at {what[1]} px")
        for job in self.waiting.pop(what):
            if error is None:
                self.held.append(job)
            else:
                self._keep_failure(job, error)
        self._release()

    def _release(self) -> None:
        """Starts jobs that wait for no other, in turn: one for each worker, and one more that lies ready."""
        free = [job for job in self.held if not job.needs & self.pending]
        free.sort(key=lambda job: self.turn[job.folder])
        for job in free[: max(0, self.pool.slots + 1 - len(self.running))]:
            self.held.remove(job)
            self._start(job)

    def _start(self, job: Job) -> None:
        self.running[self.pool.make(job)] = job

    def _prepare(self, group: tuple[str, int]) -> None:
        self.running[self.pool.prepare(self.waiting[group][0].location, group[1], self.groups)] = group

    def _keep(self, job: Job, made: worker.Made | None) -> None:
        if made is None:
            self.progress.leave(job.name)
            self.elsewhere.append((time.monotonic() + ASK_AGAIN, job))
            return
        self.pending.discard(job.folder)
        self.progress.finished(job.name, made.headline, None if made.by_another else made.seconds)

    def _ask_again(self) -> None:
        """Starts every job again that another run was at a while ago."""
        due = [(when, job) for when, job in self.elsewhere if when <= time.monotonic()]
        self.elsewhere = [entry for entry in self.elsewhere if entry not in due]
        for _, job in due:
            self._start(job)

    def _keep_failure(self, job: Job, reason: str) -> None:
        self.pending.discard(job.folder)
        headline = job.finished()
        if headline is not None:  # the worker was stopped after it had written the record
            self.progress.finished(job.name, headline, 0.0)
            return
        self.progress.failure(job.name, reason)
        try:
            write_record(job.folder, failed_record(job.about, self.device_type, reason))
        except OSError as error:
            self.progress.say(f"{job.folder}: the record of this failure cannot be written: {error.strerror}")
