"""Cells -> finished cells: what is missing is run, side by side, each with a time limit; the rest is left alone.

A cell costs no other cell anything. A worker that crashes or runs out of time is replaced (pebble's pool does that);
its cell stays on the board as failed with the reason, and is tried again at the next run.

Several runs may be at work in one results folder: a cell that another one is at is asked for again until that one has
made it, or has left it.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, TimeoutError
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from ferbench.benchmark.cell import failed_record, identity, members_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, locate
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.cache import forget_old
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.records.record import Headline, finished, write_record
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.order import expected_seconds, longest_first
from ferbench.benchmark.running.progress import RunProgress

DATA_TIME_LIMIT = 24 * 3600
STOP_SECONDS = 10.0
"""What workers are given to end when a run is stopped."""
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
        return finished(self.folder, self.about["key"])


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    finished: int
    failed: int


def plan(cells: list[Cell], results: Path, data: Path | None, device_type: str) -> tuple[list[Job], int]:
    """The jobs whose records are missing, stale or failed, and how many are finished already."""
    located: dict[str, Location] = {}
    missing, kept = [], 0
    for cell in cells:
        if cell.dataset not in located:
            located[cell.dataset] = locate(cell, data)
        location = located[cell.dataset]
        if cell.architecture == "oracle" and location.source == "real":
            continue
        job = Job(cell, location, cell.folder(results, location.name), identity(cell, location, device_type))
        if job.finished() is not None:
            kept += 1
        else:
            missing.append(job)
    return missing, kept


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
    with tempfile.TemporaryDirectory(prefix="ferbench-") as status, _asked_to_stop() as asked:
        seconds = expected_seconds(jobs, results)
        expected = {job.name: seconds[job.folder] for job in jobs}
        progress = RunProgress(len(jobs), workers, Path(status), expected=expected)
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
        from pebble import ProcessPool

        self.results = results
        self.device_type = device_type
        self.workers = workers
        self.progress = progress
        self.asked_to_stop = asked_to_stop
        self.strangers = set(active_children())
        """Processes that this run has not started."""
        self.pool = ProcessPool(
            max_workers=workers, initializer=worker.start, initargs=(progress.status_folder, os.getpid()),
            context=get_context("spawn"),
        )  # fmt: skip
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
        processes = max(1, available_cores() // max(1, min(self.workers, len(self.waiting))))
        try:
            for group, jobs in self.waiting.items():
                future = self.pool.schedule(
                    worker.prepare_data, args=(jobs[0].location, group[1], processes), timeout=DATA_TIME_LIMIT
                )
                self.running[future] = group
            while self.running or self.elsewhere:
                if self.asked_to_stop.is_set():
                    raise KeyboardInterrupt
                for future in [f for f in self.running if f.done()]:
                    self._collect(future)
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

    def _collect(self, future: Any) -> None:
        what = self.running.pop(future)
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
        future = self.pool.schedule(
            worker.make_cell,
            args=(job.cell, job.location, job.about, self.device_type, self.workers, self.results),
            timeout=job.cell.time_limit,
        )
        self.running[future] = job

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
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    return None
