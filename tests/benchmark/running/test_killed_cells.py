"""Cells whose workers and whose run are killed: they go on, and end with the record that they would have had."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ferbench.benchmark.records.cache import KEEP_EVERY
from ferbench.benchmark.records.record import PREDICTIONS, RECORD

SUITE = """
description: a cell to be killed
size: tiny
architectures: [senet50]
datasets: [affectnet_small]
twins: {affectnet_small: {scale: 0.02}}
epochs: 0.4
"""
ROW = "killed/affectnet_small-twin/senet50/seed0-fold0"
OFTEN, SELDOM = "0.1", "600"
"""Seconds between two states that a training keeps: each waits for the disk, which may be a slow one."""
PATIENCE = 120.0


def begin(folder: Path, results: str, every: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "benchmark", "run", "--suite", str(folder / "killed.yaml"), "--device", "cpu",
             "--workers", "1", "--results", str(folder / results)]  # fmt: skip
    place = {"FERBENCH_CACHE": str(folder / "cache"), KEEP_EVERY: every}
    return subprocess.Popen(words, env={**os.environ, **place}, stdout=subprocess.PIPE, text=True)


def workers_of(driver: int) -> list[int]:
    """Processes that the driver has started to work in."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            words = (place / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        if parent == driver and "spawn_main" in words:
            found.append(int(place.name))
    return found


def wait_for_state(folder: Path, since: float, driver: subprocess.Popen[str]) -> bool:
    """Waits until a training has kept its state; False where the run has ended before."""
    end = time.monotonic() + PATIENCE
    while driver.poll() is None and time.monotonic() < end:
        if any(file.stat().st_mtime > since for file in (folder / "cache" / "training").glob("*.pt")):
            return True
        time.sleep(0.02)
    assert driver.poll() is not None, "no training has begun"
    return False


def record_of(folder: Path, results: str) -> tuple[dict[str, Any], bytes]:
    """What of a record does not depend on the hour, and its predictions."""
    place = folder / results / ROW
    record = json.loads((place / RECORD).read_text())
    for entry in record["history"]:
        del entry["seconds"]
    for name in ("timing", "environment", "cost"):
        del record[name]
    return record, (place / PREDICTIONS).read_bytes()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds workers by /proc")
def test_a_cell_that_was_killed_ends_with_the_same_record(tmp_path: Path) -> None:
    (tmp_path / "killed.yaml").write_text(SUITE)
    assert begin(tmp_path, "undisturbed", SELDOM).wait() == 0
    killed = []
    for kind, number in (("worker", signal.SIGKILL), ("driver", signal.SIGTERM)):
        driver = begin(tmp_path, "killed", OFTEN)
        if not wait_for_state(tmp_path, time.time(), driver):
            break
        for process in workers_of(driver.pid) if kind == "worker" else [driver.pid]:
            os.kill(process, number)
        killed.append(driver.wait(PATIENCE))
    assert killed == [1, 130], "a failed cell, and a run that was stopped"
    assert begin(tmp_path, "killed", SELDOM).wait() == 0
    assert record_of(tmp_path, "killed") == record_of(tmp_path, "undisturbed")
    assert not list((tmp_path / "cache" / "training").glob("*.pt")), "what is done is forgotten"
