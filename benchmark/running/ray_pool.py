"""Jobs as tasks of a Ray cluster: Ray says where each runs, the driver alone writes results.

A task takes its data where it runs: a twin is made there once a node, a folder of one's own is read under the same
path. It makes its cell in a folder of its own, and the files come back with its answer. What a node that is lost was at
runs again elsewhere.
"""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ferbench.benchmark.cell import a_better_is_kept, run_cell
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, locate
from ferbench.benchmark.planning.identity import key_parts, members_of
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.installation import cache_folder, own_version
from ferbench.benchmark.records.provenance import environment
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, WEIGHTS, Headline
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running import worker
from ferbench.benchmark.running.claims import Claims
from ferbench.benchmark.running.estimate import known_of
from ferbench.benchmark.running.job import DATA_TIME_LIMIT, Job, name_of

try:
    import ray
    from ray.exceptions import (
        NodeDiedError,
        ObjectLostError,
        OutOfMemoryError,
        RayError,
        RayTaskError,
        WorkerCrashedError,
    )
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    raise RequestError("ray is not installed: pip install 'ferbench[cluster]'") from None

CRASHES = 2
"""How often a cell is tried again whose process ended, on a node that went on: it may have been the node's end all the
same, or a cell that takes too much memory."""
ANSWER_SECONDS = 10.0
"""Within which a cluster must answer."""
TELL_SECONDS = 1.0
"""Between two things that a task says of itself."""
COUNT_SECONDS = 2.0
"""Between two counts of the cluster."""
GRACE = 60.0
"""Seconds after its time limit at which the process of a cell that does not heed it is ended."""
NICENESS = "RAY_worker_niceness"
"""By itself Ray runs its workers behind everything else on a machine, and a cell's times would be those of leftovers.
Read where a node is started."""
SAME = ("ferbench", "python", "torch")
"""What must be the same on every node."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Answer:
    """What a task brings back."""

    headline: Headline
    seconds: float
    files: Files


@dataclass
class _Task:
    """A task of the cluster, and whom its answer is for."""

    future: Future[Any]
    job: Job
    ref: Any = None
    crashes: int = 0


@dataclass
class _Preparation:
    """Of one group's data, on every node."""

    future: Future[Any]
    refs: list[Any]
    error: Exception | None = None


