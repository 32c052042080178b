"""What runs that share a results folder hold against each other: real processes, as a lock is of a process."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.benchmark.running.claims import claimed

HOLD = """
import sys
from pathlib import Path
from ferbench.benchmark.running.claims import claimed
with claimed(Path(sys.argv[1]), sys.argv[2]) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the cell `a` of a results folder."""
    words = [sys.executable, "-c", HOLD, str(tmp_path), "a"]
    with subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


def test_what_another_process_holds_is_not_ones_own_until_it_is_killed(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    with claimed(tmp_path, "a") as held, claimed(tmp_path / "elsewhere", "a") as elsewhere:
        assert (held, elsewhere) == (False, True)
    with claimed(tmp_path, "b") as free:
        assert free
    other.kill()
    other.wait()
    with claimed(tmp_path, "a") as free:
        assert free


def test_one_may_wait_for_it(other: subprocess.Popen[str], tmp_path: Path) -> None:
    waiting = HOLD.replace("sys.argv[2])", "sys.argv[2], wait=True)")
    words = [sys.executable, "-c", waiting, str(tmp_path), "a"]
    with subprocess.Popen(words, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as second:
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(3)
        assert other.stdin is not None
        other.stdin.close()
        assert second.communicate(timeout=60)[0] == "True\n"


def test_where_there_are_no_locks_everything_is_free(
    other: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", none)
    with claimed(tmp_path, "a") as free:
        assert free
