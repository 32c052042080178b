"""The command that runs a row again, as `show` and the site give it: typed in, it plans these very cells."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision

from ferbench.benchmark.board.cell_facts import AGAIN, commands
from ferbench.benchmark.board.rows import Row, pool
from ferbench.benchmark.cell import failed_record
from ferbench.benchmark.cli import main
from ferbench.benchmark.commands import run as run_command
from ferbench.benchmark.commands.leaderboard import Rendered
from ferbench.benchmark.records.installation import PROGRAM
from ferbench.benchmark.records.record import Record, read_records, write_record
from ferbench.benchmark.running.job import Job
from ferbench.benchmark.running.scheduler import Outcome
from tests.benchmark.written_cells import write_cell

MINE = """
description: Two people's suite.
size: {size}
architectures: [c3d, tsm@frames=4, difference_of_embeddings]
datasets: [affectnet_small]
seeds: [5, 3]
twins: {{affectnet_small: {{scale: 0.002}}}}
"""
TYPED = {
    "every kind of row": "--suite default --datasets oulu_casia --architectures ensemble,timm:test_resnet,cnn_rnn",
    "data sets that the suite is without": "--suite default --datasets sendv1_valence,sendv1_fine --architectures tsm",
    "rows that the suite does not name": "--suite default --datasets ctbc --architectures tsm@frames=4,timm:resnet18",
    "variants": "--suite ablation --datasets oulu_casia --architectures tsm,tsm@frames=4,timesformer@frames=8",
    "several seeds": "--suite default --datasets oulu_casia --architectures c3d,ensemble --seeds 3",
    "a suite file": "--suite suites/mine.yaml --results elsewhere",
    "more seeds than a suite file has": "--suite suites/mine.yaml --seeds 4",
    "real data": "--suite default --data DIR --datasets affectnet_small --architectures c3d",
    "a twin of one's own": "--suite default --data DIR --datasets oulu_casia --architectures c3d",
    "given weights": "--suite suites/full.yaml --weights difference_of_embeddings=mobilenet.pth",
}


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch, twins: Path, tmp_path: Path) -> Callable[[str], list[Job]]:
    """What a `run` with these words would run; nothing has finished before. DIR is a folder with data."""
    (tmp_path / "suites").mkdir()
    for name, size in (("mine", "tiny"), ("full", "full")):
        (tmp_path / "suites" / f"{name}.yaml").write_text(MINE.format(size=size))
    data = tmp_path / "data"
    shutil.copytree(twins / "affectnet_small", data / "affectnet_small", ignore=shutil.ignore_patterns("twin.json"))
    (data / "oulu_casia").symlink_to(twins / "oulu_casia")
    monkeypatch.chdir(tmp_path)
    asked: list[Job] = []
    monkeypatch.setattr(run_command, "run", lambda jobs, *_: asked.extend(jobs) or Outcome(len(jobs), 0))
    monkeypatch.setattr(run_command, "render_board", lambda _, board: Rendered(board, defaultdict(str)))

    def plan(words: str) -> list[Job]:
        asked.clear()
        found = [str(data) if word == "DIR" else word for word in shlex.split(words)]
        monkeypatch.setattr(sys, "argv", [PROGRAM, "run", *found])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return list(asked)

    return plan


def rows_of(jobs: list[Job]) -> list[Row]:
    """The rows of these jobs, each with a record that was written and read again."""
    for job in jobs:
        write_record(job.folder, failed_record(job.about, "cpu", "not run"))
    rows: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in read_records(jobs[0].folder.parents[3]):
        rows[record.data["dataset"], record.data["architecture"]].append(record)
    return [pool(records) for records in rows.values()]


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED.keys())
def test_a_row_is_run_again_by_its_command(planned: Callable[[str], list[Job]], typed: str) -> None:
    if "mobilenet.pth" in typed:
        torch.save(torchvision.models.mobilenet_v3_large(weights=None).state_dict(), "mobilenet.pth")
    rows = rows_of(planned(typed))
    assert {row.kind for row in rows} >= {"floor", "architecture"}
    for row in rows:
        (command,) = commands(row)
        again = planned(command.removeprefix(f"{PROGRAM} run"))
        keys = {(job.cell.architecture, job.cell.seed, job.cell.fold): job.about["key"] for job in again}
        for record in row.records:
            cell = record.data
            assert keys[cell["architecture"], cell["seed"], cell["fold"]] == cell["key"], command
        assert {job.cell.dataset for job in again} == {cell["dataset"].removesuffix("-twin")}
        others = {job.cell.architecture for job in again if job.cell.kind == "architecture"}
        assert row.kind == "ensemble" or others <= {row.architecture}, "it runs more than the row"
        assert {job.folder.parents[3] for job in again} == {Path(AGAIN)}, "where it lies it is finished"


def test_cells_of_two_requests_have_a_command_each(planned: Callable[[str], list[Job]]) -> None:
    words = "--suite default --datasets oulu_casia --architectures c3d"
    planned_first, planned_then = planned(words), planned(f"{words} --seeds 2")
    first = {job.folder for job in planned_first}
    rows = rows_of([*planned_first, *(job for job in planned_then if job.folder not in first)])
    (row,) = (row for row in rows if row.architecture == "c3d")
    asked = (
        "python -m benchmark run --suite default{} --architectures c3d --datasets oulu_casia --results results/again"
    )
    assert commands(row) == [asked.format(""), asked.format(" --seeds 2")]


def test_a_record_keeps_no_place_of_ones_own_disk(planned: Callable[[str], list[Job]], tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE.format(size="tiny"))
    (about, *_) = (job.about for job in planned(f"--suite {tmp_path / 'mine.yaml'} --data DIR"))
    assert about["asked"][:2] == ["--suite", "mine.yaml"]
    assert about["asked"][-2:] == ["--data", "DIR"]
    assert str(tmp_path) not in " ".join(about["asked"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "majority"}, "--suite default --architectures majority --datasets oulu_casia"),
        (
            {"architecture": "c3d", "dataset": "oulu_casia", "source": "real"},
            "--suite default --architectures c3d --datasets oulu_casia --data DIR",
        ),
    ],
)
def test_an_older_record_has_a_command_too(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    write_cell(tmp_path, **changes)
    assert commands(pool(read_records(tmp_path))) == [f"{PROGRAM} run {words} --results {AGAIN}"]
