"""`baseline`: runs the gate's cells several times over and keeps them as what `check` compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from ferbench.benchmark.commands.check import BASELINE, WORK
from ferbench.benchmark.commands.run import choose_device
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.accuracy import by_name, floor_of
from ferbench.benchmark.gate.baseline import cell_name, refuse_foreign, write_baseline
from ferbench.benchmark.gate.chance import Reruns, group_of, margins
from ferbench.benchmark.gate.runs import GateRun, as_reruns, data_content, reruns_of, run_cells
from ferbench.benchmark.planning.data import data_folder, locate
from ferbench.benchmark.records.provenance import available_cores, environment
from ferbench.benchmark.records.record import Record
from ferbench.benchmark.running.scheduler import refuse_read_only

SEEDS = 3


@dataclass(frozen=True)
class Request:
    """What the baseline is made of."""

    suite: str = "gate"
    seeds: int = SEEDS
    """How many seeds each cell is run with; another run with two threads comes on top."""
    device: str = "auto"
    workers: int = 0
    data: Path | None = None
    work: Path = WORK
    baseline: Path = BASELINE


def make_baseline(request: Request) -> int:
    """Runs everything that is missing and replaces the baseline; returns the exit code.

    Raises:
        RequestError: the request is wrong, or the data are not a twin.
    """
    device = choose_device(request.device)
    workers = request.workers or available_cores()
    gate = GateRun(request.suite, request.work / "records", device, workers, data_folder(request.data))
    name, cells = gate.cells()
    for cell in cells:
        location = locate(cell, gate.data)
        refuse_real(location.name, location.source)
    refuse_foreign(request.baseline)
    refuse_read_only(request.baseline.parent, "--out")
    runs: list[tuple[list[Record], int]] = []
    for draws, threads in reruns_of(cells, request.seeds):
        seeds = ", ".join(str(draw[0].seed) for draw in draws)
        print(f"{len(cells)} cells with seed {seeds} on {threads} thread{'s' * (threads > 1)} each", flush=True)
        folder = gate.folder if threads == 1 else request.work / f"records-{threads}-threads"
        here = GateRun(request.suite, folder, device, max(1, workers // threads), gate.data)
        records, outcome = run_cells([cell for draw in draws for cell in draw], here, print, threads)
        if outcome.failed:
            print(f"{outcome.failed} cells failed: the baseline stays as it was; mend them, then run this again")
            return 1
        runs += [(records[i : i + len(cells)], threads) for i in range(0, len(records), len(cells))]
    keep(request.baseline, name, runs, data_content(cells, gate.data))
    print(f"{request.baseline}: the baseline of suite {name}, {len(cells)} cells: commit it with the reason")
    return 0


def refuse_real(dataset: str, source: str) -> None:
    """Raises RequestError where the data are real: their predictions stay where they are."""
    if source != "twin":
        raise RequestError(f"{dataset}: a baseline is committed, and predictions on licensed data are not: make it on "
                           "twins (unset FERBENCH_DATA)")  # fmt: skip


def keep(folder: Path, suite: str, runs: Sequence[tuple[list[Record], int]], data: dict[str, dict[str, str]]) -> None:
    """Writes the baseline from its runs, the first of which is the one to compare with, and prints the spread.

    Raises:
        RequestError: the data are real.
    """
    records = runs[0][0]
    for record in records:
        refuse_real(record.data["dataset"], record.data["source"])
    reruns = as_reruns(runs)
    write_baseline(folder, suite, records, reruns, data, environment() | {"device": _device(records[0])})
    print(spread_table(reruns))
    for line in unprotected(records, margins(reruns)):
        print(line)


def unprotected(records: Sequence[Record], margin: Mapping[str, float]) -> list[str]:
    """A line for each cell that stands at the floor, where a loss of all that it has learned would not be seen."""
    lines = []
    for record in by_name(records).values():
        floor, limit = floor_of(record), margin[cell_name(record)]
        if floor is not None and record.headline.value - floor <= limit:
            lines.append(
                f"NOT PROTECTED: {cell_name(record)} has {record.headline}, the floor is {floor:.3f} and the limit "
                f"{limit:.3f}: a model that had learned nothing would pass the gate"
            )
    return lines


def spread_table(reruns: Reruns) -> str:
    """What chance did to each cell, and the loss that counts from now on."""
    margin = margins(reruns)
    rows = [[cell, *(f"{run.score:.4f}" for run in runs), f"{margin[cell]:.4f}"] for cell, runs in reruns.items()]
    first = next(iter(reruns.values()))
    headers = [
        "cell",
        *(f"seed {run.seed}" + (f", {run.threads} threads" * (run.threads > 1)) for run in first),
        "limit",
    ]
    lines = [tabulate(rows, headers, disable_numparse=True)]
    if len(reruns) > 1:
        lines.append(f"limit of the weighted mean over all: {group_of(reruns, list(reruns)).margin:.4f}")
    return "\n".join(lines)


def _device(record: Record) -> str:
    return str(record.data["environment"]["device"])
