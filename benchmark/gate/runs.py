"""What the gate runs before it judges: its cells once (`make check`), or several times over (`make baseline`).

The cells run through the same scheduler as any suite. The records lie apart from those of `make bench`, so that the
board never shows them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.baseline import FILE, Baseline, cell_name
from ferbench.benchmark.gate.chance import Rerun
from ferbench.benchmark.gate.cost import INPUTS
from ferbench.benchmark.planning.data import Location, locate, open_data
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.planning.suite import Cell, Suite, cells_of, load_suite
from ferbench.benchmark.records.provenance import environment
from ferbench.benchmark.records.record import Record, read_record, record_files
from ferbench.benchmark.running.scheduler import Outcome, plan, refuse_read_only, run
from ferbench.benchmark.running.worker import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from ferbench.datasets.corpus import Corpus
    from ferbench.datasets.frames import FrameStore

PATIENCE = 4
"""How many times its limit a cell may take on two threads, which wait for each other at every step."""
PICTURES = 256
"""How many pictures are looked at as networks see them."""
LIBRARIES = ("python", "torch", "torchvision", "timm", "numpy")


@dataclass(frozen=True)
class GateRun:
    """Where and how the gate's cells run."""

    suite: str
    """Name of a suite, or a file."""
    folder: Path
    """For the records of this run."""
    device_type: str
    workers: int
    data: Path | None = None
    only: tuple[str, ...] = ()
    """Architectures; empty: all that the suite names."""

    def cells(self) -> tuple[str, list[Cell]]:
        """Name of the suite, and its cells without floors and oracle.

        Raises:
            RequestError: an unknown name, or no cell is left.
        """
        name, suite = load_suite(self.suite)
        return name, cells_to_gate(name, suite, list(self.only) or None)


def cells_to_gate(name: str, suite: Suite, only: list[str] | None = None) -> list[Cell]:
    """The suite's cells of architectures.

    Raises:
        RequestError: there are none.
    """
    cells = [cell for cell in cells_of(name, suite, only) if cell.kind in ("architecture", "ensemble")]
    if not cells:
        raise RequestError(
            f"suite {name}: it selects no cell of an architecture, so there is nothing to check: name architectures "
            f"in it (there are: {', '.join(architectures.names()) or 'none'})"
        )
    return cells


def run_cells(
    cells: list[Cell], gate: GateRun, say: Callable[[str], None], threads: int = 1
) -> tuple[list[Record], Outcome]:
    """Runs the cells that have no record of this very code and these libraries; returns the records of all of them.

    Raises:
        RequestError: records cannot be written.
        KeyboardInterrupt: Ctrl-C; the finished cells have their records.
    """
    _refuse_baseline(gate.folder.parent)
    refuse_read_only(gate.folder, "--work")
    drop_other_libraries(gate.folder)
    jobs, kept = plan(cells, gate.folder, gate.data, gate.device_type)
    say(f"{len(jobs)} cells to run, {kept} finished before by this very code; {gate.workers} at a time")
    with _threads(threads):
        outcome = run(jobs, gate.folder, gate.device_type, gate.workers) if jobs else Outcome(0, 0)
    found = (read_record(cell.folder(gate.folder, locate(cell, gate.data).name)) for cell in cells)
    return [record for record in found if record is not None], outcome


def _refuse_baseline(work: Path) -> None:
    """Raises RequestError where the records that would be replaced are those of a baseline."""
    if (work / FILE).exists():
        raise RequestError(f"{work}: a baseline lies there, whose records a run would replace: name another folder "
                           "with --work")  # fmt: skip


def drop_other_libraries(folder: Path) -> None:
    """Removes records that were made with other versions of the libraries: their versions are no part of a key."""
    now = environment()
    for file in record_files(folder):
        record = read_record(file.parent)
        if record is None or any(record.data["environment"].get(name) != now[name] for name in LIBRARIES):
            shutil.rmtree(file.parent)


@contextmanager
def _threads(threads: int) -> Iterator[None]:
    """Workers that are started inside have this many threads."""
    wanted = {THREADS: str(threads), "OMP_WAIT_POLICY": "passive"}  # threads that wait do not take the other's core
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def reruns_of(cells: Sequence[Cell], seeds: int) -> list[tuple[list[list[Cell]], int]]:
    """What is run to see what chance does: (draws, threads), the first draw being the cells themselves. Other seeds on
    one thread, then the same seed on two."""
    draws = [[replace(cell, seed=cell.seed + i) for cell in cells] for i in range(seeds)]
    patient = [replace(cell, time_limit=PATIENCE * cell.time_limit) for cell in cells]
    return [(draws, 1), ([patient], 2)]


def as_reruns(runs: Sequence[tuple[Sequence[Record], int]]) -> dict[str, list[Rerun]]:
    """Scores by the name of the cell of the first run: runs are (records in the order of the cells, threads)."""
    first = runs[0][0]
    return {
        cell_name(record): [
            Rerun(records[i].data["seed"], threads, records[i].headline.value) for records, threads in runs
        ]
        for i, record in enumerate(first)
    }


def data_content(cells: Sequence[Cell], data: Path | None) -> dict[str, dict[str, str]]:
    """What the data of these cells hold, by the name of the data set: hashes of frames, labels and parts.

    The identity in a cell's key changes with the code that writes a twin; this changes only with what came out.
    """
    found: dict[str, dict[str, str]] = {}
    for cell in cells:
        location = locate(cell, data)
        entry = found.setdefault(location.name, {})
        opened = {key: open_data(location, cell.image_size, lambda _: None) for key in [f"frames {cell.image_size} px"]
                  if key not in entry}  # fmt: skip
        for key, (corpus, store) in opened.items():
            entry[key] = _digest(store.content.tobytes())
            entry |= _content(cell, location, corpus, store)
    return found


def _content(cell: Cell, location: Location, corpus: Corpus, store: FrameStore) -> dict[str, str]:
    from ferbench.datasets.splits import split

    parts = split(corpus, cell.protocol, cell.fold, store.content).parts
    intervals = [corpus.track, corpus.start, corpus.stop]
    answers = (corpus.label if corpus.target is None else corpus.target).tolist()
    return {
        INPUTS: _inputs(store.read(corpus.stop[parts["train"][:PICTURES]] - 1)),
        "labels": _digest(json.dumps([*zip(corpus.sample_id, answers, strict=True)]).encode()),
        "samples": _digest(b"\0".join(column.tobytes() for column in intervals)),
        f"parts of fold {cell.fold}": _digest(json.dumps({k: rows.tolist() for k, rows in parts.items()}).encode()),
    }


def _inputs(pictures: NDArray[np.uint8]) -> str:
    """What becomes of pictures (N,S,S,3) before a network sees them: mean and deviation of red, green and blue."""
    import torch

    from ferbench.datasets.augmentation import normalise

    colours = normalise(torch.from_numpy(pictures)).double().transpose(0, 1).flatten(1)
    said = [" ".join(f"{value:.3f}" for value in values) for values in (colours.mean(1), colours.std(1))]
    return f"mean {said[0]}, deviation {said[1]}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def data_changes(baseline: Baseline, now: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """What differs in the content of each data set that both name: empty where nothing does. What is made of it is no
    part of it: see `benchmark.gate.cost.compare_inputs`."""
    return {
        name: sorted(key for key in (content.keys() | baseline.data[name].keys()) - {INPUTS}
                     if content.get(key) != baseline.data[name].get(key))
        for name, content in now.items() if name in baseline.data
    }  # fmt: skip
