"""`check` and `baseline`: what they run is stood in for by written cells, except in the last test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ferbench.benchmark.commands import baseline as baseline_command
from ferbench.benchmark.commands import check
from ferbench.benchmark.commands.check import Request, check_folders, check_gate, refuse_saved_times
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.baseline import read_baseline
from ferbench.benchmark.gate.runs import GateRun, cells_to_gate, drop_other_libraries, run_cells
from ferbench.benchmark.gate.side_by_side import SideError
from ferbench.benchmark.planning.suite import Suite, load_suite
from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.benchmark.records.provenance import environment
from ferbench.benchmark.records.record import Record, read_records
from ferbench.benchmark.running.scheduler import Outcome
from tests.benchmark.written_cells import write_cell

NAMES = ("c3d", "tsm", "vit_se")
CONTENT = {"oulu_casia-twin": {"labels": "l0", "frames 48 px": "f0"}}

SUITE = """
description: A toy on a few faces.
size: tiny
architectures: [toy_quick]
datasets: [affectnet_small]
twins: {affectnet_small: {scale: 0.001, seed: 5}}
"""


def write_gate(folder: Path, skill: float = 0.7, **changes: Any) -> list[Record]:
    """The gate's cells of three architectures."""
    for name in NAMES:
        write_cell(folder, name, skill, suite="gate", subjects=20, **changes)
    return read_records(folder)


class Here:
    """A place with a baseline, and records that a check will find as if it had run them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.baseline, self.work, self.content = folder / "baseline", folder / "work", CONTENT
        self.records: list[Record] = write_gate(folder / "head")
        again = [Record(r.path, {**r.data, "seed": 1, "metrics": {**r.data["metrics"], "abaw": r.data["metrics"]["abaw"]
                 + 0.02}}) for r in self.records]  # fmt: skip
        base = write_gate(folder / "base")
        baseline_command.keep(self.baseline, "gate", [(base, 1), (again, 1)], CONTENT)
        monkeypatch.setattr(check, "run_cells", lambda *_: (self.records, Outcome(3, 0)))
        monkeypatch.setattr(check, "data_content", lambda *_: self.content)
        for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
            monkeypatch.delenv(name, raising=False)

    def check(self, **changes: Any) -> int:
        request = Request(device="cpu", work=self.work, baseline=self.baseline)
        return check_gate(replace(request, **changes))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return Here(tmp_path, monkeypatch)


def test_green_says_that_no_times_were_taken_and_writes_its_reports(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.check() == 0
    said = capsys.readouterr().out
    assert "latency was not measured: name a commit to compare with" in said
    assert "the gate is green: 16 same" in said  # 3 cells, their mean, 3 x 4 costs
    assert (here.work / "report.md").read_text().startswith("## the gate is green")
    assert "<testsuites" in (here.work / "junit.xml").read_text()


def test_red_is_told_to_github_too(
    here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    here.records = write_gate(tmp_path / "worse", skill=0.3)
    assert here.check() == 1
    assert "::error title=worse%3A c3d ABAW (oulu_casia-twin tiny seed 0 fold 0)::" in capsys.readouterr().out
    assert summary.read_text().startswith("before\n## the gate is red: 4 worse")


def test_data_whose_content_changed_are_never_green(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.content = {"oulu_casia-twin": {"labels": "l1", "frames 48 px": "f0"}}
    assert here.check() == 3
    assert "another question: changed data (labels)" in capsys.readouterr().out


def test_a_cell_that_was_not_run_is_never_green(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    """As after a run that was killed half way."""
    here.records = here.records[:2]
    assert here.check() == 3
    assert "not run here" in capsys.readouterr().out


def test_only_what_was_asked_for_must_be_there(here: Here) -> None:
    here.records = here.records[:1]
    assert here.check(architectures=("c3d",)) == 0


def test_the_reports_of_an_earlier_check_are_gone_before_the_next_one_begins(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert here.check() == 0

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run_cells", killed)
    with pytest.raises(KeyboardInterrupt):
        here.check()
    assert not list(here.work.glob("*.*"))


def test_no_baseline_is_nothing_to_compare(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(here.baseline)
    assert here.check() == 3
    advised = f"make one with `python -m benchmark baseline --out {here.baseline}` and commit it"
    assert f"baseline.json: no baseline there: {advised}" in capsys.readouterr().err


@pytest.mark.parametrize("found", ["notes.txt", "records", "baseline.json and notes.txt"])
def test_a_folder_that_is_no_baseline_is_never_replaced_by_one(here: Here, tmp_path: Path, found: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in found.split(" and "):
        (folder / name).touch()
    with pytest.raises(
        RequestError, match=r"mine: holds something other than a baseline \((notes.txt|records)\): name"
    ):
        baseline_command.make_baseline(baseline_command.Request(device="cpu", work=here.work, baseline=folder))
    assert sorted(file.name for file in folder.iterdir()) == sorted(found.split(" and "))


def test_a_run_of_the_gate_replaces_no_record_of_a_baseline(here: Here) -> None:
    before = read_baseline(here.baseline, "gate")
    with pytest.raises(RequestError, match=r"a baseline lies there, whose records a run would replace: .* with --work"):
        run_cells([], GateRun("gate", here.baseline / "records", "cpu", 1), print)
    assert read_baseline(here.baseline, "gate") == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "baseline.json").write_text("{"), "damaged .JSONDecodeError"),
        (lambda f: (f / "baseline.json").write_text("[]"), "damaged .TypeError"),
        (lambda f: (f / "baseline.json").write_text('{"schema": 9}'), "schema 9 instead of 1"),
        (
            lambda f: (f / "baseline.json").write_text('{"schema": 1, "suite": "gate", "data": {}, "cells": {}}'),
            "it holds no cells",
        ),
        (
            lambda f: next(f.rglob("record.json")).write_text("{}"),
            "record.json: not the file that baseline.json was made with",
        ),
        (lambda f: next(f.rglob("*.parquet")).unlink(), "predictions.parquet: cannot be read .No such file"),
        (
            lambda f: shutil.copytree(
                next(f.rglob("c3d")), f / "records" / "gate" / "oulu_casia-twin" / "c3d_copy", dirs_exist_ok=True
            ),
            "does not match baseline.json",
        ),
    ],
)
def test_a_damaged_baseline_is_refused(here: Here, damage: Any, message: str) -> None:
    damage(here.baseline)
    if message.startswith("does not match"):  # a cell that the file does not name
        copy = next(here.baseline.rglob("c3d_copy")) / "seed0-fold0" / "record.json"
        copy.write_text(copy.read_text().replace('"architecture": "c3d"', '"architecture": "c3d_copy"'))
    with pytest.raises(RequestError, match=message):
        here.check()


def test_a_baseline_of_another_suite_is_refused(here: Here) -> None:
    with pytest.raises(RequestError, match="a baseline of suite 'gate', not of 'smoke'"):
        here.check(suite="smoke")


def test_a_suite_that_selects_nothing_is_refused() -> None:
    suite = load_suite("gate")[1]
    none = Suite.model_validate({**suite.model_dump(), "architectures": []})
    with pytest.raises(RequestError, match="suite mine: it selects no cell of an architecture"):
        cells_to_gate("mine", none)


def test_latency_alone_needs_a_base(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert here.check(only="latency") == 3
    assert "none is named: give --base REF" in capsys.readouterr().err


@pytest.fixture
def nothing_runs(here: Here, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A place where a check that gets as far as its cells, or as measuring, fails."""
    for name in ("run_cells", "measure"):
        monkeypatch.setattr(check, name, lambda *_, **__: pytest.fail("the request was not checked first"))
    return here


