"""In which order the jobs of a run are started, so that no long one is left for the end while other workers are idle.

The order changes no number: all that a cell's result depends on is in its key.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.planning.identity import lenders_of
from ferbench.benchmark.records.installation import published_folder
from ferbench.benchmark.records.record import read_record

if TYPE_CHECKING:
    from ferbench.benchmark.running.job import Job

FLOORS = ("floor", "oracle")
Row = tuple[str, str, str, str]
"""Suite, data set (with `-twin`), architecture and size."""


def expected_seconds(jobs: list[Job], results: Path) -> dict[Path, float]:
    """What each job takes, by its folder: what its row took before; infinite where nobody knows."""
    rows = {job.folder: _row(job) for job in jobs}
    known = {row: _seconds(row, results) for row in dict.fromkeys(rows.values())}
    return {folder: known[row] for folder, row in rows.items()}


def longest_first(jobs: list[Job], seconds: dict[Path, float], results: Path) -> list[Job]:
    """The jobs in the order in which they are to be started, as soon as their data are there.

    Floors and oracles come first: they take seconds, and every row is read between them. Then those that others start
    from (no worker shall wait for what another one trains), then the longest. What has never run may be long: it comes
    before all whose time is known.

    seconds: by folder.
    """
    lent = {lender.folder(results, job.location.name) for job in jobs for lender in lenders_of(job.cell)}
    return sorted(jobs, key=lambda job: (job.cell.kind not in FLOORS, job.folder not in lent, -seconds[job.folder]))


def _row(job: Job) -> Row:
    return job.cell.suite, job.location.name, job.cell.architecture.replace(":", "-"), job.cell.size


def _seconds(row: Row, results: Path) -> float:
    """What a cell of the row took when it was run, in the median; infinite where none was ever finished.

    The nearest that there is: under this suite, else on this data set, else anywhere; of a variant, else of its base;
    here, else for the published board.
    """
    suite, dataset, architecture, size = row
    for name in dict.fromkeys((architecture, architecture.partition("@")[0])):
        for cells in (f"{suite}/{dataset}", f"*/{dataset}", "*/*"):
            for folder in (results, published_folder()):
                if found := list(_finished(folder, f"{cells}/{name}", size)):
                    return statistics.median(found)
    return math.inf


def _finished(results: Path, row: str, size: str) -> Iterator[float]:
    """Seconds of each finished cell of a row."""
    for folder in results.glob(f"{row}/seed*-fold*"):
        record = read_record(folder)
        if record is None or record.data["status"] != "ok" or record.data["size"] != size:
            continue
        if (took := record.data["timing"].get("total_s")) is not None:  # transfers and entries have none
            yield float(took)
