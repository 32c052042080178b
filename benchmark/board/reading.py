"""Records for a board, read with care for time where they are many."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from benchmark.board.forked import beside
from benchmark.records import Record, read_records, record_files

MANY = 1000
"""Records from which on a second process is worth its start."""


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
    with beside(_digests, results) as found:
        records = read_records(results)
        with contextlib.suppress(OSError, BrokenProcessPool):  # then each is found when it is asked for
            digests = found.result()
            for record in records:
                if record.path in digests:
                    vars(record)["digest"] = digests[record.path]
    return records


def _digests(results: Path) -> dict[Path, str]:
    return {file.parent: Record(file.parent, {}).digest for file in record_files(results)}
