"""The pairs of a run, one after another: to test costs seconds, and the models are trained by then."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Report
from ferbench.benchmark.records.record import read_record
from ferbench.benchmark.running.progress import clock
from ferbench.benchmark.running.worker import reason_of
from ferbench.benchmark.transfer.pairs import Pair


def run_pairs(pairs: Sequence[Pair], results: Path, device_type: str, report: Report) -> int:
    """Tests these pairs, which the caller has found to be untested; returns how many failed.

    A pair whose model or data failed is told of, and the others go on.
    """
    import torch

    from ferbench.benchmark.learning.training import make_deterministic
    from ferbench.benchmark.transfer.tested import test_on_other
    from ferbench.datasets.corpus import DataError

    if not pairs:
        return 0
    make_deterministic()
    began, failed = time.monotonic(), 0
    for done, pair in enumerate(pairs):
        left = (time.monotonic() - began) / done * (len(pairs) - done) if done else 0.0
        where = f"transfer {done + 1}/{len(pairs)}, about {clock(left)} left: "
        try:
            refuse_untrained(pair, results)
            test_on_other(pair, results, torch.device(device_type), lambda text: report(where + text))  # noqa: B023
        except Exception as error:  # whatever it was, the others go on, and so does the board
            failed += 1
            said = str(error) if isinstance(error, (RequestError, DataError)) else reason_of(error)
            report(f"{where}{pair.name} / {pair.source.cell.architecture}: {said}")
    print(f"{len(pairs) - failed} models tested on other data sets, {failed} failed, in "
          f"{clock(time.monotonic() - began)}")  # fmt: skip
    return failed


def refuse_untrained(pair: Pair, results: Path) -> None:
    """Raises RequestError where the model of a pair could not be trained, or was not."""
    trained = read_record(pair.source.folder(results))
    if trained is None or trained.data["status"] != "ok":
        why = "was not trained" if trained is None else f"failed: {trained.data['error']}"
        raise RequestError(f"its model of {pair.source.location.name} {why}")