@dataclass
class RayPool:
    """A cluster: the one at `address`, or one of this machine that ends with the run.

    Raises:
        RequestError: the cluster does not answer, or a node of it cannot do the work, and which and why.
    """

    address: str
    device_type: str
    results: Path
    data: Path | None
    tasks: list[_Task] = field(default_factory=list)
    preparations: list[_Preparation] = field(default_factory=list)
    slots: int = 0
    memory: dict[tuple[str, str], float] = field(default_factory=dict)
    """Bytes that a cell of a row and size has taken before; 0: none is on record."""
    counted: float = -COUNT_SECONDS
    said: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        refuse_silent(self.address)
        os.environ.setdefault(NICENESS, "0")
        settings = {**worker.SETTINGS, worker.THREADS: str(worker.threads())}
        try:
            ray.init(
                address=self.address or None,
                runtime_env={"env_vars": settings},
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=None if self.address else False,
            )
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            said = " ".join(str(error).split())
            raise RequestError(f"--address {self.address or 'none'}: the cluster cannot be joined: {said}") from None
        self.claims = Claims(self.results)
        actor: Any = ray.remote(_Board)
        self.board = actor.options(num_cpus=0, **on(ray.get_runtime_context().get_node_id())).remote()
        self.asked_board = self.board.said.remote()
        self._count()

    @cached_property
    def unit(self) -> str:
        """The resource that a cell takes: a GPU, or as many cores as it has threads."""
        return "GPU" if self.device_type == "cuda" else "CPU"

    def refuse_other_nodes(self, jobs: Sequence[Job]) -> None:
        """Asks every node whether it would run these cells as they are planned here, before anything runs.

        Raises:
            RequestError: one has other versions, other code or other data, or lacks the data.
        """
        own = about_here()
        asked = {(job.cell.dataset, job.cell.architecture): job for job in jobs}.values()
        planned = [(job.cell, job.about["key_parts"]) for job in asked]
        refs = {
            node["NodeManagerAddress"]: _probe.options(**on(node["NodeID"])).remote(
                planned, self.device_type, self.data
            )
            for node in alive()
        }
        for name, ref in refs.items():
            try:
                found, fault = ray.get(ref)
            except NodeDiedError:
                continue
            except RayTaskError as error:
                raise RequestError(f"node {name}: {worker.reason_of(_cause(error))}") from None
            refuse_other_versions(name, found, own)
            if fault:
                raise RequestError(f"node {name}: {fault}")
        if not self.slots:
            raise RequestError(f"the cluster has no {self.unit}: add a node, or use another --device")

    @property
    def active(self) -> bool:
        return bool(ray.is_initialized())

    def begin_again(self) -> None:
        raise RequestError("the cluster is gone: finished cells are kept, and the same command goes on from there")

    def prepare(self, location: Location, size: int, groups: int) -> Future[Any]:
        """Prepares the data on every node that there is; one that comes later does so with its first cell."""
        refs = []
        for node in alive():
            if cores := int(node["Resources"].get("CPU", 0)):
                processes = max(1, cores // groups)
                task = _prepare.options(num_cpus=processes, **on(node["NodeID"]))
                refs.append(task.remote(location, size, processes, self.board))
        preparation = _Preparation(Future(), refs)
        self.preparations.append(preparation)
        return preparation.future

    def make(self, job: Job) -> Future[Any]:
        task = _Task(Future(), job)
        if not self.claims.take(self._claim(job)):
            task.future.set_result(None)
        elif (headline := job.finished()) is not None:
            self.claims.leave(self._claim(job))
            task.future.set_result(worker.Made(headline, 0.0, by_another=True))
        else:
            self._give(task)
        return task.future

    def look(self) -> None:
        """Takes what the cluster has answered since."""
        self._count()
        for preparation in list(self.preparations):
            self._look_at(preparation)
        if not self.tasks:
            return
        refs = {task.ref: task for task in self.tasks}
        ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=0)
        for ref in ready:
            self._take(refs[ref])

    def running(self) -> list[tuple[str, str]]:
        return self.said

    def close(self) -> None:
        self.claims.close()
        ray.shutdown()

    def stop(self) -> None:
        """Ends the tasks with the connection: Ray kills what belongs to a driver that left."""
        self.close()

    def _claim(self, job: Job) -> str:
        return job.folder.relative_to(self.results).as_posix()

    def _give(self, task: _Task) -> None:
        """Hands a cell to the cluster."""
        below = {member.architecture: _files(member.folder(self.results, task.job.location.name))
                 for member in members_of(task.job.cell)}  # fmt: skip
        amount = self._amount(task.job.cell)
        about = (task.job.cell, task.job.about, self.device_type, self.slots, self.data, below, self.board)
        task.ref = _make.options(name=task.job.name, **amount).remote(*about)
        self.tasks.append(task)

    def _amount(self, cell: Cell) -> dict[str, int]:
        """What a cell takes of its node: cores, a GPU, and as much memory as one of its row has taken before.

        No more memory than the largest node has, or the cell would wait for ever. On a GPU the records know of the
        GPU's alone, which a cell has to itself.
        """
        threads = worker.threads()
        if self.unit == "GPU":
            return {"num_gpus": 1, "num_cpus": threads}
        row = cell.architecture, cell.size
        if row not in self.memory:
            known = known_of(*row, self.results, self.device_type)
            self.memory[row] = known.memory_mb * 1e6 if known else 0.0
        largest = max((node["Resources"].get("memory", 0.0) for node in alive()), default=0.0)
        return {"num_cpus": threads, "memory": int(min(self.memory[row], largest))}

    def _take(self, task: _Task) -> None:
        """Takes the answer of a task: its files are written, or it is tried again, or it has failed."""
        self.tasks.remove(task)
        try:
            answer: Answer = ray.get(task.ref)
        except RayTaskError as error:
            self._end(task, error=worker.JobError(worker.reason_of(_cause(error))))
        except OutOfMemoryError:
            self._end(task, error=worker.JobError("its node ran out of memory: give it fewer cores, or more memory"))
        except (NodeDiedError, ObjectLostError):
            self._give(task)
        except WorkerCrashedError:
            task.crashes += 1
            if task.crashes <= CRASHES:
                self._give(task)
            else:
                said = f"its process ended {task.crashes} times (killed, or out of memory)"
                self._end(task, error=worker.JobError(said))
        except RayError as error:
            self._end(task, error=worker.JobError(worker.reason_of(error)))
        else:
            try:
                self._write(task.job, answer)
            except OSError as error:
                self._end(task, error=worker.JobError(worker.reason_of(error)))
            else:
                self._end(task, made=worker.Made(answer.headline, answer.seconds))

    def _end(self, task: _Task, made: worker.Made | None = None, error: Exception | None = None) -> None:
        self.claims.leave(self._claim(task.job))
        if error is None:
            task.future.set_result(made)
        else:
            task.future.set_exception(error)

    def _write(self, job: Job, answer: Answer) -> None:
        """Writes a cell's files, its record last: a cell that has one is whole."""
        job.folder.mkdir(parents=True, exist_ok=True)
        worse = job.cell.keep == "best" and a_better_is_kept(job.folder, answer.headline)
        for name in sorted(answer.files, key=lambda name: name == RECORD):
            if not (name == WEIGHTS and worse):
                with drafted(job.folder / name) as draft:
                    draft.write_bytes(answer.files[name])
        if worse or WEIGHTS not in answer.files:
            (job.folder / WEIGHTS).unlink(missing_ok=True)

    def _look_at(self, preparation: _Preparation) -> None:
        """A group's data are ready when all nodes are, or are gone; they fail where one says why."""
        ready: list[Any] = []
        if preparation.refs:  # to wait for none is an error
            ready, preparation.refs = ray.wait(preparation.refs, num_returns=len(preparation.refs), timeout=0)
        for ref in ready:
            try:
                ray.get(ref)
            except RayTaskError as error:
                preparation.error = worker.JobError(worker.reason_of(_cause(error)))
            except RayError:  # the node is gone, and whoever comes for its cells prepares them
                continue
        if not preparation.refs:
            self.preparations.remove(preparation)
            if preparation.error is None:
                preparation.future.set_result(None)
            else:
                preparation.future.set_exception(preparation.error)

    def _count(self) -> None:
        """Counts, now and then, what the cluster can do at once, and hears what its tasks say."""
        if time.monotonic() - self.counted < COUNT_SECONDS:
            return
        self.counted = time.monotonic()
        per_cell = 1 if self.unit == "GPU" else worker.threads()
        self.slots = int(ray.cluster_resources().get(self.unit, 0)) // per_cell
        if ray.wait([self.asked_board], timeout=0)[0]:
            with suppress(RayError):
                self.said = ray.get(self.asked_board)
            self.asked_board = self.board.said.remote()


