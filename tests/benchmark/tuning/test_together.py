"""One recipe for several data sets: what was chosen on each, tried on the others, and the best on average."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ferbench.benchmark.commands.tune import TuneRequest, tune
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.running.worker import JobError
from ferbench.benchmark.tuning.trial import Attempt, Task
from tests.benchmark.tuning.at_once import AtOnce

BOTH = ["affectnet_small", "oulu_casia"]


def request(folder: Path, trials: int, datasets: list[str] = BOTH, together: bool = True) -> TuneRequest:
    return TuneRequest(
        ["cnn", "vit_se"], datasets, trials, "5s", study=folder, workers=1, device="cpu", together=together
    )


def rate_of(task: Task) -> float:
    changes = dict(part.split("=") for part in task.cell.architecture.partition("@")[2].split("+") if part)
    return float(changes.get("lr", 0))


def two_optima(task: Task) -> Attempt:
    """High rates are good on one data set, and cost little on the other, where low ones are."""
    rate = rate_of(task)
    return Attempt("finished", 0.5 + rate if task.cell.dataset == "oulu_casia" else 0.5 - rate / 10)


def content(folder: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    return yaml.safe_load((folder / "recipes.yaml").read_text()), json.loads((folder / "candidates.json").read_text())


def test_what_was_chosen_on_each_is_tried_on_the_others_once(
    tmp_path: Path, pool: type[AtOnce], capsys: pytest.CaptureFixture[str]
) -> None:
    pool.answer = staticmethod(two_optima)
    assert tune(request(tmp_path, 4)) == 0
    guests = pool.tasks[2 * 2 * 5 :]
    assert [(task.cell.dataset, task.unpruned) for task in guests] == [(name, True) for name in BOTH for _ in range(2)]
    recipes, candidates = content(tmp_path)
    assert recipes["datasets"] == ["affectnet_small-twin", "oulu_casia-twin"]
    for row, (low, high) in candidates.items():
        assert [low["chosen_on"], high["chosen_on"]] == recipes["datasets"]
        assert low["scores"]["oulu_casia-twin"] == pytest.approx(0.5 + low["changes"]["lr"])
        assert high["scores"]["affectnet_small-twin"] == pytest.approx(0.5 - high["changes"]["lr"] / 10)
        assert high["changes"]["lr"] > low["changes"]["lr"]
        assert recipes["recipes"][row]["lr"] == high["changes"]["lr"]
    assert "vit_se: what was chosen on oulu_casia-twin: affectnet_small-twin 0." in capsys.readouterr().out

    own = [json.loads((tmp_path / f"{name}-twin" / "trials.json").read_text())["rows"] for name in BOTH]
    assert {len(tried) for rows in own for tried in rows.values()} == {5}  # they are no trials of a search
    before = len(pool.tasks)
    tune(request(tmp_path, 4))
    assert len(pool.tasks) == before
    tune(request(tmp_path, 9, together=False))
    again = len(pool.tasks)
    tune(request(tmp_path, 9))
    new = {task.cell.architecture for task in pool.tasks[again:]}
    assert new == {task.cell.architecture for task in pool.tasks[again:]} - {task.cell.architecture for task in guests}
    assert content(tmp_path)[0]["trials"] == 9


def test_one_that_fails_elsewhere_is_the_worst(tmp_path: Path, pool: type[AtOnce]) -> None:
    def answer(task: Task) -> Attempt:
        if task.study == "affectnet_small-twin/cnn/guests":
            raise JobError("DivergedError: nan")
        return two_optima(task)

    pool.answer = staticmethod(answer)
    tune(request(tmp_path, 4))
    recipes, candidates = content(tmp_path)
    low, high = candidates["cnn"]
    assert high["scores"]["affectnet_small-twin"] == 0
    assert recipes["recipes"]["cnn"]["lr"] == low["changes"]["lr"]
    assert recipes["recipes"]["vit_se"]["lr"] == candidates["vit_se"][1]["changes"]["lr"]


@pytest.mark.parametrize(
    ("datasets", "said"),
    [
        (["affectnet_small"], "--together: one recipe for several data sets: name two or more"),
        (["affectnet_small", "affectnet_small"], "name two or more"),
        (["affectnet_small", "sendv1_valence"], "sendv1_valence asks for a value, affectnet_small for a class"),
    ],
)
def test_what_has_no_mean_is_refused(tmp_path: Path, pool: type[AtOnce], datasets: list[str], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        tune(request(tmp_path, 4, datasets))
    assert not any(tmp_path.iterdir())
