"""Cells that start from what another leaves: borrowed weights, and ensembles of saved scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferbench.benchmark.cell import run_cell
from ferbench.benchmark.measures.fusion import MemberError, fit_weights, scores_of
from ferbench.benchmark.measures.metrics import confusion_matrix, scores
from ferbench.benchmark.planning.data import locate
from ferbench.benchmark.planning.identity import identity, key_of, key_parts, members_of
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import BASELINES, Cell, Suite, Twin, cells_of
from ferbench.benchmark.records.installation import cache_folder
from ferbench.benchmark.records.record import Record, read_record
from ferbench.benchmark.running.job import Job
from ferbench.benchmark.running.scheduler import plan, run

pytestmark = pytest.mark.usefixtures("toys_installed")


TWICE = """
from ferbench.models.architecture import Architecture, Size, Stage
from toys.toy_lender import Model

STAGES = (Stage(name="all", batch_size=16, lr=0.01), Stage(name="head", batch_size=16, lr=0.01, frozen=("features",)))
ARCHITECTURE = Architecture(
    "toy_twice", "Twice", "image", "a test", {"tiny": Size(Model, image_size=16, stages=STAGES)}
)
"""
"""Two stages move its head."""


def cell_of(architecture: str, seed: int = 0) -> Cell:
    protocol = data_sets.get("affectnet_small").protocol
    return Cell("made", architecture, "affectnet_small", seed, 0, "tiny", 1.0, 60, protocol, Twin(scale=0.002))


def made(cell: Cell, data: Path, results: Path) -> Record:
    location = locate(cell, data)
    run_cell(cell, location, identity(cell, location, "cpu"), "cpu", 1, results, lambda _: None)
    record = read_record(cell.folder(results, location.name))
    assert record is not None
    return record


@pytest.fixture(scope="module")
def results(twins: Path, tmp_path_factory: pytest.TempPathFactory, toys_installed: None) -> Path:
    """Records of the borrower, which comes first here, of the lender, and of the mean of the two."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("toy_borrower", "toy_lender", "toy_mean"):
        made(cell_of(name), twins, folder)
    return folder


def record_of(results: Path, name: str) -> Record:
    record = read_record(cell_of(name).folder(results, "affectnet_small-twin"))
    assert record is not None
    return record


def test_a_borrower_trains_its_lender_first_and_says_so(results: Path) -> None:
    data = record_of(results, "toy_borrower").data
    stages = [entry["stage"] for entry in data["history"]]
    assert stages == ["toy_lender: all"] * 2 + ["head"] * 2
    assert data["started_from"] == "toy_lender trained on the same part"
    assert not any("random weights" in note for note in data["notes"])  # what it freezes was given to it


