"""`explain`: what of a face counts for an answer, as a sheet of pictures; on twins measured as well."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.commands.tables import refuse_other_ending
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.commands.weights import weights_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.explaining.localisation import localisation
from ferbench.benchmark.explaining.relevance import Relevance, relevance_of
from ferbench.benchmark.explaining.sheet import write_sheet
from ferbench.benchmark.learning.kept import Kept, read_kept
from ferbench.benchmark.learning.training import make_deterministic
from ferbench.benchmark.planning.data import Location, locate
from ferbench.benchmark.planning.suite import Cell, cells_of, load_suite
from ferbench.benchmark.predicting.media import Medium, media_of
from ferbench.benchmark.predicting.timeline import people_in
from ferbench.benchmark.records.explained import read_explained, write_explained
from ferbench.benchmark.records.record import WEIGHTS, Record, read_record, read_records
from ferbench.datasets.faces.detector import Detector

MOST_FACES = 24
"""Faces on a sheet."""


def explain(cell: str, inputs: list[Path], out: Path, faces: str, rate: float, results: Path) -> None:
    """Writes a sheet of the faces of these pictures and videos.

    Raises:
        RequestError: the request, the weights or an input is wrong, or no face is seen.
        DataError: faces are to be found, and what finds them is not installed.
    """
    if faces not in ("found", "whole"):
        raise RequestError(f"--faces {faces}: use found or whole")
    refuse_other_ending(out, (".png",))
    make_deterministic()
    media = media_of(inputs, rate)
    kept = read_kept(weights_of(results, cell))
    detector = Detector() if faces == "found" else None
    rows: list[tuple[str, NDArray[np.uint8], Relevance]] = []
    for medium in media:
        for number, frames in _faces_of(medium, kept, detector):
            if len(rows) < MOST_FACES:
                found = relevance_of(kept.model, kept.architecture.view, frames)
                rows.append((f"{medium.file.name}, face {number}", frames, found))
    if not rows:
        raise RequestError(f"{media[0].file}: no face is seen in what was named: try --faces whole")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_sheet(out, rows, kept.about.classes)
    except OSError as error:
        raise RequestError(f"{error.filename or out}: cannot be written: {error.strerror or error}") from None
    print(f"{out}: {len(rows)} faces explained by {rows[0][2].method}")


def _faces_of(medium: Medium, kept: Kept, detector: Detector | None) -> list[tuple[int, NDArray[np.uint8]]]:
    """Number and input (K,S,S,3) of each face: K frames over the time that it is seen; of a pair its first and last."""
    people, _ = people_in(medium, detector, say_aside)
    count = {"image": 1, "pair": 2}.get(kept.architecture.view, kept.size.frames)
    wanted = {}
    for person in people:
        spread = (
            np.linspace(0, len(person.places) - 1, count).round().astype(int)
            if count > 1
            else [len(person.places) // 2]
        )
        wanted[person.number] = [person.places[i] for i in spread]
    found: dict[int, list[NDArray[np.uint8]]] = {number: [] for number in wanted}
    for index, frame in enumerate(medium.frames()):
        if frame is not None:
            for number, places in wanted.items():
                found[number] += [p.crop.of(frame, kept.size.image_size) for p in places if p.frame == index]
    return [(number, np.stack(crops)) for number, crops in found.items() if len(crops) == count]


def measure(name: str, results: Path) -> None:
    """Prints how much of the relevance of a model lies where faces move, and keeps it beside the cell's record.

    Args:
        name: a cell, or a suite or one of its data sets: then of the first cell of every row whose weights are kept.
            What was measured before is not measured again.

    Raises:
        RequestError: there is no such cell with its weights, or it is of no twin.
    """
    make_deterministic()
    for record in _kept_below(results, name) or [_record_of(weights_of(results, name))]:
        explained = read_explained(record)
        if explained is None:
            kept = read_kept(record.path / WEIGHTS)
            explained = localisation(kept, record.data["key"], *_planned(record.data), report=_say)
            write_explained(record.path, explained)
        print(f"{record.data['dataset']}/{record.data['architecture']}: {explained}", flush=True)


def _kept_below(results: Path, name: str) -> list[Record]:
    """The first cell with kept weights of each row of a suite, or of one of its data sets; none where it is neither."""
    first: dict[tuple[str, str, str], Record] = {}
    for record in sorted(read_records(results), key=lambda record: record.path):
        suite, dataset = record.data["suite"], record.data["dataset"]
        names = (suite, f"{suite}/{dataset}", f"{suite}/{dataset.removesuffix('-twin')}")
        if name.rstrip("/") in names and (record.path / WEIGHTS).is_file():
            first.setdefault((suite, dataset, record.data["architecture"]), record)
    return list(first.values())


def _record_of(file: Path) -> Record:
    record = read_record(file.parent)
    if record is None:
        raise RequestError(f"{file}: there is no record beside it: --measure asks for a cell, not for a file")
    return record


def _planned(data: dict[str, Any]) -> tuple[Cell, Location]:
    """The cell of a record as its suite plans it, and where its data are."""
    asked = [str(word) for word in data.get("asked", [])]
    name = asked[asked.index("--suite") + 1] if "--suite" in asked else str(data["suite"])
    dataset = str(data["dataset"]).removesuffix("-twin")
    for cell in cells_of(*load_suite(name), [str(data["architecture"])], [dataset]):
        if cell.architecture == data["architecture"] and cell.fold == data["fold"]:
            return cell, locate(cell, None)
    raise RequestError(f"suite {name} has no such cell any more: run it again")


def _say(text: str) -> None:
    print(text, end="\r", file=sys.stderr)
