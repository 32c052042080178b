"""The committed baseline: records of the gate's cells, with what chance alone did to them when they were run again.

    baseline.json       which cells, the checksums of their files, their reruns, what their data hold
    records/<suite>/<dataset>/<architecture>/seed<S>-fold<F>/record.json, predictions.parquet

`baseline.json` is written last and names the checksum of every file, so a baseline that is incomplete, or that was
edited by hand or by a merge, is told apart from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.chance import Rerun, Reruns
from ferbench.benchmark.records.folders import redone, settle
from ferbench.benchmark.records.installation import advised
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, Record, read_records

SCHEMA = 1
FILE = "baseline.json"
RECORDS = "records"


class NoBaselineError(Exception):
    """There is no baseline to compare with: one line that says what to do."""


@dataclass(frozen=True)
class Baseline:
    """What the gate compares with."""

    suite: str
    records: tuple[Record, ...]
    reruns: Reruns
    """By the cell's name (`cell_name`)."""
    data: Mapping[str, Mapping[str, str]]
    """By the name of the data set: hashes of its frames, its labels, its parts."""


def cell_name(record: Record) -> str:
    """How a cell is called: `<dataset>/<architecture>/seed<S>-fold<F>`."""
    data = record.data
    return f"{data['dataset']}/{data['architecture']}/seed{data['seed']}-fold{data['fold']}"


def read_baseline(folder: Path, suite: str, remake: str = advised("baseline")) -> Baseline:
    """The baseline of a suite; `remake` is the command that makes it, for whom there is none, or none that is whole.

    Raises:
        NoBaselineError: there is none.
        RequestError: it is damaged, or was made of another suite.
    """
    settle(folder)
    file, mend = folder / FILE, f"restore it with git, or make it again with {remake}"
    if not file.is_file():
        raise NoBaselineError(f"{file}: no baseline there: make one with {remake} and commit it")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema"] != SCHEMA:
            raise RequestError(f"{file}: schema {content['schema']!r} instead of {SCHEMA}: make it again with "
                               f"{remake}")  # fmt: skip
        cells = {name: (entry["files"], _reruns(entry)) for name, entry in content["cells"].items()}
        baseline_suite, data = str(content["suite"]), dict(content["data"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RequestError(f"{file}: damaged ({reason}): {mend}") from None
    if baseline_suite != suite:
        raise RequestError(f"{file}: a baseline of suite {baseline_suite!r}, not of {suite!r}: make one with {remake}")
    if not cells:
        raise RequestError(f"{file}: it holds no cells: make it again with {remake}")
    for name, (files, _) in cells.items():
        _refuse_changed(folder / RECORDS / suite / name, files, mend)
    records = {cell_name(record): record for record in read_records(folder / RECORDS)}
    if set(records) != set(cells):
        odd = sorted(set(records) ^ set(cells))
        raise RequestError(f"{folder / RECORDS}: {odd[0]} does not match {FILE}: {mend}")
    reruns = {name: runs for name, (_, runs) in cells.items()}
    return Baseline(suite, tuple(records[name] for name in sorted(records)), reruns, data)


def write_baseline(
    folder: Path,
    suite: str,
    records: Sequence[Record],
    reruns: Reruns,
    data: Mapping[str, Mapping[str, str]],
    environment: Mapping[str, Any],
) -> None:
    """Replaces the baseline in one step: until the new one is whole the one that is there stays.

    Raises:
        RequestError: the folder holds something else.
    """
    refuse_foreign(folder)
    cells = {}
    with redone(folder) as draft:
        for record in records:
            place = draft / RECORDS / suite / cell_name(record)
            place.mkdir(parents=True)
            for name in (RECORD, PREDICTIONS):
                shutil.copyfile(record.path / name, place / name)
            runs = [asdict(run) for run in reruns[cell_name(record)]]
            cells[cell_name(record)] = {"files": _checksums(place), "reruns": runs}
        content = {"schema": SCHEMA, "suite": suite, "environment": environment, "data": data, "cells": cells}
        (draft / FILE).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def refuse_foreign(folder: Path) -> None:
    """Raises RequestError where a folder holds anything that is no baseline: writing one would remove it."""
    if not folder.exists():
        return
    inside = {file.name for file in folder.iterdir()} if folder.is_dir() else {folder.name}
    if inside and (FILE not in inside or inside - {FILE, RECORDS}):
        odd = min(inside - {FILE, RECORDS} or inside)
        raise RequestError(
            f"{folder}: holds something other than a baseline ({odd}): name a new or an empty folder with --out"
        )


def _reruns(entry: Mapping[str, Any]) -> list[Rerun]:
    # A baseline of 0.1.0 calls the score by the one measure that there was.
    runs = [
        Rerun(int(run["seed"]), int(run["threads"]), float(run.get("score", run.get("abaw"))))
        for run in entry["reruns"]
    ]
    if len({run.seed for run in runs}) < 2:
        raise ValueError("a cell without reruns has no margin")
    return runs


def _checksums(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (RECORD, PREDICTIONS)}


def _refuse_changed(folder: Path, files: Mapping[str, str], mend: str) -> None:
    try:
        found = _checksums(folder)
    except OSError as error:
        raise RequestError(f"{error.filename}: cannot be read ({error.strerror}): {mend}") from None
    for name, checksum in files.items():
        if found.get(name) != checksum:
            raise RequestError(f"{folder / name}: not the file that {FILE} was made with: {mend}")