def test_what_training_moved_is_of_the_model_and_counted_once(
    results: Path, twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, head = 48 * 8 + 8, 8 * 8 + 8  # the lender's own head is no part of the borrower
    for name in ("toy_lender", "toy_borrower"):
        cost = record_of(results, name).data["cost"]
        assert (cost["params_trained"], cost["params"]) == (features + head, features + head)
    moved = {epoch["stage"]: epoch["moved"] for epoch in record_of(results, "toy_borrower").data["history"]}
    assert moved == {"toy_lender: all": features + head, "head": head}
    (tmp_path / "toy_twice.py").write_text(TWICE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(architectures._modules, "toy_twice", "toy_twice")
    twice = made(cell_of("toy_twice"), twins, tmp_path / "results").data
    assert {epoch["stage"]: epoch["moved"] for epoch in twice["history"]} == {"all": features + head, "head": head}
    assert twice["cost"]["params_trained"] == features + head


def test_what_was_lent_is_kept_and_the_lender_is_not_trained_again(results: Path, twins: Path, tmp_path: Path) -> None:
    data = record_of(results, "toy_lender").data
    kept = json.loads((cache_folder() / "trained" / f"{data['key']}.json").read_text())["history"]
    assert data["history"] == kept
    anew = made(cell_of("toy_lender"), twins, tmp_path)
    assert anew.data["history"] == kept  # with the seconds that it took then
    assert anew.predictions().equals(record_of(results, "toy_lender").predictions())


def test_the_lender_gives_the_same_scores_whoever_came_first(
    results: Path, twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    for name in ("toy_lender", "toy_borrower"):
        assert made(cell_of(name), twins, tmp_path).predictions().equals(record_of(results, name).predictions())


def test_a_borrower_s_key_changes_with_its_lender_s_code(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = cell_of("toy_borrower")
    before = key_parts(cell, locate(cell, twins), "cpu")
    assert "lenders" in before
    assert "lenders" not in key_parts(cell_of("toy_lender"), locate(cell, twins), "cpu")
    monkeypatch.setattr("ferbench.benchmark.planning.identity.code_hash", lambda module: f"changed {module}")
    after = key_parts(cell, locate(cell, twins), "cpu")
    assert after["lenders"] != before["lenders"]


def test_code_that_changes_after_planning_is_not_taken_for_the_code_that_trained(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    cells = [cell_of(name) for name in ("toy_lender", "toy_borrower", "toy_mean")]
    location = locate(cells[0], twins)
    planned = [identity(cell, location, "cpu") for cell in cells]
    monkeypatch.setattr("ferbench.benchmark.planning.identity.code_hash", lambda module: f"changed {module}")
    for cell, about in zip(cells, planned, strict=True):
        run_cell(cell, location, about, "cpu", 1, tmp_path, lambda _: None)
        record = read_record(cell.folder(tmp_path, location.name))
        assert record is not None
        assert record.data["key"] == about["key"]
        assert "keys_below" not in record.data
    kept = {file.stem for file in (cache_folder() / "trained").glob("*.json")}
    assert kept == {planned[0]["key"]} == set(planned[1]["keys_below"].values())


def test_an_ensemble_is_the_weighted_mean_of_its_members(results: Path) -> None:
    mean, members = record_of(results, "toy_mean"), ("toy_lender", "toy_borrower")
    weights = mean.data["recipe"]["members"]
    assert tuple(weights) == members
    assert sum(weights.values()) == pytest.approx(1)
    wanted = sum(weights[m] * scores_of(record_of(results, m).predictions()) for m in members)
    np.testing.assert_allclose(scores_of(mean.predictions()), wanted, atol=1e-6)
    assert mean.data["kind"] == "ensemble"
    cost, each = mean.data["cost"], [record_of(results, m).data["cost"] for m in members]
    assert cost["params"] == sum(c["params"] for c in each)
    assert cost["latency_ms_p50"] == pytest.approx(sum(c["latency_ms_p50"] for c in each))
    assert 1 / cost["infer_samples_per_s"] == pytest.approx(sum(1 / c["infer_samples_per_s"] for c in each))


def test_weights_are_the_best_on_the_grid_and_even_where_it_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 300)
    good = np.eye(4)[label] + rng.normal(0, 0.5, (300, 4))
    bad = rng.random((300, 4))
    weights = fit_weights([good, bad, bad], label)
    assert weights[0] > 0.6
    best = scores(confusion_matrix(label, np.tensordot(weights, np.stack([good, bad, bad]), 1).argmax(1), 4)).abaw
    for grid in ([1, 0, 0], [0.5, 0.5, 0], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1]):
        fused = np.tensordot(grid, np.stack([good, bad, bad]), 1).argmax(1)
        assert scores(confusion_matrix(label, fused, 4)).abaw <= best
    assert fit_weights([good, good], label).tolist() == [0.5, 0.5]


def test_an_ensemble_without_a_member_s_record_fails_and_names_it(twins: Path, tmp_path: Path) -> None:
    made(cell_of("toy_lender"), twins, tmp_path)
    with pytest.raises(MemberError, match="its member toy_borrower has no finished record"):
        made(cell_of("toy_mean"), twins, tmp_path)


def test_an_ensemble_s_key_changes_with_a_member_s(twins: Path) -> None:
    one, other = cell_of("toy_mean"), replace(cell_of("toy_mean"), epochs=2.0)
    keys = [key_of(key_parts(cell, locate(cell, twins), "cpu")) for cell in (one, other)]
    assert keys[0] != keys[1]
    assert [member.architecture for member in members_of(one)] == ["toy_lender", "toy_borrower"]


def test_a_suite_puts_borrowers_after_lenders_and_ensembles_last() -> None:
    suite = Suite(description="", size="tiny", datasets=["affectnet_small"], architectures="all")
    names = [cell.architecture for cell in cells_of("mine", suite, ["toy_borrower", "toy_mean", "toy_lender"])]
    assert names == [*BASELINES, "toy_lender", "toy_borrower", "toy_mean"]
    with_members = [cell.architecture for cell in cells_of("mine", suite, ["toy_mean"])]
    assert with_members == names
    assert "toy_mean" not in [cell.architecture for cell in cells_of("mine", suite, ["toy_lender"])]


def test_a_run_waits_for_the_members_of_an_ensemble(
    twins: Path, tmp_path: Path, toys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toys))
    cells = [cell_of(name) for name in ("toy_mean", "toy_lender", "toy_borrower")]
    jobs, kept = plan(cells, tmp_path, twins, "cpu")
    assert kept == 0
    assert isinstance(jobs[0], Job)
    assert jobs[0].needs == {jobs[1].folder, jobs[2].folder}
    outcome = run(jobs, tmp_path, "cpu", 2)
    assert (outcome.finished, outcome.failed) == (3, 0)
    assert plan(cells, tmp_path, twins, "cpu") == ([], 3)
