"""`data twin` is killed while its workers render."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from ferbench.benchmark.commands.data import write_twin
from ferbench.benchmark.records.installation import CHECKOUT

WORDS = [sys.executable, "-m", "benchmark", "data", "twin", "oulu_casia"]


def marked(token: str) -> int:
    """How many processes have this token in their environment."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += token.encode() in (process / "environ").read_bytes()
    return found


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by their environment")
def test_its_workers_end_with_it_and_the_next_one_removes_its_draft(tmp_path: Path) -> None:
    token, twin = f"token-{uuid4().hex}", tmp_path / "twin"
    killed = subprocess.Popen([*WORDS, str(twin), "--workers", "2"], cwd=CHECKOUT, env={**os.environ, "TOKEN": token},
                              stdout=subprocess.DEVNULL)  # fmt: skip
    wait_until(lambda: any(tmp_path.glob(".twin.*/**/*.jpeg")))
    assert marked(token) >= 4  # it, two workers, and who watches them
    killed.kill()
    killed.wait()
    wait_until(lambda: marked(token) == 0)
    assert [file.name for file in tmp_path.iterdir()] == [f".twin.{killed.pid}"]
    write_twin("oulu_casia", twin, 0.05, None, 0, "", [], workers=1)
    assert [file.name for file in tmp_path.iterdir()] == ["twin"]
