"""What a run says where there is no terminal."""

from __future__ import annotations

import io
import math
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from ferbench.benchmark.records.record import Headline
from ferbench.benchmark.running import progress, worker
from ferbench.benchmark.running.local_pool import LocalPool
from ferbench.benchmark.running.progress import RunProgress


def test_a_silent_run_says_what_its_workers_are_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(worker, "listener", worker.StatusFile(tmp_path / str(os.getpid())))
    with RunProgress(2, LocalPool(1, "cpu", tmp_path, tmp_path), Console(file=out)) as run:
        with worker.telling("data of ctbc-twin") as say:
            say.due = 0.0
            say("rendering frame 256/47448")
            run.refresh()
            assert out.getvalue() == ""
            run.spoke = time.monotonic() - progress.SILENCE - 1
            run.refresh()
            run.refresh()
            assert out.getvalue() == "data of ctbc-twin: rendering frame 256/47448\n"
        run.spoke = time.monotonic() - progress.SILENCE - 1
        run.refresh()
        assert out.getvalue().count("\n") == 1  # a worker that is done is at nothing


def test_the_time_left_is_that_of_the_cells_that_are_left_at_the_pace_of_those_that_are_finished(
    tmp_path: Path,
) -> None:
    """The longest come first: their mean says nothing of the rest."""

    def left(expected: dict[str, float]) -> list[str]:
        out = io.StringIO()
        run = RunProgress(5, LocalPool(2, "cpu", tmp_path, tmp_path), Console(file=out, width=200), expected=expected)
        run.failure("e", "no memory")
        run.finished("a", Headline("abaw", 0.5), 200.0)
        run.finished("b", Headline("abaw", 0.5), None)
        run.finished("c", Headline("abaw", 0.5), 40.0)
        run.finished("d", Headline("abaw", 0.5), 10.0)
        return [line.partition("about ")[2] for line in out.getvalue().splitlines()]

    before = {"a": 100.0, "b": 60.0, "c": 20.0, "d": 5.0, "e": 1.0}
    assert left(before) == ["", "1:25 left", "0:25 left", "0:05 left", ""]  # twice as slow: (60 + 20 + 5) * 2 / 2, ...
    assert left({}) == ["", "5:00 left", "3:20 left", "1:00 left", ""]  # nothing is known: as long as the mean
    assert left({**before, "c": math.inf}) == ["", "2:45 left", "1:45 left", "0:05 left", ""]


def test_a_floor_that_waited_for_its_worker_says_nothing_of_the_pace(tmp_path: Path) -> None:
    out = io.StringIO()
    pool = LocalPool(1, "cpu", tmp_path, tmp_path)
    run = RunProgress(2, pool, Console(file=out, width=200), expected={"floor": 0.1, "net": 60.0})
    run.finished("floor", Headline("abaw", 0.1), 12.0)
    assert out.getvalue().rstrip().endswith("about 1:00 left")