def refuse_other_versions(name: str, found: dict[str, str], own: dict[str, str]) -> None:
    """Raises RequestError where a node's versions are not those of this machine."""
    for what in SAME:
        if found[what] != own[what]:
            raise RequestError(
                f"node {name} has {what} {found[what]}, and this machine {own[what]}: install the same there"
            )


def refuse_silent(address: str) -> None:
    """Raises RequestError where nobody listens at a cluster's address: Ray itself asks for five minutes."""
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not (separator and port.isascii() and port.isdigit()):
        return  # none, or a word such as `auto`, which Ray looks up at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or error
        raise RequestError(f"--address {address}: no cluster answers there ({said}): see `ray status`") from None


def alive() -> list[dict[str, Any]]:
    """What Ray says of each node that is there."""
    return [node for node in ray.nodes() if node["Alive"]]


def on(node: str) -> dict[str, Any]:
    """Options of what is to run on this very node."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def about_here() -> dict[str, str]:
    """The versions of this node that a record depends on."""
    return {"ferbench": own_version(), "python": platform.python_version(), "torch": str(environment()["torch"])}


def _cause(error: RayTaskError) -> Exception:
    """What went wrong inside a task."""
    cause = error.cause
    return cause if isinstance(cause, Exception) else error


def _files(folder: Path) -> Files:
    """What another cell needs of a finished one."""
    return {name: (folder / name).read_bytes() for name in (RECORD, PREDICTIONS) if (folder / name).is_file()}


# On a node ------------------------------------------------------------------------------------------------------------


class _Board:
    """Hears what all tasks are doing."""

    def __init__(self) -> None:
        self.heard: dict[str, tuple[str, float]] = {}

    def hear(self, job: str, text: str) -> None:
        self.heard[job] = text, time.monotonic()

    def forget(self, job: str) -> None:
        self.heard.pop(job, None)

    def said(self) -> list[tuple[str, str]]:
        """What each task said last, without those that have been silent: their node may be gone."""
        recent = time.monotonic() - 600
        return [(job, text) for job, (text, when) in sorted(self.heard.items()) if when > recent]


@dataclass
class _Remote:
    """Tells the board, now and then."""

    board: Any
    node: str
    due: float = 0.0

    def hear(self, job: str, text: str) -> None:
        if time.monotonic() >= self.due:
            self.due = time.monotonic() + TELL_SECONDS
            self.board.hear.remote(job, f"{self.node}: {text}")

    def forget(self, job: str) -> None:
        self.board.forget.remote(job)


@ray.remote(num_cpus=0, max_retries=0)
def _probe(
    planned: list[tuple[Cell, dict[str, Any]]], device_type: str, data: Path | None
) -> tuple[dict[str, str], str]:
    """This node's versions, and why it cannot run these cells as they were planned; empty when it can."""
    if data is not None and not data.is_dir():
        return about_here(), f"there is no {data}: put the data under this path on every node"
    found: dict[str, Location] = {}
    for cell, parts in planned:
        try:
            if cell.dataset not in found:
                found[cell.dataset] = locate(cell, data)
            refuse_other(parts, key_parts(cell, found[cell.dataset], device_type))
        except RequestError as error:
            return about_here(), f"{cell.dataset}: {error}"
    return about_here(), ""


