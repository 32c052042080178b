"""What a run says where there is no terminal."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from ferbench.benchmark.running import progress, worker
from ferbench.benchmark.running.progress import RunProgress


def test_a_silent_run_says_what_its_workers_are_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(worker, "_status_file", tmp_path / str(os.getpid()))
    with RunProgress(2, 1, tmp_path, Console(file=out)) as run:
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
