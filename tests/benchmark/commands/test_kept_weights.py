"""Trained weights: kept beside a record, read back whole or refused, handed out as they are and as ONNX."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file

from ferbench.benchmark.cell import a_better_is_kept
from ferbench.benchmark.commands.evaluate import Request, evaluate_predictor
from ferbench.benchmark.commands.run import leave_best
from ferbench.benchmark.commands.weights import hand_out, weights_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.kept import ABOUT, About, about_of, keep, read_kept
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.record import WEIGHTS, Headline, read_records
from tests.benchmark.written_cells import write_cell
from tests.conftest import Ferbench

CLASSES = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
SUITE = """
description: Two rows that are trained for a moment.
architectures: [cnn, difference_of_embeddings]
datasets: [affectnet_small]
size: tiny
epochs: 0.01
keep: all
"""


def about(**changes: Any) -> About:
    plain = {
        "version": "0.1.0", "architecture": "cnn", "size": "tiny", "dataset": "affectnet_small-twin",
        "classes": CLASSES, "value": False, "protocol": {}, "key": "k", "score": 0.5, "temperature": 1.5,
    }  # fmt: skip
    return About(**{**plain, **changes})


def model(name: str = "cnn", classes: int = 8) -> torch.nn.Module:
    torch.manual_seed(1)
    return architectures.get(name).sizes["tiny"].build(classes).eval()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("kept") / WEIGHTS
    keep(file, model(), about())
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, ferbench: Ferbench, twins: Path) -> Path:
    """Results of a suite that keeps the weights of all its rows."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "two.yaml").write_text(SUITE)
    done = ferbench("run", "--suite", folder / "two.yaml", "--data", twins, "--results", folder / "results")
    assert done.returncode == 0, done.stderr
    return folder / "results"


def test_what_is_kept_comes_back_the_same(kept: Path) -> None:
    found = read_kept(kept)
    assert found.about.temperature == 1.5
    x = torch.randn(architectures.get("cnn").input_shape("tiny", 2))
    assert torch.equal(found.model(x), model()(x))


