"""Accuracy and cost: the gate on cells whose difference is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ferbench.benchmark.commands.baseline import unprotected
from ferbench.benchmark.gate.accuracy import CellName, Limits, compare_cells, compare_groups, judge
from ferbench.benchmark.gate.baseline import cell_name
from ferbench.benchmark.gate.chance import Group
from ferbench.benchmark.gate.cost import compare_costs
from ferbench.benchmark.gate.verdict import Outcome, Verdict, sorted_outcome
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import rewrite_predictions, write_cell


def spoil(folder: Path, share: float) -> None:
    """Makes the predictions of this share of the samples wrong."""
    frame = pd.read_parquet(folder / "predictions.parquet")
    hit = np.random.default_rng(0).random(len(frame)) < share
    frame.loc[hit, "predicted"] = (frame.loc[hit, "label"] + 1) % 6
    rewrite_predictions(folder, frame)


def compare(tmp_path: Path, margin: float = 0.02, complete: bool = True, **changes: Any) -> Outcome:
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    verdicts = compare_cells(head, base, Limits(lambda _: margin, resamples=500), **changes)
    return sorted_outcome(verdicts, [], [], complete=complete)


def only(tmp_path: Path, **changes: Any) -> Verdict:
    (verdict,) = compare(tmp_path, **changes).verdicts
    return verdict


def both(tmp_path: Path, architecture: str, **changes: Any) -> Path:
    """Writes the same cell on both sides; returns the folder of the head's."""
    write_cell(tmp_path / "base", architecture, **changes)
    return write_cell(tmp_path / "head", architecture, **changes)


def marks(outcome: Outcome) -> dict[str, str]:
    return {verdict.subject: verdict.mark for verdict in outcome.verdicts}


@pytest.mark.parametrize(
    ("value", "p", "mark"),
    [
        (-0.05, 0.001, "worse"),
        (0.05, 0.001, "better"),
        (-0.05, 0.02, "same"),
        (-0.02, 0.001, "same"),
        (-0.0201, 0.0099, "worse"),
        (0.0, 1.0, "same"),
    ],
)
def test_a_change_counts_beyond_the_margin_and_beyond_chance(value: float, p: float, mark: str) -> None:
    assert judge(value, p, margin=0.02, alpha=0.01) == mark


def test_a_loss_is_found_in_the_cell_that_has_it(tmp_path: Path) -> None:
    both(tmp_path, "c3d")
    spoil(both(tmp_path, "vit_se"), 0.3)
    outcome = compare(tmp_path)
    assert marks(outcome) == {"vit_se": "worse", "c3d": "same"}
    worst, same = outcome.verdicts
    assert worst.where == "oulu_casia-twin tiny seed 0 fold 0"
    assert worst.change is not None
    assert worst.change < -0.1
    assert worst.base is not None
    assert worst.head == pytest.approx(worst.base + worst.change)
    assert worst.interval is not None
    assert worst.interval[0] < worst.change < worst.interval[1] < 0
    assert worst.second is not None  # McNemar's opinion
    assert worst.second < 0.001
    assert (same.change, same.p, same.reason) == (0.0, 1.0, "the same predictions")
    assert outcome.exit_code == 1


def test_the_same_loss_is_accepted_within_the_margin_of_its_cell(tmp_path: Path) -> None:
    spoil(both(tmp_path, "vit_se"), 0.3)
    outcome = compare(tmp_path, margin=0.9)
    assert marks(outcome) == {"vit_se": "same"}
    assert outcome.verdicts[0].limit == 0.9
    assert outcome.exit_code == 0


def test_a_gain_is_no_regression(tmp_path: Path) -> None:
    both(tmp_path, "vit_se")
    spoil(tmp_path / "base/default/oulu_casia-twin/vit_se/seed0-fold0", 0.3)
    outcome = compare(tmp_path)
    assert marks(outcome) == {"vit_se": "better"}
    assert outcome.exit_code == 0