def refuse_other(planned: dict[str, Any], here: dict[str, Any]) -> None:
    """Raises RequestError where a cell would not be the one that was planned."""
    other = sorted(name for name in planned.keys() | here.keys() if planned.get(name) != here.get(name))
    if "data" in other:
        raise RequestError("the data of this node are others than those of the machine that plans: copy them anew")
    if other:
        raise RequestError(f"this node would run other code ({', '.join(other)}): install the same there")


@ray.remote(max_retries=0)
def _prepare(location: Location, size: int, processes: int, board: Any) -> None:
    with _as_worker(board) as node, _named(node), time_limit(DATA_TIME_LIMIT):
        worker.prepare_data(located_here(location), size, processes)


@ray.remote(max_retries=0)
def _make(
    cell: Cell,
    about: dict[str, Any],
    device_type: str,
    slots: int,
    data: Path | None,
    below: dict[str, Files],
    board: Any,
) -> Answer:
    """Makes one cell on this node."""
    with _as_worker(board) as node, _named(node), scratch() as results:
        location = locate(cell, data)
        refuse_other(about["key_parts"], key_parts(cell, location, device_type))
        for member in members_of(cell):
            folder = member.folder(results, location.name)
            folder.mkdir(parents=True)
            for name, content in below[member.architecture].items():
                (folder / name).write_bytes(content)
        worker.prepare_data(location, cell.image_size, 1)
        began = time.monotonic()
        with time_limit(cell.time_limit), worker.telling(name_of(cell, location)) as say:
            headline = run_cell(cell, location, about, device_type, slots, results, say)
        folder = cell.folder(results, location.name)
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        return Answer(headline, time.monotonic() - began, files)


def located_here(planned: Location) -> Location:
    """Where this node has the data of a location: a twin in its own cache, a folder under the same path."""
    if planned.own_twin is None:
        return planned
    return replace(planned, root=cache_folder() / "twins" / planned.root.name)


@contextmanager
def _as_worker(board: Any) -> Iterator[str]:
    """This process as a worker that tells the board what it does; gives the name of its node."""
    node = ray.util.get_node_ip_address()
    worker.settle()
    worker.listener = _Remote(board, node)
    yield node


@contextmanager
def _named(node: str) -> Iterator[None]:
    """What goes wrong, in a line that says where."""
    try:
        yield
    except Exception as error:
        raise worker.JobError(f"node {node}: {worker.reason_of(error)}") from None


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises JobError in the main thread when the time is over; a process that does not heed it is ended later."""

    def over(*_: object) -> None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # which ends the process
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        raise worker.JobError(f"over its time limit of {seconds:g} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
