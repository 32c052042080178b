"""`run`: the cells that are missing, then the board."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, cast, get_args

from ferbench.benchmark.commands.leaderboard import BOARD, render_board
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, data_folder
from ferbench.benchmark.planning.official import given_weights
from ferbench.benchmark.planning.suite import Cell, Keep, Suite, budget_of, cells_of, load_suite
from ferbench.benchmark.records.cache import keep_every
from ferbench.benchmark.records.provenance import available_cores, kept_path
from ferbench.benchmark.records.record import RECORD, WEIGHTS, read_record
from ferbench.benchmark.running.claims import claimed
from ferbench.benchmark.running.estimate import estimate, lines_of
from ferbench.benchmark.running.job import Job
from ferbench.benchmark.running.progress import clock
from ferbench.benchmark.running.scheduler import located, plan_located, refuse_read_only, run
from ferbench.benchmark.running.worker import threads
from ferbench.benchmark.transfer.pairs import Pair, Place, pairs_of
from ferbench.benchmark.transfer.run import run_pairs

if TYPE_CHECKING:
    from ferbench.benchmark.running.ray_pool import RayPool

BACKENDS = ("local", "ray")


@dataclass(frozen=True)
class RunRequest:
    """What is asked of `run`."""

    suite: str
    """Name or file."""
    results: Path
    architectures: list[str] | None = None
    datasets: list[str] | None = None
    """Only these; None: as the suite says."""
    seeds: int = 0
    """With how many seeds; 0 for those that the suite names. More are those of the suite and the lowest others."""
    budget: str = ""
    """Seconds of training a cell, as `10m`, in place of the suite's."""
    device: str = "auto"
    workers: int = 0
    """Cells side by side; 0: one a core, or one a GPU."""
    data: Path | None = None
    weights: list[str] | None = None
    allow_leaks: bool = False
    """Run where parts share pictures or people, and say so in every row."""
    keep: str = ""
    """Of which rows the trained weights are kept: best, all or none; empty: as the suite says. Where all is asked for,
    a finished cell without its weights is run again."""
    transfer: list[str] | None = None
    """Data sets whose models are tested on all the others of them; None: as the suite says. They are the data sets that
    run, unless some are asked for."""
    backend: str = "local"
    """Where cells run: `local`, or `ray`, on the cluster at an address (empty: on one of this machine)."""
    address: str = ""
    estimate: bool = False
    """Say what it would take, and run nothing."""


def run_suite(asked: RunRequest) -> int:
    """Runs what is missing of a suite and renders the board; returns the exit code.

    Raises:
        RequestError: the request itself is wrong; nothing has run then.
    """
    _refuse_contradictions(asked)
    name, suite = load_suite(asked.suite)
    results, folder = asked.results, data_folder(asked.data)
    suite, transfer = _narrowed(suite, asked)
    kept_rows = cast("Keep", asked.keep) or suite.keep
    words = asked_with(asked)
    cells = [
        replace(cell, asked=words, allow_leaks=asked.allow_leaks, keep=kept_rows)
        for cell in cells_of(name, suite, asked.architectures, asked.datasets, folder)
    ]
    backend = asked.backend
    elsewhere = backend == "ray" or (asked.estimate and asked.device != "auto")
    device_type = asked.device if elsewhere else choose_device(asked.device)
    if asked.weights:
        rows = list(dict.fromkeys(cell.architecture for cell in cells if cell.kind == "architecture"))
        given, lines = given_weights(asked.weights, rows, suite.size)
        cells = [replace(cell, weights=given) for cell in cells]
        print("\n".join(lines))
    if asked.estimate:
        slots = asked.workers or (available_cores() if device_type == "cpu" else max(1, _gpus()))
        jobs, _ = plan_located(list(located(cells, folder)), results, device_type)
        print("\n".join(lines_of(*estimate(jobs, results, device_type), slots)))
        return 0
    refuse_read_only(results)
    placed = list(located(cells, folder))
    untested = untested_pairs(placed, transfer, results, device_type) if transfer else []
    needed = {pair.weights(results).parent for pair in untested}
    placed = [
        (replace(cell, keep="all") if cell.folder(results, location.name) in needed else cell, location)
        for cell, location in placed
    ]
    jobs, kept = plan_located(placed, results, device_type)
    if not jobs and not untested:
        print(f"nothing to do: all {kept} cells of suite {name} are finished in {results}: see {results / BOARD}")
        if _is_stale(results / BOARD, results / name):
            _render(results, name)
        return 0
    pool = None
    if backend == "ray":
        pool = _cluster(asked.address, device_type, results, folder, jobs)
        at_once = pool.slots
    else:
        at_once = asked.workers or (available_cores() if device_type == "cpu" else _gpus())
    print(f"suite {name}: {len(jobs)} cells to run, {kept} finished before; {at_once} at a time on {device_type}")
    began = time.monotonic()
    outcome = run(jobs, results, device_type, at_once, pool)
    print(f"{outcome.finished} cells finished, {outcome.failed} failed, in {clock(time.monotonic() - began)}")
    here = choose_device("auto") if backend == "ray" else device_type
    failed = outcome.failed + run_pairs(untested, results, here, say_aside)
    if kept_rows == "best":
        leave_best([job.folder for job in jobs], results / name)
    elif kept_rows == "none":
        for cell_folder in needed:
            (cell_folder / WEIGHTS).unlink(missing_ok=True)
    _render(results, name)
    return 1 if failed else 0


