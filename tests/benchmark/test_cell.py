"""One cell from data to record, on tiny twins, in this process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from ferbench.benchmark.cell import failed_record, notes_of, run_cell, shelf_on
from ferbench.benchmark.learning.task import metrics_of
from ferbench.benchmark.planning.data import Location, locate, open_data
from ferbench.benchmark.planning.identity import identity, key_of, key_parts
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import Cell, Twin
from ferbench.benchmark.records.record import Record, read_record
from ferbench.datasets.corpus import DataError
from ferbench.datasets.synthetic.writer import write_film
from ferbench.models.weights import FOLDER as WEIGHTS

pytestmark = pytest.mark.usefixtures("toys_installed")


def silent(_: str) -> None:
    """Hears what a cell reports and keeps it to itself."""


def cell_of(architecture: str, dataset: str = "affectnet_small", **changes: Any) -> Cell:
    protocol = replace(data_sets.get(dataset).protocol, folds=1 if dataset == "affectnet_small" else 2)
    twin = Twin(scale=0.002)
    cell = Cell("made", architecture, dataset, 0, 0, "tiny", 1.0, 60, protocol, twin)
    return replace(cell, **changes)


def made(cell: Cell, data: Path | None, results: Path) -> Record:
    location = locate(cell, data)
    headline = run_cell(cell, location, identity(cell, location, "cpu"), "cpu", 1, results, silent)
    record = read_record(cell.folder(results, location.name))
    assert record is not None
    assert headline == record.headline == ("abaw", record.data["metrics"]["abaw"])
    return record


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def record(twins: Path, results: Path, toys_installed: None) -> Record:
    """The toy's cell on AffectNet small."""
    return made(cell_of("toy_quick"), twins, results)


@pytest.fixture(scope="module")
def rows(twins: Path, results: Path, record: Record) -> dict[str, Record]:
    """The floors, the oracle and the toy."""
    floors = {name: made(cell_of(name), twins, results) for name in ("majority", "random", "oracle")}
    return {**floors, "toy_quick": record}


def test_weights_of_an_earlier_record_do_not_stay_beside_one_that_keeps_none(twins: Path, tmp_path: Path) -> None:
    cell = cell_of("toy_quick")
    file = cell.folder(tmp_path, "affectnet_small-twin") / "weights.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"-")
    made(cell, twins, tmp_path)
    assert not file.exists()


def test_a_record_says_what_was_run_and_where(record: Record, twins: Path) -> None:
    data = record.data
    assert (data["status"], data["error"], data["kind"], data["source"]) == ("ok", None, "architecture", "twin")
    assert (data["architecture"], data["dataset"], data["suite"]) == ("toy_quick", "affectnet_small-twin", "made")
    assert (data["view"], data["started_from"], data["size"], data["seed"], data["fold"]) == (
        "image",
        "none",
        "tiny",
        0,
        0,
    )
    assert data["protocol"] == data_sets.get("affectnet_small").protocol.as_dict()
    assert data["recipe"]["stages"][0]["lr"] == 0.01
    assert [entry["epoch"] for entry in data["history"]] == [1, 2]
    assert data["counts"]["test_samples"] == 16
    assert data["counts"]["train_samples"] + data["counts"]["validation_samples"] == 61
    assert data["environment"]["device_type"] == "cpu"
    assert data["environment"]["workers"] == 1
    assert data["key"] == key_of(data["key_parts"])


def test_a_record_says_what_it_cost(record: Record) -> None:
    cost = record.data["cost"]
    assert cost["params"] == 48 * 8 + 8
    assert cost["macs"] == 48 * 8
    assert 0 < cost["latency_ms_p50"] <= cost["latency_ms_p95"]
    assert len(cost["latency_ms_samples"]) >= 10
    assert min(cost[key] for key in ("train_samples_per_s", "infer_samples_per_s", "peak_memory_mb")) > 0


@pytest.mark.parametrize("name", ["majority", "random", "oracle", "toy_quick"])
def test_every_measure_can_be_recomputed_from_the_predictions(rows: dict[str, Record], name: str) -> None:
    table, metrics = rows[name].predictions(), rows[name].data["metrics"]
    classes = tuple(rows[name].data["classes"])
    assert list(table.columns) == ["sample", "subject", "track", "label", "predicted", *(f"score_{c}" for c in classes)]
    assert len(table) == 16
    scores = table[[f"score_{c}" for c in classes]].to_numpy()
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert scores.argmax(1).tolist() == table["predicted"].tolist()
    assert metrics_of(table, classes) == metrics
    assert metrics["accuracy"] == pytest.approx(accuracy_score(table["label"], table["predicted"]))
    macro = f1_score(table["label"], table["predicted"], average="macro", zero_division=0)
    assert metrics["abaw"] == pytest.approx(0.67 * macro + 0.33 * metrics["accuracy"])