def test_a_cell_that_newly_fails_is_a_regression_whatever_its_key(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d")
    write_cell(tmp_path / "head", "c3d", error="out of time: 600 s", key_parts={"architecture": "new"})
    verdict = only(tmp_path)
    assert (verdict.mark, verdict.reason) == ("newly failed", "out of time: 600 s")
    assert compare(tmp_path).exit_code == 1


def test_a_score_that_is_not_finite_is_a_regression_even_without_a_base(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "head", "c3d")
    frame = pd.read_parquet(folder / "predictions.parquet")
    frame.loc[3, "score_Fear"] = np.nan
    rewrite_predictions(folder, frame)
    verdict = only(tmp_path)
    assert (verdict.mark, verdict.reason) == ("worse", "a score is not finite")
    assert compare(tmp_path).exit_code == 1


@pytest.mark.parametrize(
    ("parts", "changes", "reason"),
    [
        ({"seed": "1"}, {}, "another question: changed seed (None -> 1)"),
        ({"unheard_of": "x"}, {}, "another question: changed unheard_of (None -> x)"),
        ({"epochs": "0.5", "data": "d"}, {}, "another question: changed data, budget (None -> 0.5)"),
        (
            {"protocol": "f1"},
            {"protocol": {"folds": 4}},
            "another question: changed protocol (folds 10 -> 4)",
        ),
    ],
)
def test_another_question_is_not_compared_and_says_what_changed(
    tmp_path: Path, parts: dict[str, str], changes: dict[str, Any], reason: str
) -> None:
    write_cell(tmp_path / "base", "c3d")
    spoil(write_cell(tmp_path / "head", "c3d", key_parts=parts, **changes), 0.9)
    outcome = compare(tmp_path)
    assert [(v.mark, v.reason, v.change) for v in outcome.verdicts] == [("incomparable", reason, None)]
    assert outcome.exit_code == 3


def test_another_answer_to_the_same_question_is_compared_and_says_what_changed(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d", key_parts={"code": "a", "training_code": "t"})
    stage = {"stages": [{"lr": 0.001}], "optimizer": "adamw"}
    parts = {"code": "b", "training_code": "u"}
    spoil(write_cell(tmp_path / "head", "c3d", key_parts=parts, recipe=stage, started_from="nothing"), 0.9)
    verdict = only(tmp_path)
    assert verdict.mark == "worse"
    assert verdict.reason == (
        "changed: architecture code, training code, stages.0.lr None -> 0.001, "
        "starts from nothing instead of geometry-vit"
    )


@pytest.mark.parametrize(
    ("content", "mark", "reason"),
    [
        ([], "same", "changed: data-set code; the same predictions"),
        (["labels"], "incomparable", "another question: changed data (labels)"),
    ],
)
def test_what_the_data_hold_decides_and_not_the_code_that_makes_them(
    tmp_path: Path, content: list[str], mark: str, reason: str
) -> None:
    write_cell(tmp_path / "base", "c3d", key_parts={"data": "d0"})
    write_cell(tmp_path / "head", "c3d", key_parts={"data": "d1"})
    verdict = only(tmp_path, data_changes={"oulu_casia-twin": content})
    assert (verdict.mark, verdict.reason) == (mark, reason)


def test_changed_data_are_found_under_an_identity_that_did_not_change(tmp_path: Path) -> None:
    both(tmp_path, "c3d")
    verdict = only(tmp_path, data_changes={"oulu_casia-twin": ["frames 48 px"]})
    assert (verdict.mark, verdict.reason) == ("incomparable", "another question: changed data (frames 48 px)")


def test_other_test_samples_under_the_same_key_are_not_compared(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d", subjects=8)
    write_cell(tmp_path / "head", "c3d", subjects=9)
    assert "other test samples" in only(tmp_path).reason


@pytest.mark.parametrize(
    ("base", "head", "reason"),
    [
        ({}, None, "not run here"),
        (None, {}, "not in the base"),
        ({"error": "no memory"}, {}, "failed in the base, not here"),
        ({"error": "no memory"}, {"error": "no time"}, "failed here, failed in the base as well: no time"),
        (None, {"error": "no time"}, "failed here, not in the base: no time"),
    ],
)
def test_a_cell_on_one_side_only_is_not_compared_and_never_green(
    tmp_path: Path, base: dict[str, Any] | None, head: dict[str, Any] | None, reason: str
) -> None:
    both(tmp_path, "vit_se")
    for side, changes in (("base", base), ("head", head)):
        if changes is not None:
            write_cell(tmp_path / side, "c3d", **changes)
    outcome = compare(tmp_path)
    assert [(v.mark, v.reason) for v in outcome.verdicts if v.subject == "c3d"] == [("incomparable", reason)]
    assert outcome.exit_code == 3
    assert compare(tmp_path, complete=False).exit_code == 0  # two folders need not hold the same cells


def values(folder: Path, noise: float, subjects: int = 6) -> None:
    """Makes a cell one of valence, with two videos a subject."""
    who = np.repeat(np.arange(2 * subjects), 20)
    target = np.sin(np.arange(len(who)) / 5)
    said = target + noise * np.random.default_rng(0).normal(size=len(who))
    rewrite_predictions(folder, pd.DataFrame({
        "sample": [f"{i:04d}" for i in range(len(who))], "subject": [f"ID{i // 2}" for i in who],
        "track": [f"vid{i:02d}" for i in who], "target": target, "value": said,
    }))  # fmt: skip


def test_a_regression_is_compared_by_its_own_measure(tmp_path: Path) -> None:
    for name, noise in (("c3d", 0.3), ("vit_se", 2.0)):
        cell = {"dataset": "sendv1_valence-twin", "classes": ["valence"]}
        values(write_cell(tmp_path / "base", name, **cell), 0.3)
        values(write_cell(tmp_path / "head", name, **cell), noise)
    outcome = compare(tmp_path)
    assert marks(outcome) == {"vit_se": "worse", "c3d": "same"}
    worst = outcome.verdicts[0]
    assert (worst.what, worst.second) == ("CCC", None)
    assert worst.change is not None
    assert worst.change < -0.3
    assert worst.p is not None
    assert worst.p < 0.001
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    group = compare_groups(head, base, lambda cells: Group((0.5, 0.5), 0.02), Limits(resamples=500))
    assert [(verdict.what, verdict.mark) for verdict in group] == [("mean CCC", "worse")]


def test_a_value_that_is_not_finite_is_a_regression(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "head", "c3d", dataset="sendv1_valence-twin", classes=["valence"])
    values(folder, 0.3)
    frame = pd.read_parquet(folder / "predictions.parquet")
    frame.loc[3, "value"] = np.inf
    record = json.loads((folder / "record.json").read_text())
    frame.to_parquet(folder / "predictions.parquet")
    del record["files"]
    (folder / "record.json").write_text(json.dumps(record))
    assert (only(tmp_path).mark, only(tmp_path).reason) == ("worse", "a score is not finite")


def test_of_one_subject_nothing_is_concluded(tmp_path: Path) -> None:
    for name in ("c3d", "vit_se", "tsm"):
        spoil(both(tmp_path, name, subjects=1, each=20), 0.3)
    verdicts = compare(tmp_path).verdicts
    assert {(verdict.mark, verdict.p) for verdict in verdicts} == {("same", 1.0)}
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    (mean,) = compare_groups(head, base, lambda cells: Group((1 / 3,) * 3, 0.01), Limits(resamples=500))
    assert (mean.mark, mean.p) == ("same", 1.0)
    assert mean.interval is not None
    assert mean.interval[0] < 0 < mean.interval[1]


def test_a_base_at_the_floor_protects_nothing(tmp_path: Path) -> None:
    both(tmp_path, "c3d", skill=0.0)
    both(tmp_path, "vit_se", skill=0.6)
    verdicts = {verdict.subject: verdict for verdict in compare(tmp_path, margin=0.05).verdicts}
    assert not verdicts["c3d"].protected
    assert verdicts["vit_se"].protected
    records = read_records(tmp_path / "base")
    margin = {cell_name(record): 0.05 for record in records}
    (line,) = unprotected(records, margin)
    assert line.startswith("NOT PROTECTED: oulu_casia-twin/c3d/seed0-fold0 has ABAW 0.2")


def test_floors_and_oracle_that_are_the_same_prove_nothing(tmp_path: Path) -> None:
    both(tmp_path, "majority", kind="floor")
    both(tmp_path, "oracle", kind="oracle")
    outcome = compare(tmp_path)
    assert outcome.verdicts == ()
    assert outcome.exit_code == 3


def test_samples_may_be_written_in_another_order(tmp_path: Path) -> None:
    folder = both(tmp_path, "c3d")
    frame = pd.read_parquet(folder / "predictions.parquet")
    rewrite_predictions(folder, frame.sample(frac=1, random_state=0))
    assert (only(tmp_path).mark, only(tmp_path).change) == ("same", 0.0)


def test_unknown_subjects_are_compared_over_samples(tmp_path: Path) -> None:
    for name, known in (("c3d", True), ("vit_se", False)):
        spoil(both(tmp_path, name, subjects_known=known), 0.3)
    assert marks(compare(tmp_path)) == {"c3d": "worse", "vit_se": "worse"}


def test_what_each_architecture_loses_a_little_of_is_found_in_their_mean(tmp_path: Path) -> None:
    """Twelve architectures that each lose less than the margin of a cell."""
    names = [f"arch_{i:02d}" for i in range(12)]
    for name in names:
        spoil(both(tmp_path, name, subjects=20), 0.06)
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    limits = Limits(lambda _: 0.1, resamples=500)
    assert {verdict.mark for verdict in compare_cells(head, base, limits)} == {"same"}
    asked: list[list[CellName]] = []

    def group_of(cells: list[CellName]) -> Group:
        asked.append(cells)
        return Group((1 / 12,) * 12, 0.03)

    (verdict,) = compare_groups(head, base, group_of, limits)
    assert [cell.architecture for cell in asked[0]] == names
    assert (verdict.subject, verdict.mark, verdict.limit) == ("all 12 architectures", "worse", 0.03)
    assert verdict.change is not None
    assert -0.08 < verdict.change < -0.03
    assert verdict.head == pytest.approx(verdict.base + verdict.change)


def test_a_group_takes_only_what_is_comparable_and_is_left_out_when_it_is_one(tmp_path: Path) -> None:
    both(tmp_path, "c3d")
    write_cell(tmp_path / "base", "vit_se")
    write_cell(tmp_path / "head", "vit_se", key_parts={"seed": "1"})
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    assert compare_groups(head, base, lambda _: Group((1.0,), 0.0), Limits(resamples=50)) == []


def test_every_change_of_cost_is_red_until_it_is_accepted(tmp_path: Path) -> None:
    both(tmp_path, "c3d")
    write_cell(tmp_path / "base", "vit_se")
    write_cell(tmp_path / "head", "vit_se", cost={"params": 1_234_568, "macs": 34_000_000, "params_full": None})
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    verdicts = compare_costs(head, base)
    found = {(v.subject, v.what): (v.mark, v.change, v.red) for v in verdicts if v.mark != "same"}
    assert found == {
        ("vit_se", "parameters"): ("worse", 1, True),
        ("vit_se", "multiply-adds"): ("better", -500_000, True),
        ("vit_se", "parameters at full size"): ("worse", None, True),
    }
    assert sorted_outcome(verdicts, [], []).exit_code == 1
    assert len([v for v in verdicts if v.subject == "c3d" and v.mark == "same"]) == 4


def test_a_layer_that_is_no_longer_trained_is_found_exactly(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "vit_se", cost={"params_trained": 1000})
    write_cell(tmp_path / "head", "vit_se", cost={"params_trained": 400})
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    (verdict,) = [verdict for verdict in compare_costs(head, base) if verdict.mark != "same"]
    assert (verdict.what, verdict.mark, verdict.change) == ("parameters that training moved", "worse", -600)
    assert sorted_outcome([verdict], [], []).exit_code == 1


def test_a_layer_that_one_stage_no_longer_trains_is_found_though_another_does(tmp_path: Path) -> None:
    for side, second in (("base", 1000), ("head", 400)):
        history = [{"stage": "first", "epoch": 1, "moved": 1000}, {"stage": "second", "epoch": 1, "moved": second}]
        write_cell(tmp_path / side, "vit_se", cost={"params_trained": 1000}, history=history)
    head, base = (read_records(tmp_path / side) for side in ("head", "base"))
    (verdict,) = [verdict for verdict in compare_costs(head, base) if verdict.mark != "same"]
    assert (verdict.what, verdict.mark, verdict.change) == ("parameters that training moved", "worse", 0)
    assert verdict.reason.startswith("stage 'second' moved 1000 -> 400; exact: make the baseline again")
    assert sorted_outcome([verdict], [], []).exit_code == 1
