"""Records for a board, read with care for time where they are many."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ferbench.benchmark.board.forked import cores
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, Record, digest_of, read_records, record_files
from ferbench.benchmark.running.processes import leave_with

MANY = 1000
"""Records from which on other processes are worth their start."""


@contextmanager
def all_records(results: Path) -> Iterator[list[Record]]:
    """Every record below a folder, in the order of their paths.

    Many have their digests, which another process finds while they are read. And until the end nothing is searched for
    cycles: they have none, and 10,000 of them are some million objects that Python would go through again and again.

    Raises:
        RequestError: as `read_records`.
    """
    if len(list(islice(record_files(results), MANY))) < MANY:
        yield read_records(results)
        return
    enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.disable()
    try:
        records = _with_digests(results)
        gc.freeze()
    finally:
        if enabled:
            gc.enable()
    try:
        yield records
    finally:
        if not frozen:
            gc.unfreeze()


def _with_digests(results: Path) -> list[Record]:
    if cores() == 1:
        return read_records(results)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork"), leave_with, (os.getpid(),)) as one:
        hashing: Future[dict[Path, _Digest]] | None = None
        with contextlib.suppress(OSError):  # no process can be started
            hashing = one.submit(_digests, results)
        records = read_records(results)
        found: dict[Path, _Digest] = {}
        with contextlib.suppress(BrokenProcessPool):  # it was killed
            found = hashing.result() if hashing else {}
    for record in records:  # one that lacks its digest finds it when it is asked for
        known = found.get(record.path)
        if known and known.stamp == _stamp(record.path):
            record.known_by(known.digest)
    return records


class _Digest(NamedTuple):
    digest: str
    stamp: _Stamp


_Stamp = tuple[tuple[int, int] | None, ...]
"""Size and time of the files of a record: others, and a run has replaced them since."""


def _stamp(folder: Path) -> _Stamp:
    return tuple(_size_and_time(folder / name) for name in (RECORD, PREDICTIONS))


def _size_and_time(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _digests(results: Path) -> dict[Path, _Digest]:
    found = {}
    for file in record_files(results):
        stamp = _stamp(file.parent)
        with contextlib.suppress(OSError):
            found[file.parent] = _Digest(digest_of(file.parent), stamp)
    return found