def test_a_base_that_is_no_commit_is_refused_before_anything_runs(nothing_runs: Here) -> None:
    for only in ("", "latency", "accuracy"):
        with pytest.raises(RequestError, match=r"--base nowhere: neither a commit of .* nor a folder of records"):
            nothing_runs.check(base="nowhere", only=only)


def test_a_base_that_cannot_be_checked_out_is_refused_before_anything_runs(
    nothing_runs: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the disk is full, or git's own folder cannot be written."""
    project = tmp_path / "project"
    project.mkdir()
    for words in (["init", "-q"], ["-c", "user.name=n", "-c", "user.email=e@x.invalid", "commit", "-q", "--allow-empty",
                                   "-m", "first"]):  # fmt: skip
        subprocess.run(["git", "-C", str(project), *words], check=True)
    (project / ".git" / "worktrees").touch()
    monkeypatch.chdir(project)
    with pytest.raises(RequestError, match=r"--base HEAD: it cannot be checked out: .*worktrees"):
        nothing_runs.check(base="HEAD")


def test_a_base_needs_a_git_repository_and_git(
    nothing_runs: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=r"not in a git repository: --base REF needs one"):
        nothing_runs.check(base="HEAD")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RequestError, match="git: not found on PATH: --base REF needs it"):
        nothing_runs.check(base="HEAD")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_runs(nothing_runs: Here, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for only in ("", "latency"):
        with pytest.raises(RequestError, match=r"file: results cannot be written there .*: use --work DIR"):
            nothing_runs.check(work=tmp_path / "file", base="HEAD", only=only)


def test_accuracy_alone_takes_no_times(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "measure", lambda *_, **__: pytest.fail("times were taken"))
    assert here.check(base="HEAD", only="accuracy") == 0


def test_a_base_that_cannot_be_measured_is_never_green(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise SideError("the base cannot be measured: its process ended: SyntaxError")

    monkeypatch.setattr(check, "measure", broken)
    assert here.check(base="HEAD") == 3
    said = capsys.readouterr().out
    assert "NOT MEASURED: latency: the base cannot be measured: its process ended: SyntaxError" in said
    assert "the gate could not compare everything: 16 same" in said
    assert "worktree" not in subprocess.run(["git", "worktree", "list"], capture_output=True, text=True).stderr


def test_times_of_another_machine_or_another_job_are_no_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "latency.json"
    mine = check.this_machine()
    file.write_text(json.dumps({"machine": {**mine, "device": "another processor"}}))
    assert refuse_saved_times(file) == 3
    assert "base was measured on device another processor, head on" in capsys.readouterr().err
    file.write_text(json.dumps({"machine": mine}))
    assert refuse_saved_times(file) == 3
    assert "measured in another job" in capsys.readouterr().err
    file.write_text("nothing")
    with pytest.raises(RequestError, match="neither a folder of records nor times"):
        refuse_saved_times(file)


def test_two_folders_of_records_are_compared_without_running_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_gate(tmp_path / "base")
    write_gate(tmp_path / "head", key_parts={"code": "new"})
    write_cell(tmp_path / "head", "vivit", suite="gate")
    assert check_folders(tmp_path / "head", tmp_path / "base") == 0
    said = capsys.readouterr().out
    assert "changed: architecture code; the same predictions" in said
    assert "latency is not compared between records" in said
    with pytest.raises(RequestError, match="no such folder"):
        check_folders(tmp_path / "nowhere", tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / "gate")
    assert check_folders(tmp_path / "head", tmp_path / "base") == 3
    assert "nothing could be compared" in capsys.readouterr().out


def test_real_data_are_never_committed_as_a_baseline(tmp_path: Path) -> None:
    records = write_gate(tmp_path / "real", dataset="oulu_casia", source="real")
    with pytest.raises(RequestError, match="oulu_casia: a baseline is committed, and predictions on licensed data are"):
        baseline_command.keep(tmp_path / "baseline", "gate", [(records, 1), (records, 1)], {})
    assert not (tmp_path / "baseline").exists()


def test_a_baseline_that_cannot_be_kept_is_refused_before_anything_runs(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baseline_command, "run_cells", lambda *_: pytest.fail("the request was not checked first"))
    request = baseline_command.Request(device="cpu", work=tmp_path / "work", baseline=tmp_path / "file" / "baseline")
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"file: results cannot be written there .*: use --out DIR"):
        baseline_command.make_baseline(request)
    real = shutil.copytree(twins / "oulu_casia", tmp_path / "data" / "oulu_casia")
    (real / "twin.json").unlink()
    monkeypatch.setenv("FERBENCH_DATA", str(tmp_path / "data"))
    with pytest.raises(RequestError, match=r"oulu_casia: a baseline is committed, .*\(unset FERBENCH_DATA\)"):
        baseline_command.make_baseline(request)


def test_records_of_other_libraries_are_run_again(tmp_path: Path) -> None:
    now = {name: value for name, value in environment().items() if name != "created"}
    write_cell(tmp_path, "c3d", environment=now)
    write_cell(tmp_path, "tsm", environment={**now, "torch": "1.0"})
    drop_other_libraries(tmp_path)
    assert [record.data["architecture"] for record in read_records(tmp_path)] == ["c3d"]


def test_a_gate_from_its_first_baseline_to_one_that_is_killed(tmp_path: Path, toys: Path, ferbench: Any) -> None:
    """Really run: a baseline, green, killed half way."""
    site, suite = tmp_path / "site", tmp_path / "toygate.yaml"
    shutil.copytree(toys, site)
    suite.write_text(SUITE)
    asked = ("--suite", suite, "--device", "cpu", "--work", tmp_path / "work")
    checked = ("check", *asked, "--baseline", tmp_path / "baseline")
    path = {"PYTHONPATH": str(site)}
    made = ferbench(
        "baseline", *asked, "--out", tmp_path / "baseline", "--seeds", 2, "--workers", 1, timeout=250, **path
    )
    assert made.returncode == 0, made.stderr
    (reruns,) = read_baseline(tmp_path / "baseline", "toygate").reruns.values()
    assert [(run.seed, run.threads) for run in reruns] == [(0, 1), (1, 1), (0, 2)]
    assert {r.data["environment"]["threads"] for r in read_records(tmp_path / "work" / "records-2-threads")} == {2}

    green = ferbench(*checked, timeout=250, **path)
    assert green.returncode == 0, green.stdout + green.stderr
    assert "the same predictions" in green.stdout

    gate, toy = tmp_path / "gate", site / "toys" / "toy_quick.py"
    gate.mkdir()
    (gate / "allowed").write_text("0")
    toy.write_text(toy.read_text() + "\nCHANGED = 1\n")
    killed = subprocess.Popen(
        [sys.executable, "-m", "benchmark", *map(str, checked)],
        cwd=CHECKOUT, env={**os.environ, **path, "TOY_GATE": str(gate)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert killed.stdout is not None
    assert "1 cells to run" in killed.stdout.readline()
    time.sleep(0.5)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(20) != 0
    killed.stdout.close()
    assert not list((tmp_path / "work").glob("*.*"))