def test_floors_and_oracle_are_what_they_say(rows: dict[str, Record]) -> None:
    majority = rows["majority"].predictions()["predicted"]
    assert set(majority) == {1}  # Happiness
    assert rows["oracle"].data["metrics"]["accuracy"] > rows["majority"].data["metrics"]["accuracy"]
    assert rows["random"].data["kind"] == "floor"
    assert rows["oracle"].data["cost"] is None


def test_the_same_cell_has_the_same_predictions_bit_for_bit(record: Record, twins: Path, tmp_path: Path) -> None:
    again = made(cell_of("toy_quick"), twins, tmp_path)
    pd.testing.assert_frame_equal(record.predictions(), again.predictions(), check_exact=True)
    assert again.data["key"] == record.data["key"]
    assert [entry["train_loss"] for entry in again.data["history"]] == [
        entry["train_loss"] for entry in record.data["history"]
    ]


def test_another_seed_is_another_cell(record: Record, twins: Path, tmp_path: Path) -> None:
    other = made(cell_of("toy_quick", seed=1), twins, tmp_path)
    assert other.data["key"] != record.data["key"]
    assert not record.predictions()["score_Neutral"].equals(other.predictions()["score_Neutral"])


CHANGES: dict[str, Callable[[Cell], Cell]] = {
    "seed": lambda cell: replace(cell, seed=1),
    "fold": lambda cell: replace(cell, fold=1),
    "size": lambda cell: replace(cell, size="full"),
    "epochs": lambda cell: replace(cell, epochs=0.5),
    "architecture": lambda cell: replace(cell, architecture="toy_nan"),
    "protocol": lambda cell: replace(cell, protocol=replace(cell.protocol, image_frames=2)),
    "data": lambda cell: replace(cell, twin=Twin(scale=0.003)),
}


@pytest.mark.parametrize("part", CHANGES)
def test_a_key_changes_with_each_of_its_parts(part: str) -> None:
    cell, changed = cell_of("toy_quick"), CHANGES[part](cell_of("toy_quick"))
    before, after = (key_parts(c, locate(c, None), "cpu") for c in (cell, changed))
    assert before[part] != after[part]
    assert key_of(before) != key_of(after)


def test_a_key_does_not_depend_on_suite_time_limit_or_place(twins: Path) -> None:
    cell = cell_of("toy_quick")
    moved = replace(cell, suite="other", time_limit=1)
    assert key_parts(cell, locate(cell, None), "cpu") == key_parts(moved, locate(moved, None), "cpu")
    elsewhere = replace(locate(cell, twins), root=Path("elsewhere"))
    assert key_parts(cell, elsewhere, "cpu") == key_parts(cell, locate(cell, twins), "cpu")


def test_the_baselines_do_not_depend_on_the_training_code() -> None:
    cell = cell_of("majority")
    assert "training_code" not in key_parts(cell, locate(cell, None), "cpu")


def test_a_failed_record_says_why(twins: Path) -> None:
    cell = cell_of("toy_quick")
    location = locate(cell, twins)
    failed = failed_record(identity(cell, location, "cpu"), "cpu", "the reason")
    assert (failed["status"], failed["error"], failed["metrics"]) == ("failed", "the reason", None)
    assert failed["key"] == key_of(key_parts(cell, location, "cpu"))


# Data


def test_a_twin_is_written_where_there_are_no_data_and_once(cache: Path) -> None:
    cell = cell_of("toy_quick")
    location = locate(cell, None)
    assert location.name == "affectnet_small-twin"
    assert location.root.is_relative_to(cache)
    first, _ = open_data(location, 16, silent)
    written = (location.root / "twin.json").stat().st_mtime_ns
    second, store = open_data(location, 16, silent)
    assert (location.root / "twin.json").stat().st_mtime_ns == written
    assert first.frames == second.frames
    assert store.frames.shape == (77, 16, 16, 3)


def test_a_folder_of_ones_own_without_the_twins_mark_is_real(twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "affectnet_small", tmp_path / "affectnet_small")
    (copy / "twin.json").unlink()
    location = locate(cell_of("toy_quick"), tmp_path)
    assert (location.name, location.source) == ("affectnet_small", "real")
    assert locate(cell_of("toy_quick", "oulu_casia"), tmp_path).name == "oulu_casia-twin"


