"""Temporary folders of processes that are gone are removed by the next one, and nobody else's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from ferbench.benchmark.records.scratch import scratch
from tests.faults.killing import killed_at


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_there_as_long_as_it_is_needed(temporary: Path) -> None:
    with scratch() as one, scratch() as other:
        assert sorted(temporary.iterdir()) == sorted([one, other])
    assert not list(temporary.iterdir())


def test_what_a_killed_process_left_is_removed_and_nothing_else(temporary: Path) -> None:
    def work() -> None:
        with scratch() as folder:
            (folder / "one").mkdir()
            (folder / "two").mkdir()

    foreign = [temporary / name for name in ("ferbench-results", f"ferbench-{'0' * 31}", f"ferbench-run-{'0' * 32}")]
    for folder in foreign:
        folder.mkdir()
    assert killed_at(3, work)
    (left,) = set(temporary.iterdir()) - set(foreign)
    assert (left / "one").is_dir()
    with scratch() as mine:
        assert set(temporary.iterdir()) == {mine, *foreign}
