"""A run that is stopped ends, whatever its pool waits for."""

from __future__ import annotations

import threading
import time
from multiprocessing import active_children
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark import scheduler


def test_workers_of_a_pool_that_does_not_end_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = cast(Any, SimpleNamespace(status_folder=tmp_path))
    before = set(active_children())
    batch = scheduler._Batch([], tmp_path, "cpu", 1, progress, threading.Event())
    batch.pool.schedule(time.sleep, args=(60,))
    deadline = time.monotonic() + 30
    while not (started := set(active_children()) - before):
        assert time.monotonic() < deadline, "no worker was started"
        time.sleep(0.05)
    stop = batch.pool.stop
    monkeypatch.setattr(batch.pool, "stop", lambda: time.sleep(60))
    monkeypatch.setattr(scheduler, "STOP_SECONDS", 0.1)
    batch._stop()
    for worker in started:
        worker.join(10)
        assert not worker.is_alive()
    stop()
