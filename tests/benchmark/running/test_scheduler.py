"""Cells side by side in worker processes: one that goes wrong costs no other anything."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import time
from dataclasses import replace
from multiprocessing import active_children, get_context
from pathlib import Path

import pytest
from pebble import ProcessPool

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import BASELINES, Cell, Twin
from ferbench.benchmark.records.record import RECORD, read_record
from ferbench.benchmark.running import local_pool, scheduler, worker
from ferbench.benchmark.running.local_pool import LocalPool
from ferbench.benchmark.running.progress import RunProgress
from ferbench.benchmark.running.scheduler import Outcome, plan, refuse_read_only, run
from ferbench.benchmark.running.worker import SETTINGS

TOYS = ("toy_slow", "toy_crash", "toy_quick", "toy_error", "toy_nan")
LIMIT = 3


def cells() -> list[Cell]:
    """Floors, oracle and toys on a twin that is not written yet; what sleeps may take three seconds."""
    protocol, twin = data_sets.get("affectnet_small").protocol, Twin(scale=0.001, seed=5)
    return [
        Cell("made", name, "affectnet_small", 0, 0, "tiny", 1.0, LIMIT if name == "toy_slow" else 100, protocol, twin)
        for name in (*BASELINES, *TOYS)
    ]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def outcome(results: Path, toys_installed: None) -> Outcome:
    """A run of all of them, two at a time."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():  # so that the run's own changes do not outlive it
            patch.setenv(name, value)
        jobs, kept = plan(cells(), results, None, "cpu")
        assert kept == 0
        return run(jobs, results, "cpu", workers=2)


def status(results: Path) -> dict[str, tuple[str, str | None]]:
    records = [json.loads(file.read_text()) for file in results.glob(f"made/*/*/*/{RECORD}")]
    return {record["architecture"]: (record["status"], record["error"]) for record in records}


def test_what_goes_wrong_becomes_a_failed_record_with_its_reason_and_the_others_finish(
    outcome: Outcome, results: Path
) -> None:
    assert outcome == Outcome(finished=len(BASELINES) + 1, failed=4)
    found = status(results)
    assert found["toy_crash"] == ("failed", "its process ended with exit code 7 (killed, or out of memory)")
    assert found["toy_slow"] == ("failed", f"over its time limit of {LIMIT} s")
    assert found["toy_error"] == ("failed", "ValueError: two lines")
    assert found["toy_nan"][0] == "failed"
    assert str(found["toy_nan"][1]).startswith("DivergedError: the training loss is nan in epoch 1")
    assert {name for name, (state, _) in found.items() if state == "ok"} == {*BASELINES, "toy_quick"}


@pytest.mark.usefixtures("outcome")
def test_failed_cells_are_tried_again_and_finished_ones_are_not(results: Path) -> None:
    jobs, kept = plan(cells(), results, None, "cpu")
    assert {job.cell.architecture for job in jobs} == set(TOYS) - {"toy_quick"}
    assert kept == len(BASELINES) + 1


@pytest.mark.usefixtures("outcome")
def test_a_cell_whose_key_changed_and_one_whose_record_is_damaged_are_run_again(results: Path) -> None:
    changed = [replace(cell, epochs=0.5) for cell in cells()]
    jobs, _ = plan(changed, results, None, "cpu")
    assert "toy_quick" in {job.cell.architecture for job in jobs}
    assert not set(BASELINES) & {job.cell.architecture for job in jobs}  # they train no epochs
    (damaged,) = [cell for cell in cells() if cell.architecture == "majority"]
    file = damaged.folder(results, "affectnet_small-twin") / RECORD
    whole = file.read_text()
    file.write_text(whole[:100])
    try:
        assert "majority" in {job.cell.architecture for job in plan(cells(), results, None, "cpu")[0]}
    finally:
        file.write_text(whole)


@pytest.mark.usefixtures("outcome")
def test_another_device_is_another_cell_but_not_for_the_floors(results: Path) -> None:
    jobs, kept = plan(cells(), results, None, "cuda")
    assert {job.cell.architecture for job in jobs} == set(TOYS)
    assert kept == len(BASELINES)


@pytest.mark.usefixtures("outcome")
def test_a_failed_cell_has_no_predictions(results: Path) -> None:
    for cell in cells():
        folder = cell.folder(results, "affectnet_small-twin")
        record = read_record(folder)
        assert record is not None
        assert (folder / "predictions.parquet").is_file() == (record.data["status"] == "ok")