def _refuse_contradictions(asked: RunRequest) -> None:
    """Raises RequestError where options do not go together, or are none."""
    threads()  # a wrong number would end every worker
    keep_every()
    if asked.backend not in BACKENDS:
        raise RequestError(f"unknown backend {asked.backend!r}: use {' or '.join(BACKENDS)}")
    if asked.address and asked.backend != "ray":
        raise RequestError(f"--address {asked.address}: belongs to --backend ray: name both")
    if asked.workers and asked.backend == "ray":
        raise RequestError("--workers: a cluster runs as many cells as it has room for: leave it out")
    if asked.backend == "ray" and asked.device == "auto":
        raise RequestError("--device auto: this machine cannot tell what a cluster has: use --device cpu or cuda")
    if asked.keep and asked.keep not in get_args(Keep):
        raise RequestError(f"--keep {asked.keep}: use {', '.join(get_args(Keep))}")


def _narrowed(suite: Suite, asked: RunRequest) -> tuple[Suite, list[str]]:
    """The suite with what is asked for in place of what it names, and the data sets of its transfers."""
    changes: dict[str, object] = {}
    if asked.seeds:
        others = (seed for seed in count() if seed not in suite.seeds)
        changes["seeds"] = [*suite.seeds, *islice(others, asked.seeds)][: asked.seeds]
    if asked.budget:
        changes["budget"] = seconds = budget_of(asked.budget)
        changes["time_limit"] = max(suite.time_limit, int(2 * seconds))
    if asked.transfer is not None:
        changes |= {"datasets": asked.transfer, "also_datasets": []}
    return suite.model_copy(update=changes), list(suite.transfer) if asked.transfer is None else asked.transfer


def _cluster(address: str, device_type: str, results: Path, data: Path | None, jobs: list[Job]) -> RayPool:
    """The cluster at an address, whose nodes would all run these cells as they are planned here."""
    from ferbench.benchmark.running.ray_pool import RayPool

    pool = RayPool(address, device_type, results, data)
    try:
        pool.refuse_other_nodes(jobs)
    except BaseException:
        pool.stop()
        raise
    return pool


def untested_pairs(
    placed: list[tuple[Cell, Location]], names: list[str], results: Path, device_type: str
) -> list[Pair]:
    """Which models are still to be tested on which other data sets."""
    places = [Place(cell, location, device_type) for cell, location in placed]
    return [pair for pair in pairs_of(places, names) if not pair.is_finished(results)]


def leave_best(made: Sequence[Path], suite: Path) -> None:
    """Of the cells that were made now, removes the weights of those that are not of the best row of their data set.

    A row counts by all its cells: one that is the best of a single seed may have kept the weights of that one alone.
    """
    for dataset in sorted({folder.parent.parent for folder in made}):
        rows: dict[str, list[float]] = defaultdict(list)
        for row in {file.parent.parent for file in dataset.glob(f"*/*/{WEIGHTS}")}:
            for folder in row.glob("seed*-fold*"):
                if (record := read_record(folder)) is not None and record.data["status"] == "ok":
                    rows[row.name].append(record.headline.value)
        best = max(rows, key=lambda row: (fmean(rows[row]), row), default="")
        for folder in made:
            if folder.parent.parent == dataset and folder.parent.name != best:
                (folder / WEIGHTS).unlink(missing_ok=True)


def asked_with(asked: RunRequest) -> tuple[str, ...]:
    """The words of a request that choose a suite, its seeds and its budget, as records keep them."""
    file = Path(asked.suite)
    words = ["--suite", kept_path(file) if file.suffix else asked.suite]
    words += ["--seeds", str(asked.seeds)] if asked.seeds else []
    return (*words, *(["--budget", asked.budget] if asked.budget else []))


def choose_device(asked: str) -> str:
    """`cpu` or `cuda`. Looks for a GPU without importing torch where there cannot be one.

    Raises:
        RequestError: an unknown device, or a GPU is asked for that is not there.
    """
    if asked not in ("auto", "cpu", "cuda"):
        raise RequestError(f"unknown device {asked!r}: use auto, cpu or cuda")
    if asked == "cpu" or (asked == "auto" and not any(Path("/dev").glob("nvidia[0-9]*"))):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "cuda":
        raise RequestError("no CUDA device is to be seen: use --device cpu, or check the driver with nvidia-smi")
    return "cpu"


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _render(results: Path, suite: str) -> None:
    """Renders the board beside the records, after another run that does so, and prints what it says of which row to
    pick of this suite."""
    with claimed(results, BOARD.name, wait=True):
        rendered = render_board(results, results / BOARD)
    print(f"\n{rendered.picks[suite]}\n\n{rendered.out} rendered")


def _is_stale(board: Path, records: Path) -> bool:
    """Whether the board was never rendered, or before the newest record (a run that was killed in between)."""
    if not board.is_file():
        return True
    rendered = board.stat().st_mtime
    return any(file.stat().st_mtime > rendered for file in records.glob(f"*/*/seed*-fold*/{RECORD}"))
