"""Cells -> finished cells: what is missing is run, side by side, each with a time limit; the rest is left alone.

A cell costs no other cell anything. A worker that crashes or runs out of time is replaced (pebble's pool does that);
its cell stays on the board as failed with the reason, and is tried again at the next run. One that is killed while it
has nothing to do costs nothing.

Several runs may be at work in one results folder: a cell that another one is at is asked for again until that one has
made it, or has left it.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.cell import failed_record, identity, made, members_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, locate
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.cache import forget_old
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.records.record import Headline, write_record
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.order import expected_seconds, longest_first
from ferbench.benchmark.running.progress import RunProgress

if TYPE_CHECKING:
    from pebble import ProcessPool

DATA_TIME_LIMIT = 24 * 3600
STOP_SECONDS = 10.0
"""What workers are given to end when a run is stopped."""
MOST_BREAKS = 3
"""How often workers may be replaced all together without one job that is done with in between."""
ASK_AGAIN = 1.0
"""Seconds after which a cell that another run was at is asked for again."""


@dataclass(frozen=True)
class Job:
    """A cell with the place of its data and of its record, and what the record will say of it."""

    cell: Cell
    location: Location
    folder: Path
    about: dict[str, Any]

    @property
    def name(self) -> str:
        """As it is called on the terminal."""
        return f"{self.location.name} / {self.cell.architecture} seed {self.cell.seed} fold {self.cell.fold}"

    @property
    def needs(self) -> set[Path]:
        """Folders of the cells that must be done with before this one."""
        results = self.folder.parents[3]
        return {member.folder(results, self.location.name) for member in members_of(self.cell)}

    def finished(self) -> Headline | None:
        """Headline measure of the finished record of this very cell; None where there is none."""
        return made(self.cell, self.folder, self.about["key"])


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


def run(jobs: list[Job], results: Path, device_type: str, workers: int) -> Outcome:
    """Runs every job and writes its record.

    Raises:
        KeyboardInterrupt: Ctrl-C; the finished cells have their records.
    """
    worker.set_worker_environment()
    forget_old()
    with scratch() as status, _asked_to_stop() as asked:
        seconds = expected_seconds(jobs, results)
        expected = {job.name: seconds[job.folder] for job in jobs}
        progress = RunProgress(len(jobs), workers, status, expected=expected)
        with progress:
            _Batch(longest_first(jobs, seconds, results), results, device_type, workers, progress, asked).work()
    return Outcome(progress.done, progress.failed)


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C, which is heeded between two rounds: inside the pool's own locks it would leave it stuck."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as `nohup` or a shell's `&` may have it
        signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Batch:
    """The jobs of one run, in the order in which they are to start: those of a data set wait until its data are
    there."""

    def __init__(
        self, jobs: list[Job], results: Path, device_type: str, workers: int, progress: RunProgress,
        asked_to_stop: threading.Event,
    ) -> None:  # fmt: skip
        self.results = results
        self.device_type = device_type
        self.workers = workers
        self.progress = progress
        self.asked_to_stop = asked_to_stop
        self.strangers = set(active_children())
        """Processes that this run has not started."""
        self.pool = self._new_pool()
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

    def _new_pool(self) -> ProcessPool:
        from pebble import ProcessPool

        return ProcessPool(
            max_workers=self.workers, initializer=worker.start, initargs=(self.progress.status_folder, os.getpid()),
            context=get_context("spawn"),
        )  # fmt: skip

    def work(self) -> None:
        processes = max(1, available_cores() // max(1, min(self.workers, len(self.waiting))))
        try:
            for group, jobs in self.waiting.items():
                self._prepare(group, jobs[0].location, processes)
            while self.running or self.elsewhere:
                if self.asked_to_stop.is_set():
                    raise KeyboardInterrupt
                for future in [f for f in self.running if _has_answer(f)]:
                    self._collect(future)
                if self.running and not self.pool.active:
                    self._begin_again(processes)
                self._ask_again()
                self.progress.refresh()
                time.sleep(0.1)
            self.pool.close()
            self.pool.join()
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
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

    def _begin_again(self, processes: int) -> None:
        """Replaces a pool that broke, as it does when a worker is killed while none has a task, and gives the jobs that
        it had to the new one. When that one breaks too, again and again, no worker can live here: they all fail."""
        self.breaks += 1
        self._stop()
        self.pool = self._new_pool()
        left = [what for future, what in self.running.items() if not _has_answer(future)]
        self.running = {future: what for future, what in self.running.items() if _has_answer(future)}
        if self.breaks > MOST_BREAKS:
            self._give_up(left)
            return
        for what in left:
            if isinstance(what, Job):
                self._start(what)
            else:
                self._prepare(what, self.waiting[what][0].location, processes)

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
        error = _reason(future, what)
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
        for job in free[: max(0, self.workers + 1 - len(self.running))]:
            self.held.remove(job)
            self._start(job)

    def _start(self, job: Job) -> None:
        about = (job.cell, job.location, job.about, self.device_type, self.workers, self.results)
        self._schedule(job, worker.make_cell, about, job.cell.time_limit)

    def _prepare(self, group: tuple[str, int], location: Location, processes: int) -> None:
        self._schedule(group, worker.prepare_data, (location, group[1], processes), DATA_TIME_LIMIT)

    def _schedule(self, what: Job | tuple[str, int], function: Callable[..., Any], args: tuple[Any, ...],
                  limit: int) -> None:  # fmt: skip
        future: Future[Any]
        try:
            future = self.pool.schedule(function, args=args, timeout=limit)
        except RuntimeError:  # the pool broke since it was last looked at
            future = Future()
            future.set_exception(BrokenProcessPool())
        self.running[future] = what

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


def _has_answer(future: Any) -> bool:
    """Whether a job came to an end before its pool broke."""
    return bool(future.done()) and (future.cancelled() or not isinstance(future.exception(), BrokenProcessPool))


def _reason(future: Any, what: Job | tuple[str, int]) -> str | None:
    """Why a job failed, in one line; None when it did not."""
    from pebble import ProcessExpired

    try:
        future.result()
    except TimeoutError:
        limit = what.cell.time_limit if isinstance(what, Job) else DATA_TIME_LIMIT
        return f"over its time limit of {limit} s"
    except ProcessExpired as error:
        return f"its process ended with exit code {error.exitcode} (killed, or out of memory)"
    except CancelledError:
        return "cancelled"
    except worker.JobError as error:
        return str(error)
    except Exception as error:
        return worker.reason_of(error)
    return None
