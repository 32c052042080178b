"""The gate on cells whose difference is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.regression import CellName, Verdicts, check, exit_code, judge, report
from benchmark.statistics import Difference, Interval
from tests.benchmark.written_cells import write_cell


def spoil(folder: Path, share: float) -> None:
    """Makes the predictions of this share of the samples wrong."""
    file = folder / "predictions.parquet"
    frame = pd.read_parquet(file)
    hit = np.random.default_rng(0).random(len(frame)) < share
    frame.loc[hit, "predicted"] = (frame.loc[hit, "label"] + 1) % 6
    frame.to_parquet(file)


def compare(tmp_path: Path, **limits: Any) -> Verdicts:
    return check(tmp_path / "head", tmp_path / "base", resamples=500, **limits)


def both(tmp_path: Path, architecture: str, **changes: Any) -> Path:
    """Writes the same cell on both sides; returns the folder of the head's."""
    write_cell(tmp_path / "base", architecture, **changes)
    return write_cell(tmp_path / "head", architecture, **changes)


def marks(verdicts: Verdicts) -> dict[str, str]:
    return {verdict.cell.architecture: verdict.mark for verdict in verdicts.cells}


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
    assert judge(Difference(value, Interval(value, value, "subject"), p), margin=0.02, alpha=0.01) == mark


def test_a_loss_is_found_in_the_cell_that_has_it(tmp_path: Path) -> None:
    both(tmp_path, "c3d")
    spoil(both(tmp_path, "vit_se"), 0.3)
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"vit_se": "worse", "c3d": "same"}
    worst = verdicts.cells[0]
    assert worst.cell == CellName("default", "oulu_casia-twin", "vit_se", "tiny", 0, 0)
    assert worst.difference is not None
    assert worst.difference.value < -0.1
    assert worst.base is not None
    assert worst.head == pytest.approx(worst.base + worst.difference.value)
    assert worst.difference.interval.unit == "subject"
    assert worst.mcnemar_p is not None
    assert worst.mcnemar_p < 0.001
    assert exit_code(verdicts) == 1


def test_the_same_loss_is_accepted_within_a_stated_margin(tmp_path: Path) -> None:
    spoil(both(tmp_path, "vit_se"), 0.3)
    verdicts = compare(tmp_path, margin=0.9)
    assert marks(verdicts) == {"vit_se": "same"}
    assert exit_code(verdicts) == 0
    assert "more than 0.9" in report(verdicts)


def test_a_gain_is_no_regression(tmp_path: Path) -> None:
    both(tmp_path, "vit_se")
    spoil(tmp_path / "base/default/oulu_casia-twin/vit_se/seed0-fold0", 0.3)
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"vit_se": "better"}
    assert exit_code(verdicts) == 0


def test_a_cell_that_newly_fails_is_a_regression_whatever_its_key(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d")
    write_cell(tmp_path / "head", "c3d", error="out of time: 600 s", key_parts={"architecture": "new"})
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"c3d": "newly failed"}
    assert verdicts.cells[0].reason == "out of time: 600 s"
    assert exit_code(verdicts) == 1


def test_a_score_that_is_not_finite_is_a_regression_even_without_a_base(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "head", "c3d")
    frame = pd.read_parquet(folder / "predictions.parquet")
    frame.loc[3, "score_Fear"] = np.nan
    frame.to_parquet(folder / "predictions.parquet")
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"c3d": "worse"}
    assert verdicts.cells[0].reason == "a score is not finite"
    assert exit_code(verdicts) == 1


def test_another_key_is_not_compared_and_says_what_changed(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d", key_parts={"recipe": "a1", "torch": "2.15"})
    spoil(write_cell(tmp_path / "head", "c3d", key_parts={"recipe": "a2", "torch": "2.15", "twin": "7"}), 0.9)
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"c3d": "incomparable"}
    assert verdicts.cells[0].reason == "changed: recipe, twin"
    assert exit_code(verdicts) == 3


def test_other_test_samples_under_the_same_key_are_not_compared(tmp_path: Path) -> None:
    write_cell(tmp_path / "base", "c3d", subjects=8)
    write_cell(tmp_path / "head", "c3d", subjects=9)
    assert "other test samples" in compare(tmp_path).cells[0].reason


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
def test_a_cell_on_one_side_only_is_not_compared(
    tmp_path: Path, base: dict[str, Any] | None, head: dict[str, Any] | None, reason: str
) -> None:
    for side, changes in (("base", base), ("head", head)):
        if changes is not None:
            write_cell(tmp_path / side, "c3d", **changes)
    verdicts = compare(tmp_path)
    assert [(verdict.mark, verdict.reason) for verdict in verdicts.cells] == [("incomparable", reason)]
    assert exit_code(verdicts) == 3


def test_floors_and_oracle_that_are_the_same_prove_nothing(tmp_path: Path) -> None:
    for side, code in (("base", "a1"), ("head", "a2")):
        write_cell(tmp_path / side, "c3d", key_parts={"code": code})
        write_cell(tmp_path / side, "majority", kind="floor")
        write_cell(tmp_path / side, "oracle", kind="oracle")
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"c3d": "incomparable"}
    assert exit_code(verdicts) == 3


def test_nothing_at_all_is_nothing_comparable(tmp_path: Path) -> None:
    verdicts = compare(tmp_path)
    assert exit_code(verdicts) == 3
    assert report(verdicts).startswith("no cells at all\n")


def test_samples_may_be_written_in_another_order(tmp_path: Path) -> None:
    folder = both(tmp_path, "c3d")
    frame = pd.read_parquet(folder / "predictions.parquet")
    frame.sample(frac=1, random_state=0).to_parquet(folder / "predictions.parquet")
    verdicts = compare(tmp_path)
    assert marks(verdicts) == {"c3d": "same"}
    assert verdicts.cells[0].difference == Difference(0.0, Interval(0.0, 0.0, "subject"), 1.0)


def test_unknown_subjects_are_compared_over_samples(tmp_path: Path) -> None:
    spoil(both(tmp_path, "c3d", subjects_known=False), 0.3)
    verdict = compare(tmp_path).cells[0]
    assert verdict.mark == "worse"
    assert verdict.difference is not None
    assert verdict.difference.interval.unit == "sample"


def test_report_lists_the_worst_first(tmp_path: Path) -> None:
    both(tmp_path, "same_one")
    spoil(both(tmp_path, "a_little_worse"), 0.35)
    spoil(both(tmp_path, "much_worse"), 0.8)
    both(tmp_path, "better_one")
    spoil(tmp_path / "base/default/oulu_casia-twin/better_one/seed0-fold0", 0.4)
    write_cell(tmp_path / "base", "now_failing")
    write_cell(tmp_path / "head", "now_failing", error="no memory\nat all")
    write_cell(tmp_path / "head", "new_one")
    text = report(compare(tmp_path))
    names = ["now_failing", "much_worse", "a_little_worse", "new_one", "better_one", "same_one"]
    assert [line.split("/")[2].split(" ")[0] for line in text.splitlines() if "/" in line] == names
    assert "no memory at all" in text
    assert "1 newly failed, 2 worse, 1 incomparable, 1 better, 1 same" in text
