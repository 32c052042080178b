"""`run`: the cells that are missing, then the board."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, cast, get_args

from ferbench.benchmark.commands.leaderboard import BOARD, render_board
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, data_folder
from ferbench.benchmark.planning.official import given_weights
from ferbench.benchmark.planning.suite import Cell, Keep, cells_of, load_suite
from ferbench.benchmark.records.provenance import available_cores, kept_path
from ferbench.benchmark.records.record import RECORD, WEIGHTS, read_record
from ferbench.benchmark.running.claims import claimed
from ferbench.benchmark.running.job import Job
from ferbench.benchmark.running.progress import clock
from ferbench.benchmark.running.scheduler import located, plan_located, refuse_read_only, run
from ferbench.benchmark.running.worker import threads
from ferbench.benchmark.transfer.pairs import Pair, Place, pairs_of
from ferbench.benchmark.transfer.run import run_pairs

if TYPE_CHECKING:
    from ferbench.benchmark.running.ray_pool import RayPool

BACKENDS = ("local", "ray")


def run_suite(
    suite_name: str,
    only_architectures: list[str] | None,
    only_datasets: list[str] | None,
    seeds: int,
    device: str,
    workers: int,
    results: Path,
    data: Path | None,
    weights: list[str] | None = None,
    allow_leaks: bool = False,
    keep: str = "",
    transfer: list[str] | None = None,
    backend: str = "local",
    address: str = "",
) -> int:
    """Runs what is missing of a suite and renders the board; returns the exit code.

    seeds: with how many seeds; 0 for those that the suite names. More are those of the suite and the lowest others.
    allow_leaks: run where parts share pictures or people, and say so in every row.
    keep: of which rows the trained weights are kept: best, all or none; empty: as the suite says. Where all is asked
        for, a finished cell without its weights is run again.
    transfer: data sets whose models are tested on all the others of them; None: as the suite says. They are the data
        sets that run, unless some are asked for.
    backend: where cells run: `local`, or `ray`, on the cluster at an address (empty: on one of this machine).

    Raises:
        RequestError: the request itself is wrong; nothing has run then.
    """
    threads()  # a wrong number would end every worker
    if backend not in BACKENDS:
        raise RequestError(f"unknown backend {backend!r}: use {' or '.join(BACKENDS)}")
    if address and backend != "ray":
        raise RequestError(f"--address {address}: belongs to --backend ray: name both")
    if workers and backend == "ray":
        raise RequestError("--workers: a cluster runs as many cells as it has room for: leave it out")
    name, suite = load_suite(suite_name)
    if seeds:
        others = (seed for seed in count() if seed not in suite.seeds)
        suite = suite.model_copy(update={"seeds": [*suite.seeds, *islice(others, seeds)][:seeds]})
    if transfer is None:
        transfer = list(suite.transfer)
    else:
        suite = suite.model_copy(update={"datasets": transfer, "also_datasets": []})
    folder = data_folder(data)
    asked = asked_with(suite_name, seeds)
    if keep and keep not in get_args(Keep):
        raise RequestError(f"--keep {keep}: use {', '.join(get_args(Keep))}")
    kept_rows = cast("Keep", keep) or suite.keep
    cells = [
        replace(c, asked=asked, allow_leaks=allow_leaks, keep=kept_rows)
        for c in cells_of(name, suite, only_architectures, only_datasets, folder)
    ]
    if backend == "ray" and device == "auto":
        raise RequestError("--device auto: this machine cannot tell what a cluster has: use --device cpu or cuda")
    device_type = device if backend == "ray" else choose_device(device)
    if weights:
        rows = list(dict.fromkeys(cell.architecture for cell in cells if cell.kind == "architecture"))
        given, lines = given_weights(weights, rows, suite.size)
        cells = [replace(cell, weights=given) for cell in cells]
        print("\n".join(lines))
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
        pool = _cluster(address, device_type, results, folder, jobs)
        at_once = pool.slots
    else:
        at_once = workers or (available_cores() if device_type == "cpu" else _gpus())
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
    """Of the cells that were made now, removes the weights of those that are not of the best row of their data set."""
    for dataset in sorted({folder.parent.parent for folder in made}):
        rows: dict[str, list[float]] = defaultdict(list)
        for file in dataset.glob(f"*/*/{WEIGHTS}"):
            if (record := read_record(file.parent)) is not None and record.data["status"] == "ok":
                rows[file.parent.parent.name].append(record.headline.value)
        best = max(rows, key=lambda row: (fmean(rows[row]), row), default="")
        for folder in made:
            if folder.parent.parent == dataset and folder.parent.name != best:
                (folder / WEIGHTS).unlink(missing_ok=True)


def asked_with(suite: str, seeds: int) -> tuple[str, ...]:
    """The words of a request that choose a suite and its seeds, as records keep them."""
    file = Path(suite)
    return ("--suite", kept_path(file) if file.suffix else suite, *(["--seeds", str(seeds)] if seeds else []))


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