@pytest.mark.parametrize("pause", [0.0, 1.5])
def test_workers_that_are_killed_while_they_have_nothing_to_do_are_replaced(
    pause: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the pool notices, and after it has."""
    strangers, killed = set(active_children()), []
    say = RunProgress.say

    def kill_when_data_are_ready(self: RunProgress, line: str) -> None:
        say(self, line)
        if " ready at " in line:
            for child in set(active_children()) - strangers:
                child.kill()
                child.join()
                killed.append(child)
            time.sleep(pause)

    monkeypatch.setattr(RunProgress, "say", kill_when_data_are_ready)
    floors = [cell for cell in cells() if cell.architecture in BASELINES]
    assert run(plan(floors, tmp_path, None, "cpu")[0], tmp_path, "cpu", workers=1) == Outcome(
        finished=len(BASELINES), failed=0
    )
    assert len(killed) == 1
    assert {state for state, _ in status(tmp_path).values()} == {"ok"}


def test_a_run_whose_workers_cannot_live_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where there is no memory left to start one."""

    def dying(_: object) -> ProcessPool:
        return ProcessPool(max_workers=1, initializer=os._exit, initargs=(3,), context=get_context("spawn"))

    monkeypatch.setattr(LocalPool, "_new", dying)
    floors = [cell for cell in cells() if cell.architecture in BASELINES]
    assert run(plan(floors, tmp_path, None, "cpu")[0], tmp_path, "cpu", workers=1) == Outcome(
        finished=0, failed=len(BASELINES)
    )
    reason = "worker processes are killed, or cannot be started: see how much memory is free"
    assert set(status(tmp_path).values()) == {("failed", reason)}


class ForeignError(Exception):
    """Cannot be sent to another process: it is made anew there of its text alone."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def test_an_exception_of_somebody_elses_is_told_in_a_line_that_can_be_sent() -> None:
    with pytest.raises(worker.JobError) as told, worker.told_in_one_line():
        raise ForeignError("one", "two")
    assert str(pickle.loads(pickle.dumps(told.value))) == "ForeignError: one and two"


def test_real_data_have_no_oracle(twins: Path, tmp_path: Path) -> None:
    shutil.copytree(twins / "affectnet_small", tmp_path / "affectnet_small")
    (tmp_path / "affectnet_small" / "twin.json").unlink()
    only = [cell for cell in cells() if cell.architecture in BASELINES]
    jobs, _ = plan(only, tmp_path / "results", tmp_path, "cpu")
    assert [job.cell.architecture for job in jobs] == [name for name in BASELINES if name != "oracle"]


def test_a_results_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"results cannot be written there .*: use --results DIR"):
        refuse_read_only(tmp_path / "file")
    with pytest.raises(RequestError, match=r"results cannot be written there .*: use --results DIR"):
        refuse_read_only(tmp_path / "file" / "below")
    refuse_read_only(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_jobs_are_started_in_the_order_that_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scheduler, "longest_first", lambda jobs, *_: sorted(jobs, key=lambda job: job.cell.seed))
    floors = [replace(cell, seed=seed) for cell in cells() if cell.architecture == "majority" for seed in (3, 1, 2, 0)]
    outcome = run(plan(floors, tmp_path, None, "cpu")[0], tmp_path, "cpu", workers=1)
    assert outcome == Outcome(finished=4, failed=0)
    said = [line for line in capsys.readouterr().out.splitlines() if "majority" in line]
    assert [line.partition(" fold")[0][-1] for line in said] == ["0", "1", "2", "3"]


def test_workers_of_a_pool_that_does_not_end_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(active_children())
    pool = LocalPool(1, "cpu", tmp_path, tmp_path)
    pool.pool.schedule(time.sleep, args=(60,))
    deadline = time.monotonic() + 30
    while not (started := set(active_children()) - before):
        assert time.monotonic() < deadline, "no worker was started"
        time.sleep(0.05)
    stop = pool.pool.stop
    monkeypatch.setattr(pool.pool, "stop", lambda: time.sleep(60))
    monkeypatch.setattr(local_pool, "STOP_SECONDS", 0.1)
    pool.stop()
    for child in started:
        child.join(10)
        assert not child.is_alive()
    stop()
