"""`publish` and the writing of a baseline are killed at every step: afterwards the old or the new is there, whole."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from ferbench.benchmark.commands import leaderboard, publish
from ferbench.benchmark.gate.baseline import read_baseline, write_baseline
from ferbench.benchmark.gate.runs import as_reruns
from ferbench.benchmark.records import folders
from ferbench.benchmark.records.record import Record, read_records
from tests.benchmark.written_cells import write_cell
from tests.faults.killing import killed_at

NAMES = ("c3d", "tsm")
Content = dict[str, bytes]


@pytest.fixture(params=["in one call", "step by step"])
def replacing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders change places in one call of the kernel, and where its file system has none."""
    if request.param == "step by step":

        def cannot(one: Path, other: Path) -> None:
            raise OSError(errno.EINVAL, "Invalid argument", str(one))

        monkeypatch.setattr(folders, "exchange", cannot)


def content(folder: Path) -> Content:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def is_whole_after_every_kill(
    folder: Path, begin: Callable[[], object], work: Callable[[], object], read: Callable[[], object]
) -> int:
    """Kills the work at every step, each time after `begin` made the old state; returns how often that was."""
    begin()
    old = content(folder)
    work()
    new = content(folder)
    assert old != new
    step = 1
    found = []
    begin()
    while killed_at(step, work):
        read()  # as whoever comes next: it may have to put the old folder back
        found.append(content(folder))
        assert found[-1] in (old, new), f"neither the old nor the new after a kill at step {step}"
        if found[-1] == new:
            begin()
        step += 1
    assert content(folder) == new
    assert old in found
    assert [file.name for file in folder.parent.iterdir() if file.name.startswith(".")] == []
    return step - 1


def cells(results: Path, skill: float, suite: str = "default") -> list[Record]:
    for name in NAMES:
        write_cell(results, name, skill, suite=suite)
    return read_records(results)


@pytest.mark.usefixtures("replacing")
def test_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = tmp_path / "results" / "published"
    for module in (publish, leaderboard):
        monkeypatch.setattr(module, "PUBLISHED", published)

    def rendered(results: Path, out: Path) -> None:
        """Stands in for the board, whose pages lie in the same folder: they are as old or new as the records."""
        (results / "default" / "README.md").write_text(str(sorted(results.glob("*/*/*/seed*/*"))[-1].stat().st_size))
        out.write_text("the board")

    monkeypatch.setattr(publish, "render", rendered)
    cells(tmp_path / "old", 0.3)
    write_cell(tmp_path / "old", "gone_since")
    cells(tmp_path / "results", 0.8)

    def begin() -> None:
        publish.publish_records(tmp_path / "old", "default")

    def work() -> None:
        publish.publish_records(tmp_path / "results", "default")

    kills = is_whole_after_every_kill(published / "default", begin, work, lambda: read_records(published))
    assert kills > 20


@pytest.mark.usefixtures("replacing")
def test_writing_a_baseline(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    old, new = cells(tmp_path / "old", 0.3, "gate"), cells(tmp_path / "new", 0.8, "gate")
    again = [Record(record.path, {**record.data, "seed": 1}) for record in old]

    def write(records: list[Record]) -> None:
        write_baseline(folder, "gate", records, as_reruns([(records, 1), (again, 1)]), {}, {"device": "one"})

    kills = is_whole_after_every_kill(
        folder, lambda: write(old), lambda: write(new), lambda: read_baseline(folder, "gate")
    )
    assert kills > 20
