"""Trials in real worker processes that die, run out of time or raise: they count, and the search goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferbench.benchmark.commands.tune import TuneRequest, tune
from ferbench.benchmark.tuning import search
from ferbench.benchmark.tuning.study import RowStudy
from ferbench.benchmark.tuning.trial import Attempt, Task

pytest.importorskip("optuna")


def answer(task: Task) -> Attempt:
    """What each trial does in its worker, by its number."""
    number = task.name.rpartition(" ")[2]
    if number == "1":
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is out
    if number == "2":
        time.sleep(60)
    if number == "3":
        raise MemoryError("no room")
    return Attempt("finished", 0.5)


class RealWorkers(search.LocalTrials):
    """The processes of a search, in which trials end as `answer` has it."""

    def attempt(self, task: Task) -> Future[Any]:
        return self.schedule(answer, (task,), 2)

    def ready(self, study: RowStudy) -> Future[Any]:
        return self.schedule(int, (), 60)


def test_workers_that_die_or_take_too_long_are_bad_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "LocalTrials", RealWorkers)
    asked = TuneRequest(["cnn"], ["affectnet_small"], 4, "5s", study=tmp_path, workers=1, device="cpu")
    assert tune(asked) == 0
    (file,) = tmp_path.glob("*/trials.json")
    by_hand, *tried = json.loads(file.read_text())["rows"]["cnn"]
    assert by_hand["state"] == "finished"
    assert [trial["state"] for trial in tried] == ["failed", "failed", "failed", "finished"]
    for trial, said in zip(tried, ("killed, or out of memory", "over its time limit", "no room"), strict=False):
        assert said in trial["reason"]
    began = time.monotonic()
    assert tune(replace(asked, trials=4)) == 0  # nothing is tried again
    assert time.monotonic() - began < 30
