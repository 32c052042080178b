"""The loop of a search: the row that has had the fewest trials is next, until each has had its number.

A trial that crashes, diverges, or runs out of memory or of time is a bad trial and counts: the search goes on. What was
stopped, or what a killed search has left, does not count and is tried again. Several searches may be at work in one
study: they share its trials.
"""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.job import DATA_TIME_LIMIT
from ferbench.benchmark.running.local_pool import LocalPool, is_lost, reason, was_asked_to_end
from ferbench.benchmark.running.progress import RunProgress
from ferbench.benchmark.running.scheduler import MOST_BREAKS, asked_to_stop
from ferbench.benchmark.tuning.study import ROW, RowStudy, asking
from ferbench.benchmark.tuning.trial import Attempt, Task, attempt, prepare

if TYPE_CHECKING:
    import threading

    from optuna.trial import Trial

ASK_AGAIN = 2.0
"""Seconds after which it is looked again whether another search has left a trial."""

NO_WORKER = "worker processes are killed, or cannot be started: see how much memory is free"


class TrialPool(Protocol):
    """Where trials run."""

    slots: int

    @property
    def active(self) -> bool: ...

    def begin_again(self) -> None: ...

    def attempt(self, task: Task) -> Future[Any]: ...

    def ready(self, study: RowStudy) -> Future[Any]:
        """Prepares what a row's trials read."""

    def running(self) -> list[tuple[str, str]]: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...


class LocalTrials(LocalPool):
    """Processes of this machine: those that run cells."""

    def attempt(self, task: Task) -> Future[Any]:
        return self.schedule(attempt, (task,), task.cell.time_limit)

    def ready(self, study: RowStudy) -> Future[Any]:
        about = (study.location, study.size.image_size, study.cell.fold, available_cores())
        return self.schedule(prepare, about, DATA_TIME_LIMIT)


def search(studies: list[RowStudy], trials: int, device_type: str, workers: int, folder: Path) -> int:
    """Gives each row so many trials beside the recipe of its file; returns how many were made now.

    Raises:
        KeyboardInterrupt: Ctrl-C; every trial that is done with is kept.
        RequestError: the data cannot be prepared, or no worker can live here.
    """
    worker.set_worker_environment()
    with scratch() as status, asked_to_stop() as asked:
        pool = LocalTrials(workers, device_type, folder, status)
        return run_trials(studies, trials, pool, asked)


def run_trials(studies: list[RowStudy], trials: int, pool: TrialPool, asked: threading.Event) -> int:
    """The same, in a pool that is there; it is closed at the end."""
    left = sum(study.missing(trials) for study in studies)
    progress = RunProgress(left, pool, what="trials")  # type: ignore[arg-type]
    with progress:
        loop = _Loop(studies, trials, pool, progress, asked)
        try:
            loop.prepare()
            loop.work()
            pool.close()
        except BaseException:
            loop.leave_all()
            pool.stop()
            raise
    return progress.done + progress.failed


@dataclass
class _AtWork:
    study: RowStudy
    trial: Trial
    task: Task
    began: float


class _Loop:
    def __init__(
        self, studies: list[RowStudy], trials: int, pool: TrialPool, progress: RunProgress, asked: threading.Event
    ) -> None:
        self.studies, self.trials, self.pool, self.progress, self.asked = studies, trials, pool, progress, asked
        self.at_work: dict[Future[Any], _AtWork] = {}
        self.breaks = 0
        """How often the pool broke, or a worker was told to end, since a trial was done with."""

    def prepare(self) -> None:
        """Decodes what the rows read, a data set and image size at a time."""
        done = set()
        for study in self.studies:
            group = (study.location.name, study.size.image_size)
            if group in done:
                continue
            done.add(group)
            future = self.pool.ready(study)
            while not future.done():
                if not self.pool.active:
                    raise RequestError(NO_WORKER)
                self._rest()
            if error := reason(future, DATA_TIME_LIMIT):
                raise RequestError(f"data of {study.location.name}: {error}")

    def work(self) -> None:
        looked = 0.0
        while True:
            ended = [future for future in self.at_work if not is_lost(future)]
            for future in ended:
                self._collect(future)
            if not self.pool.active:
                self._begin_again()
            if ended or time.monotonic() - looked > ASK_AGAIN:
                looked = time.monotonic()
                self._fill()
                if not self.at_work and not any(study.missing(self.trials) for study in self.studies):
                    return
            self._rest()

    def _rest(self) -> None:
        if self.asked.is_set():
            raise KeyboardInterrupt
        self.progress.refresh()
        time.sleep(0.05)

    def _fill(self) -> None:
        """Begins trials as long as a worker is free, of the rows that have had the fewest."""
        for study in self.studies:
            with asking(study.claims):
                study.forget_left([w.trial.number for w in self.at_work.values() if w.study is study])
        full: set[str] = set()
        while len(self.at_work) < self.pool.slots and len(full) < len(self.studies):
            waiting = [study for study in self.studies if study.name not in full]
            study = min(waiting, key=lambda study: study.begun())
            with asking(study.claims):
                trial = study.begin(self.trials)
            if trial is None:
                full.add(study.name)
                continue
            task = study.task(trial)
            self.at_work[self.pool.attempt(task)] = _AtWork(study, trial, task, time.monotonic())

    def _collect(self, future: Future[Any]) -> None:
        at_work = self.at_work.pop(future)
        if was_asked_to_end(future):
            self._count_break()
            at_work.study.leave(at_work.trial)
            return
        self.breaks = 0
        error = reason(future, at_work.task.cell.time_limit)
        found = Attempt("failed", None, reason=error) if error else future.result()
        seconds = time.monotonic() - at_work.began
        at_work.study.tell(at_work.trial, found, seconds)
        name, attrs = at_work.task.name, at_work.trial.user_attrs
        tried = attrs[ROW].partition("@")[2].replace("+", ", ")
        said = f" ({tried})" if tried else ""
        if found.state == "failed":
            self.progress.failure(f"{name}{said}", found.reason)
        else:
            shown = f"validation {found.value:.3f}" if found.state == "finished" else "pruned"
            self.progress.finished(f"{name}{said}", shown, seconds)

    def _begin_again(self) -> None:
        """Replaces a pool that broke, as it does when a worker is killed while none has a task."""
        self._count_break()
        for future in list(self.at_work):
            if is_lost(future):
                lost = self.at_work.pop(future)
                lost.study.leave(lost.trial)
        self.pool.begin_again()

    def _count_break(self) -> None:
        """Ends a search whose workers end before any trial does."""
        self.breaks += 1
        if self.breaks > MOST_BREAKS:
            raise RequestError(NO_WORKER)

    def leave_all(self) -> None:
        """Gives up what is at work: it does not count."""
        for at_work in self.at_work.values():
            at_work.study.leave(at_work.trial)
        self.at_work = {}
