"""Models of one data set tested on others: what is asked, what is kept, what is never compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ferbench.benchmark.commands.run import RunRequest, run_suite
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning import kept
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell, cells_of, load_suite
from ferbench.benchmark.records.record import WEIGHTS, read_record
from ferbench.benchmark.records.transfers import transfer_name
from ferbench.benchmark.running.scheduler import located
from ferbench.benchmark.transfer import tested
from ferbench.benchmark.transfer.pairs import Place, pairs_of
from ferbench.benchmark.transfer.shared import restricted, samples_asked, shared_classes
from ferbench.datasets.items import Item, corpus_of

SUITE = """
description: Two tiny twins.
size: tiny
architectures: [toy_quick]
datasets: [ck_plus, jaffe, raf_db]
folds: all
twins: {ck_plus: {scale: 0.05}, jaffe: {scale: 0.3}, raf_db: {scale: 0.002}}
protocols: {ck_plus: {folds: 2}, jaffe: {folds: 2}}
"""


def suite(folder: Path, text: str = SUITE) -> str:
    file = folder / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def ran(tmp_path: Path, transfer: list[str] | None, keep: str = "none", text: str = SUITE) -> int:
    name = suite(tmp_path, text)
    return run_suite(RunRequest(name, tmp_path / "results", device="cpu", workers=1, keep=keep, transfer=transfer))


def places(tmp_path: Path, text: str = SUITE) -> list[Place]:
    cells: list[Cell] = cells_of(*load_suite(suite(tmp_path, text)))
    return [Place(cell, location, "cpu") for cell, location in located(cells, None)]


def test_each_model_is_tested_on_all_others_and_only_once(
    toys_installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["ck_plus", "jaffe", "raf_db"]
    assert ran(tmp_path, names) == 0
    results = tmp_path / "results"
    folders = sorted(file.parent for file in (results / "mine-transfer").rglob("record.json"))
    assert [folder.parent.parent.name for folder in folders] == sorted(
        transfer_name(f"{one}-twin", f"{other}-twin") for one in names for other in names if one != other
    )
    assert not list(results.rglob(WEIGHTS))  # keep: none
    for folder in folders:
        record = read_record(folder)
        assert record is not None
        pair = record.data["transfer"]
        assert record.data["protocol"]["trained_on"] == pair["from"]
        table = record.opened().read(["sample", "label", "predicted", "in_domain"]).to_pandas()
        assert (table["in_domain"] >= 0).all()  # every fold of the tested one has run
        whole = sum(
            read_record(own).data["counts"]["test_samples"]  # type: ignore[union-attr]
            for own in (results / "mine" / pair["to"] / "toy_quick").iterdir()
        )
        left_out = [int(note.split()[0]) for note in record.data["notes"] if "were not trained" in note]
        assert len(table) + sum(left_out) == whole
        assert len(record.data["classes"]) == (7 if "raf_db" in pair["from"] and "jaffe" in pair["to"] else
                                               len(record.data["classes"]))  # fmt: skip
    board = (results / "leaderboard.md").read_text(encoding="utf-8")
    assert "mean off the diagonal" in board
    assert "Suite mine-transfer" in board.partition("## All data sets")[2]
    assert "mine-transfer" not in board.partition("## All data sets")[0]  # what to pick is no question of it
    capsys.readouterr()
    times = {folder: (folder / "record.json").stat().st_mtime_ns for folder in folders}
    assert ran(tmp_path, names) == 0
    assert "nothing to do" in capsys.readouterr().out
    (folders[0] / "record.json").write_text("{", encoding="utf-8")
    ran(tmp_path, names)  # the model is trained again, as its weights were not kept, and tested where it is missing
    again = {folder: (folder / "record.json").stat().st_mtime_ns for folder in folders}
    assert again[folders[0]] != times[folders[0]]
    assert json.loads((folders[0] / "record.json").read_text(encoding="utf-8"))["status"] == "ok"


def test_two_data_sets_of_one_folder_are_not_tested_on_each_other(toys_installed: None, tmp_path: Path) -> None:
    text = SUITE.replace("[ck_plus, jaffe, raf_db]", "[affectnet_small, affectnet_7, jaffe]").replace(
        "ck_plus: {scale: 0.05}", "affectnet_small: {scale: 0.001}").replace("ck_plus: {folds: 2}, ", "")  # fmt: skip
    found = pairs_of(places(tmp_path, text), ["affectnet_small", "affectnet_7", "jaffe"])
    asked = {(pair.source.cell.dataset, pair.tested_on.cell.dataset) for pair in found}
    assert asked == {(a, "jaffe") for a in ("affectnet_small", "affectnet_7")} | {
        ("jaffe", b) for b in ("affectnet_small", "affectnet_7")
    }


def test_what_cannot_be_asked_is_said_before_anything_runs(toys_installed: None, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="--transfer takes two data sets at least"):
        ran(tmp_path, ["jaffe"])
    with pytest.raises(RequestError, match="--transfer sendv1_valence: it asks for a value"):
        ran(tmp_path, ["sendv1_valence", "ck_plus"])
    with pytest.raises(RequestError, match="unknown data set 'jafe'"):
        ran(tmp_path, ["jafe", "ck_plus"])
    with pytest.raises(RequestError, match="unknown data set 'jafe': did you mean 'jaffe'"):
        ran(tmp_path, None, text=SUITE + "transfer: [jafe, ck_plus]\n")
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").rglob("record.json"))


def test_data_sets_without_classes_in_common_are_refused(toys_installed: None, tmp_path: Path) -> None:
    text = SUITE.replace("[ck_plus, jaffe, raf_db]", "[sendv1, jaffe]").replace("ck_plus: {folds: 2}, ", "").replace(
        "ck_plus: {scale: 0.05}", "sendv1: {scale: 0.05}")  # fmt: skip
    with pytest.raises(RequestError, match=r"--transfer (sendv1,jaffe|jaffe,sendv1): [01] classes in common"):
        pairs_of(places(tmp_path, text), ["sendv1", "jaffe"])


def test_weights_of_another_training_are_not_asked(
    toys_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pair, *_) = pairs_of(places(tmp_path), ["jaffe", "raf_db"])
    monkeypatch.setattr(kept, "read_kept", lambda file: SimpleNamespace(about=SimpleNamespace(key="another")))
    with pytest.raises(RequestError, match="weights of another training: remove them"):
        tested.test_on_other(pair, tmp_path, torch.device("cpu"), print)


def test_twins_are_not_tested_under_models_of_real_data(toys_installed: None, tmp_path: Path) -> None:
    (real, *_), *_ = [places(tmp_path)]
    mixed = [
        replace(place, location=replace(place.location, name=place.cell.dataset)) if place.cell.dataset == "jaffe" else
        place for place in places(tmp_path)
    ]  # fmt: skip
    with pytest.raises(RequestError, match="is a twin and others are real data"):
        pairs_of(mixed, ["jaffe", "raf_db"])
    assert real.location.source == "twin"


def test_classes_are_matched_by_name_and_the_others_left_out() -> None:
    shared = shared_classes(("Happy", "Angry", "Contempt"), ("Neutral", "Anger", "Happiness"), "a-to-b")
    assert shared.names == ("Anger", "Happiness")
    assert shared.of_model.tolist() == [1, 0]
    assert shared.of_data.tolist() == [1, 2]
    items = [Item(f"s{i}", i % 3, (f"{i}.jpg",), part="test" if i < 9 else "train") for i in range(12)]
    corpus = corpus_of("made", Path("nowhere"), ("Neutral", "Anger", "Happiness"), items)
    samples, notes = samples_asked(corpus, shared)
    assert samples.tolist() == [1, 2, 4, 5, 7, 8]
    assert notes == ["3 of 9 samples are of classes that were not trained (Neutral): left out"]
    assert restricted(corpus, shared).label[samples].tolist() == [0, 1] * 3
    with pytest.raises(RequestError, match=r"a-to-b: 1 classes in common"):
        shared_classes(("Happy", "Calm"), ("Neutral", "Happiness"), "a-to-b")


def test_the_key_of_a_pair_is_of_model_data_and_in_domain_answers(toys_installed: None, tmp_path: Path) -> None:
    own = places(tmp_path)
    pair = next(p for p in pairs_of(own, ["jaffe", "raf_db"]) if p.source.cell.dataset == "jaffe")
    moved = replace(pair.tested_on, location=replace(pair.tested_on.location, identity="other"))
    other = replace(pair, target=(moved, *pair.target[1:]))
    retrained = replace(pair, source=replace(pair.source, cell=replace(pair.source.cell, epochs=2.0)))
    keys = [each.key(tmp_path) for each in (pair, other, retrained)]
    assert len(set(keys)) == 3
    assert pair.key(tmp_path) == keys[0]
    assert data_sets.get("jaffe").protocol.folds == 10
    assert np.array([place.cell.fold for place in pair.target]).tolist() == [0]