def tampered(kept: Path, file: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> Path:
    """The file with another content, its digest as it was."""
    tensors = load_file(kept)
    content = json.loads(safe_metadata(kept)[ABOUT])
    change(content, tensors)
    save_file(tensors, file, {ABOUT: json.dumps(content)})
    return file


def safe_metadata(file: Path) -> dict[str, str]:
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        found: dict[str, str] = json.loads(opened.read(length))["__metadata__"]
        return found


BAD = {
    "numbers": (lambda c, t: t[next(iter(t))].add_(1), "it is damaged: keep the cell again"),
    "another architecture": (lambda c, t: c.update(architecture="c3d"), "c3d is built otherwise here"),
    "an unknown one": (lambda c, t: c.update(architecture="nothing"), "unknown architecture 'nothing'"),
    "no such size": (lambda c, t: c.update(size="huge"), "cnn has no size 'huge' here (the file is of ferbench 0.1.0)"),
    "other classes": (lambda c, t: c.update(classes=["a", "b"]), "cnn is built otherwise here than in ferbench 0.1.0"),
    "no sense": (lambda c, t: c.update(temperature="warm"), "what it says of itself cannot be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_weights_that_do_not_fit_are_refused(kept: Path, tmp_path: Path, case: str) -> None:
    change, said = BAD[case]
    file = tampered(kept, tmp_path / WEIGHTS, change)
    with pytest.raises(RequestError, match=re.escape(said)) as caught:
        read_kept(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 5, 200, -100])
def test_a_file_that_is_cut_short_is_refused(kept: Path, tmp_path: Path, cut: int) -> None:
    (tmp_path / WEIGHTS).write_bytes(kept.read_bytes()[:cut])
    with pytest.raises(RequestError, match="weights cannot be read") as caught:
        read_kept(tmp_path / WEIGHTS)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_a_program_is_never_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": Hostile()}, tmp_path / WEIGHTS)
    with pytest.raises(RequestError, match="weights cannot be read"):
        read_kept(tmp_path / WEIGHTS)
    assert not (tmp_path / "ran").exists()


def test_weights_of_others_say_nothing_of_themselves(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(RequestError, match="weights without what they are"):
        about_of(tmp_path / "a.safetensors")


def test_a_run_keeps_the_weights_that_answered(trained: Path) -> None:
    records = {r.data["architecture"]: r for r in read_records(trained) if r.data["kind"] == "architecture"}
    assert set(records) == {"cnn", "difference_of_embeddings"}
    for record in records.values():
        found = about_of(record.path / WEIGHTS)
        assert (found.key, found.score) == (record.data["key"], record.headline.value)
        assert found.temperature == record.data["calibration"]["temperature"]
        assert "model" not in record.data


def test_the_weights_of_a_cell_answer_what_its_record_says(trained: Path, twins: Path, tmp_path: Path) -> None:
    out = tmp_path / "cnn.safetensors"
    said = hand_out(trained, "two/affectnet_small/cnn", out, "safetensors", 0)
    assert said.startswith(f"{out}: CNN (ResNet-50) (tiny) trained on affectnet_small-twin, 8 classes, score 0.")
    request = Request(f"cnn={out}", "", ("affectnet_small",), None, "smoke", "tiny", "cpu", twins, tmp_path / "r",
                      None, 60)  # fmt: skip
    evaluate_predictor(request)
    (again,) = read_records(tmp_path / "r")
    (record,) = [r for r in read_records(trained) if r.data["architecture"] == "cnn"]
    one, other = (r.predictions().set_index("sample").sort_index() for r in (again, record))
    scores = [name for name in other if name.startswith("score_")]
    assert np.allclose(one[scores], other[scores], atol=1e-5)


@pytest.mark.parametrize("batch", [0, 1])
def test_an_onnx_file_answers_as_torch_does(kept: Path, tmp_path: Path, batch: int) -> None:
    said = hand_out(tmp_path, str(kept), tmp_path / "m.onnx", "onnx", batch)
    assert re.search(r"differ from torch's by at most \d\.\de-0[5-9] on 64 random inputs", said)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    x = torch.randn((batch or 3, 3, 48, 48))
    (found,) = session.run(None, {"pictures": x.numpy()})
    assert np.allclose(found, model()(x).detach().numpy(), atol=1e-4)
    assert "classes:" in (tmp_path / "m.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nowhere.safetensors", "safetensors", "nowhere.safetensors: no such file of weights"),
        ("default/oulu_casia/c3d", "tflite", "unknown format 'tflite': use safetensors or onnx"),
        ("default/oulu_casia/c3d", "onnx", "its weights were not kept: run it again with python -m benchmark run "),
        ("default/oulu_casia/majority", "onnx", "is trained on nothing of its own"),
    ],
)
def test_weights_that_are_not_there_are_told_with_a_way_to_get_them(
    tmp_path: Path, name: str, kind: str, said: str
) -> None:
    write_cell(tmp_path / "results", "c3d", asked=["--suite", "default"])
    write_cell(tmp_path / "results", "majority")
    with pytest.raises(RequestError, match=re.escape(said)):
        hand_out(tmp_path / "results", name, tmp_path / "out", kind, 0)


def test_of_a_row_with_several_cells_the_first_is_handed_out(tmp_path: Path, kept: Path) -> None:
    for seed in (1, 0):
        folder = write_cell(tmp_path, "c3d", seed=seed)
        (folder / WEIGHTS).write_bytes(kept.read_bytes())
    assert weights_of(tmp_path, "default/oulu_casia/c3d").parent.name == "seed0-fold0"


def test_a_run_leaves_the_weights_of_the_best_row_and_those_of_earlier_runs(tmp_path: Path) -> None:
    folders = {name: write_cell(tmp_path, name, skill) for name, skill in (("c3d", 0.9), ("tsm", 0.5), ("cnn", 0.7))}
    for folder in folders.values():
        (folder / WEIGHTS).write_bytes(b"-")
    leave_best([folders["c3d"], folders["tsm"]], tmp_path / "default")
    assert {name for name, folder in folders.items() if (folder / WEIGHTS).is_file()} == {"c3d", "cnn"}


def test_the_best_row_is_the_one_that_is_best_over_all_its_seeds(tmp_path: Path) -> None:
    skills = {"c3d": (0.8, 0.8, 0.8), "tsm": (0.1, 0.1, 0.95)}
    folders = {name: [write_cell(tmp_path, name, skill, seed=seed) for seed, skill in enumerate(of)]
               for name, of in skills.items()}  # fmt: skip
    for folder in (*folders["c3d"], folders["tsm"][2]):  # as a run keeps them: tsm is better under the last seed alone
        (folder / WEIGHTS).write_bytes(b"-")
    leave_best([folder for of in folders.values() for folder in of], tmp_path / "default")
    assert {name: [(f / WEIGHTS).is_file() for f in of] for name, of in folders.items()} == {
        "c3d": [True, True, True], "tsm": [False, False, False],
    }  # fmt: skip


def test_weights_beside_a_cell_that_has_failed_since_stand_in_nobodys_way(tmp_path: Path) -> None:
    failed = write_cell(tmp_path, "c3d", error="killed")
    (failed / WEIGHTS).write_bytes(b"-")
    assert not a_better_is_kept(write_cell(tmp_path, "tsm"), Headline("abaw", 0.1))


def test_where_all_weights_are_asked_for_a_finished_cell_without_them_is_run_again(
    trained: Path, ferbench: Ferbench, twins: Path
) -> None:
    suite = trained.parent / "two.yaml"
    asked = ("run", "--suite", suite, "--data", twins, "--results", trained, "--architectures", "cnn")
    assert "nothing to do" in ferbench(*asked).stdout
    (file,) = trained.glob(f"two/affectnet_small-twin/cnn/*/{WEIGHTS}")
    before = read_kept(file)
    file.unlink()
    assert "nothing to do" in ferbench(*asked, "--keep", "best").stdout
    assert "1 cells to run" in ferbench(*asked, "--keep", "all").stdout
    assert read_kept(file).about == before.about


def test_an_unknown_choice_of_what_to_keep_is_refused(ferbench: Ferbench, tmp_path: Path) -> None:
    done = ferbench("run", "--suite", "smoke", "--keep", "some", "--results", tmp_path)
    assert (done.returncode, done.stderr) == (2, "error: --keep some: use best, all, none\n")
