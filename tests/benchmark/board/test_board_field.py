"""What the field asks of a board: WAR and UAR, results by group, many data sets, models on data of others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferbench.benchmark.board.breakdowns import field, groups
from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.board.matrices import difference_in_domain
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.sections import DataTable, sections
from ferbench.benchmark.measures.statistics import bootstrap_interval, paired_bootstrap
from ferbench.benchmark.records.record import PREDICTIONS
from tests.benchmark.written_cells import CLASSES, rewrite_predictions, write_cell

pytestmark = pytest.mark.usefixtures("no_plots")


def only_table(results: Path) -> DataTable:
    with all_records(results) as records:
        (section,) = sections(records)
    (table,) = section.tables
    return table


def cells_of_row(text: str, title: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {title}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def predictions(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / PREDICTIONS)


def test_war_and_uar_have_intervals_and_their_means_over_folds(tmp_path: Path) -> None:
    folders = [write_cell(tmp_path, fold=fold, field_measures=True, subjects=2 + 7 * fold) for fold in (0, 1)]
    table = only_table(tmp_path)
    tables = [predictions(folder) for folder in folders]
    both = pd.concat(tables)
    war = (both["label"] == both["predicted"]).mean()
    of_class = [(group["predicted"] == code).mean() for code, group in both.groupby("label")]
    interval = bootstrap_interval(both["label"], both["predicted"], both["subject"], len(CLASSES), "uar")
    title, *shown = cells_of_row(field(table), "c3d")
    assert shown[0].startswith(f"{war:.3f} [")
    assert shown[1] == f"{np.mean(of_class):.3f} [{interval.low:.3f}, {interval.high:.3f}]"
    of_folds = [(t["label"] == t["predicted"]).mean() for t in tables]
    assert shown[2] == f"{np.mean(of_folds):.3f} ± {np.std(of_folds, ddof=1):.3f}"
    assert not shown[2].startswith(f"{war:.3f}")  # folds of other sizes
    assert title == "c3d"
    render(tmp_path, tmp_path / "board.md")
    assert "the field's measures" in (tmp_path / "default" / "oulu_casia-twin.md").read_text(encoding="utf-8")


def test_a_data_set_of_which_the_field_reports_neither_has_no_such_table(tmp_path: Path) -> None:
    write_cell(tmp_path)
    assert field(only_table(tmp_path)) == ""
    write_cell(tmp_path, fold=0, field_measures=True)
    one_fold = field(only_table(tmp_path))
    assert "WAR [95% over subjects]" in one_fold
    assert "mean of folds" not in one_fold


def test_results_are_told_apart_by_what_the_release_says(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, attributes=["sex"])
    table = predictions(folder)
    table.insert(3, "about_sex", ["male" if int(name[1:]) % 2 else "" for name in table["subject"]])
    rewrite_predictions(folder, table)
    shown = groups(only_table(tmp_path), "sex")
    right = table["label"] == table["predicted"]
    men, others = right[table["about_sex"] == "male"].mean(), right[table["about_sex"] == ""].mean()
    assert "accuracy by sex" in shown
    assert f"male ({(table['about_sex'] == 'male').sum()})" in shown
    assert f"unknown ({(table['about_sex'] == '').sum()})" in shown
    assert cells_of_row(shown, "c3d")[1:] == [f"{men:.2f}", f"{others:.2f}", f"{abs(men - others):.2f}"]
    assert groups(only_table(tmp_path), "age") == ""


def test_many_data_sets_stand_in_a_table_a_kind(tmp_path: Path) -> None:
    for number in range(7):
        write_cell(tmp_path, dataset=f"set{number}-twin", task="still" if number < 4 else "video")
    render(tmp_path, tmp_path / "board.md")
    board = (tmp_path / "board.md").read_text(encoding="utf-8")
    pictures, clips = (board.index(f"**{kind}**") for kind in ("Pictures", "Clips and videos"))
    assert pictures < clips
    assert board.index("set3-twin", pictures) < clips < board.index("set4-twin", clips)
    write_cell(tmp_path / "few", dataset="set0-twin", task="still")
    write_cell(tmp_path / "few", dataset="set4-twin", task="video")
    render(tmp_path / "few", tmp_path / "few.md")
    assert "**Pictures**" not in (tmp_path / "few.md").read_text(encoding="utf-8")


def moved(results: Path, seed: int = 0) -> Path:
    """A model of a that was tested on b, and what a model of b answers: every fourth sample wrong."""
    folder = write_cell(
        results, suite="mine-transfer", dataset="a-to-b-twin", seed=seed, transfer={"from": "a-twin", "to": "b-twin"},

    )  # fmt: skip
    table = predictions(folder)
    table["in_domain"] = np.where(np.arange(len(table)) % 4, table["label"], (table["label"] + 1) % len(CLASSES))
    rewrite_predictions(folder, table)
    return folder


def test_a_matrix_has_the_score_the_in_domain_one_and_their_difference(tmp_path: Path) -> None:
    tables = [predictions(moved(tmp_path, seed)) for seed in (0, 1)]
    first = tables[0]
    change = paired_bootstrap(
        first["label"], np.array([t["in_domain"] for t in tables]), np.array([t["predicted"] for t in tables]),
        first["subject"], len(CLASSES),
    )  # fmt: skip
    row = only_table(tmp_path).rows[0]
    found = difference_in_domain(row)
    assert found is not None
    assert found["value"] == pytest.approx(change.value)
    assert (found["low"], found["high"]) == pytest.approx((change.interval.low, change.interval.high))
    render(tmp_path, tmp_path / "board.md")
    board = (tmp_path / "board.md").read_text(encoding="utf-8")
    assert f"mean off the diagonal {row.score:.3f}, {change.value:+.3f} against" in board
    assert f"in-domain {found['in_domain']:.3f}" in board
    assert "Friedman" not in board  # its pairs share models and samples


def test_samples_that_no_in_domain_cell_answered_are_not_compared(tmp_path: Path) -> None:
    folder = moved(tmp_path)
    table = predictions(folder)
    table["in_domain"] = -1
    rewrite_predictions(folder, table)
    assert difference_in_domain(only_table(tmp_path).rows[0]) is None
    render(tmp_path, tmp_path / "board.md")
    assert "in-domain" not in (tmp_path / "board.md").read_text(encoding="utf-8").partition("Each cell:")[0]


def test_a_record_says_what_its_data_ask(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, task="video")
    assert only_table(tmp_path).task == "video"
    data = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    data["task"] = "smell"
    (folder / "record.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(Exception, match="task"):
        render(tmp_path, tmp_path / "board.md")
