"""What a run would take, from what rows took before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferbench.benchmark.commands.run import RunRequest, run_suite
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import RECORD
from ferbench.benchmark.running.estimate import lines_of

SUITE = """
description: to be estimated
size: tiny
architectures: [{rows}]
datasets: [affectnet_small]
epochs: {epochs}
twins: {{affectnet_small: {{scale: 0.02}}}}
"""


def suite(folder: Path, rows: str, epochs: float, name: str) -> str:
    file = folder / f"{name}.yaml"
    file.write_text(SUITE.format(rows=rows, epochs=epochs))
    return str(file)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estimate")
    run_suite(RunRequest(suite(folder, "cnn", 0.5, "short"), folder / "results", device="cpu", workers=1))
    return folder / "results"


def told(results: Path, capsys: pytest.CaptureFixture[str], **asked: object) -> list[str]:
    assert run_suite(RunRequest(results=results, estimate=True, **asked)) == 0  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def test_it_says_what_a_longer_run_would_take_and_runs_nothing(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(results.rglob(RECORD))
    longer = suite(tmp_path, "cnn", 500.0, "longer")
    lines = told(results, capsys, suite=longer, device="cpu", seeds=3)
    row = next(line.split() for line in lines if line.startswith("cnn"))
    record = json.loads(next(results.glob(f"short/*/cnn/*/{RECORD}")).read_text())
    an_input = min(epoch["seconds"] / epoch["samples"] for epoch in record["history"])
    epochs = 500 * len(record["history"]) / 0.5
    assert int(row[1]) == 3
    assert float(row[2]) == pytest.approx(3 * epochs * record["counts"]["train_samples"] * an_input / 3600, rel=0.5)
    assert row[-1] == "short"
    assert sorted(results.rglob(RECORD)) == before


def test_a_row_that_nobody_knows_is_named_and_another_device_has_no_records(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferbench.benchmark.running.estimate.published_folder", lambda: tmp_path)
    both = suite(tmp_path, "cnn, tsm", 1.0, "both")
    lines = told(results, capsys, suite=both, device="cpu")
    assert "not in it: tsm: no finished cell of size tiny on cpu: run suite rehearsal first" in lines
    with pytest.raises(RequestError, match="nothing can be estimated: cnn: no finished cell of size tiny on cuda"):
        told(results, capsys, suite=both, device="cuda")


def test_data_that_are_not_there_are_named(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(suite(tmp_path, "cnn", 1.0, "unwritten"))
    file.write_text(file.read_text().replace("scale: 0.02", "scale: 0.021"))
    with pytest.raises(RequestError, match="affectnet_small-twin: not written yet: give the data with --data"):
        told(results, capsys, suite=str(file), device="cpu")


def test_where_nothing_is_left_to_train_it_says_so() -> None:
    (line,) = lines_of([], [], 4)
    assert line.startswith("nothing to train")
