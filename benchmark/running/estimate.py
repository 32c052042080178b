"""What a run would take, before anything starts: from what rows took for an input and needed of memory, on this device.

Nothing is measured for it. A rehearsal (`--suite rehearsal`) leaves the records that it reads; a row that has none is
named, not guessed. It is an upper bound: the few steps of a rehearsal begin with the slow first one, so of several
records of a row that which trained most is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import read_corpus_once
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.installation import published_folder
from ferbench.benchmark.records.record import read_record
from ferbench.datasets.corpus import TWIN_FILE

if TYPE_CHECKING:
    from ferbench.benchmark.planning.data import Location
    from ferbench.benchmark.running.job import Job


@dataclass(frozen=True)
class Known:
    """What a finished cell of a row has shown."""

    an_input: dict[str, float]
    """Seconds of training on one, by stage; of a lender's `<row>: <stage>`."""
    an_answer: float
    """Seconds of one sample's test."""
    measuring: float
    """Seconds of measuring speed."""
    memory_mb: float
    source: str
    """The suite that it was seen under."""


@dataclass(frozen=True)
class Expected:
    """What a row's cells would take."""

    architecture: str
    cells: int
    seconds: float
    """Of all of them, one after the other."""
    longest: float
    """Seconds of the longest."""
    memory_mb: float
    source: str


def estimate(jobs: list[Job], results: Path, device_type: str) -> tuple[list[Expected], list[str]]:
    """What each trained row would take, and what cannot be told, in a line each."""
    found: dict[str, list[tuple[float, Known]]] = {}
    unknown: dict[str, None] = {}
    for job in jobs:
        if job.cell.kind != "architecture":
            continue
        if job.location.own_twin is not None and not (job.location.root / TWIN_FILE).is_file():
            unknown[f"{job.location.name}: not written yet: give the data with --data, or run a floor on it first"] = (
                None
            )
            continue
        known = known_of(job.cell.architecture, job.cell.size, results, device_type)
        if known is None:
            unknown[f"{job.cell.architecture}: no finished cell of size {job.cell.size} on {device_type}: run suite "
                    "rehearsal first"] = None  # fmt: skip
            continue
        found.setdefault(job.cell.architecture, []).append((_seconds(job.cell, job.location, known), known))
    rows = [
        Expected(name, len(cells), sum(s for s, _ in cells), max(s for s, _ in cells), cells[0][1].memory_mb,
                 cells[0][1].source)
        for name, cells in found.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.seconds), list(unknown)


def known_of(architecture: str, size: str, results: Path, device_type: str) -> Known | None:
    """What the nearest record of the row shows: here, else on the published board; the one that trained longest."""
    best: tuple[int, Known] | None = None
    for folder in (results, published_folder()):
        for place in folder.glob(f"*/*/{architecture.replace(':', '-')}/seed*-fold*"):
            record = read_record(place)
            data: dict[str, Any] = {} if record is None else record.data
            if data.get("status") != "ok" or data["size"] != size or not data["history"]:
                continue
            if data["environment"]["device_type"] != device_type or data["key_parts"]["device_type"] != device_type:
                continue
            trained = sum(epoch["samples"] for epoch in data["history"])
            if best is None or trained > best[0]:
                best = trained, _shown(data)
        if best:
            return best[1]
    return None


def _shown(data: dict[str, Any]) -> Known:
    seconds: dict[str, list[tuple[float, int]]] = {}
    for epoch in data["history"]:
        seconds.setdefault(epoch["stage"], []).append((epoch["seconds"], epoch["samples"]))
    return Known(
        an_input={stage: min(took / samples for took, samples in epochs) for stage, epochs in seconds.items()},
        an_answer=1 / data["cost"]["infer_samples_per_s"],
        measuring=data["timing"].get("measure_s", 0.0),
        memory_mb=data["cost"]["peak_memory_mb"],
        source=data["suite"],
    )


def _seconds(cell: Cell, location: Location, known: Known) -> float:
    """Seconds of a cell; a lender's training is counted in its own cell alone."""
    if cell.budget:
        return cell.budget + known.measuring
    import numpy as np

    from ferbench.benchmark.learning.recipe import plan_of
    from ferbench.datasets.splits import split
    from ferbench.datasets.views import instances

    corpus = read_corpus_once(location)
    content = np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)  # as if no picture were there twice
    parts = split(corpus, cell.protocol, cell.fold, content)
    architecture = architectures.get(cell.architecture)
    size = architecture.sizes[cell.size]
    total = known.measuring
    for stage in size.stages:
        view = stage.view or architecture.view

        def count(samples: Any, view: Any = view) -> int:
            return len(instances(view, corpus, cell.protocol, samples, size.frames, parts.train, None))

        inputs = count(parts.train)
        plan = plan_of(stage, cell.epochs, inputs)
        total += plan.epochs * min(inputs, plan.samples or inputs) * known.an_input.get(stage.name, 0.0)
        total += plan.epochs * count(parts.validation) * known.an_answer
        if stage is size.stages[-1]:
            total += (count(parts.test) + count(parts.validation)) * known.an_answer
    return total


def lines_of(rows: list[Expected], unknown: list[str], slots: int) -> Iterator[str]:
    """The estimate as it is printed."""
    if not rows and unknown:
        raise RequestError(f"nothing can be estimated: {unknown[0]}")
    if not rows:
        yield "nothing to train: what is left to run, if anything, are floors, oracles and ensembles: seconds each"
        return
    yield f"{'architecture':<40} {'cells':>5} {'hours':>9} {'longest, h':>10} {'memory, GB':>10}  seen in"
    for row in rows:
        yield (f"{row.architecture:<40} {row.cells:>5} {row.seconds / 3600:>9.2f} {row.longest / 3600:>10.2f} "
               f"{row.memory_mb / 1024:>10.1f}  {row.source}")  # fmt: skip
    total = sum(row.seconds for row in rows)
    yield f"{sum(row.cells for row in rows)} cells, {total / 3600:.1f} hours at most one after the other, " \
          f"{max(total / slots, max(row.longest for row in rows)) / 3600:.1f} with {slots} at a time"  # fmt: skip
    yield from (f"not in it: {line}" for line in unknown)