def damaged_oulu(twins: Path, folder: Path) -> Location:
    """A copy in which one frame of P001 (tested in fold 0) is missing and another truncated."""
    shutil.copytree(twins / "oulu_casia", folder / "oulu_casia")
    sequence = folder / "oulu_casia" / "PreProcess_Img" / "VL_Acropped" / "Strong" / "P001" / "Fear"
    (sequence / "003.jpeg").unlink()
    (sequence / "004.jpeg").write_bytes((sequence / "004.jpeg").read_bytes()[:200])
    return locate(cell_of("majority", "oulu_casia"), folder)


def test_frames_that_cannot_be_read_are_counted_and_their_sample_is_scored(twins: Path, tmp_path: Path) -> None:
    location = damaged_oulu(twins, tmp_path)
    cell = cell_of("majority", "oulu_casia")
    run_cell(cell, location, identity(cell, location, "cpu"), "cpu", 1, tmp_path / "results", silent)
    record = read_record(cell.folder(tmp_path / "results", location.name))
    assert record is not None
    assert record.data["counts"]["missing_frames"] == 2
    assert "P001/Fear" in set(record.predictions()["sample"])
    assert record.data["counts"]["test_samples"] == 12


def test_one_image_in_two_parts_stops_the_cell_before_training(twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "affectnet_small", tmp_path / "affectnet_small")
    shutil.copy(copy / "train_set" / "images" / "0.jpg", copy / "val_set" / "images" / "5.jpg")
    cell = cell_of("toy_quick")
    with pytest.raises(
        DataError, match=r"same image is in the .* part: train_set/images/0.jpg and val_set/images/5.jpg"
    ):
        made(cell, tmp_path, tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(not (WEIGHTS / "recipe.json").is_file(), reason="no starting weights: python -m benchmark pretrain")
@pytest.mark.parametrize("view", ["image", "pair", "clip"])
def test_a_shipped_architecture_of_each_view_makes_a_record(twins: Path, tmp_path: Path, view: str) -> None:
    shipped = [name for name in architectures.names() if not name.startswith("toy")]
    name = next(name for name in shipped if architectures.get(name).view == view)
    record = made(cell_of(name, "oulu_casia", epochs=0.01), twins, tmp_path)
    assert record.data["started_from"] == ", ".join(w.file for w in architectures.get(name).sizes["tiny"].weights)
    assert len(record.predictions()) == 12


@pytest.mark.parametrize(
    ("name", "size", "warned"), [("tsm", "tiny", False), ("difference_of_embeddings", "full", True)]
)
def test_a_frozen_part_without_weights_is_told(name: str, size: str, warned: bool, twins: Path) -> None:
    corpus, _ = open_data(locate(cell_of("majority"), twins), 48, silent)
    architecture = architectures.get(name)
    notes = notes_of(architecture, architecture.sizes[size], corpus, cell_of("majority").protocol)
    assert any("has random weights" in note for note in notes) == warned


@pytest.mark.parametrize(
    ("dataset", "still"), [("affectnet_small", True), ("oulu_casia", False), ("ctbc", False), ("aff_wild2", False)]
)
def test_a_still_clip_is_told_where_no_frame_moves(dataset: str, still: bool, tmp_path: Path) -> None:
    entry = data_sets.get(dataset)
    scale = {"oulu_casia": 0.02, "affectnet_small": 0.001, "ctbc": 0.002, "aff_wild2": 0.00002}[dataset]
    write_film(entry.film(scale, 0, entry.protocol, entry.layouts[0]), tmp_path / dataset)
    corpus = entry.read(tmp_path / dataset, entry.protocol)
    architecture = architectures.get("c3d")
    notes = notes_of(architecture, architecture.sizes["tiny"], corpus, entry.protocol)
    assert any("still clip" in note for note in notes) == still


def test_features_lie_on_a_shelf_of_their_code_and_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    cpu, threads = torch.device("cpu"), torch.get_num_threads()
    one = shelf_on(cpu)
    assert one is not None
    assert one == shelf_on(cpu)
    torch.set_num_threads(threads + 1)
    other = shelf_on(cpu)
    torch.set_num_threads(threads)
    assert other is not None
    assert other.folder != one.folder
    monkeypatch.setattr("ferbench.benchmark.cell.code_hash", lambda module: f"another {module}")
    third = shelf_on(cpu)
    assert third is not None
    assert third.folder not in (one.folder, other.folder)


def test_there_is_no_shelf_on_a_full_disk_or_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=100, free=4))
    assert shelf_on(torch.device("cpu")) is None
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "file"))
    assert shelf_on(torch.device("cpu")) is None
