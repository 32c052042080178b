"""`tune` as a user starts it: two at once, the recipes in a suite, the report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.recipes_compared import recipes_compared
from ferbench.benchmark.commands.tune import TuneRequest
from ferbench.benchmark.commands.tune import _cells as searched
from ferbench.benchmark.commands.tune_report import write_report
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.tuned import Tuned
from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.benchmark.tuning.worth import RowWorth, searches_in
from tests.benchmark.written_cells import write_cell

SUITE = """
description: two rows
size: tiny
architectures: [cnn, vit_se]
datasets: [affectnet_small]
epochs: 0.1
twins: {affectnet_small: {scale: 0.002}}
"""


def begin(folder: Path, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmark", *map(str, words)]
    return subprocess.Popen(
        command, cwd=CHECKOUT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_search_under_a_suite_of_chosen_recipes_begins_at_those_of_the_files(tmp_path: Path) -> None:
    tuned = Tuned(datasets=["affectnet_small-twin"], trials=1, budget=1.0, size="tiny", fold=0, seed=0,
                  recipes={"cnn": {"label_smoothing": 0.2}})  # fmt: skip
    (tmp_path / "recipes.yaml").write_text(yaml.safe_dump(tuned.model_dump()))
    (tmp_path / "two.yaml").write_text(f"{SUITE}tuned: recipes.yaml\n")
    request = TuneRequest([], ["affectnet_small"], 1, "1s", suite=str(tmp_path / "two.yaml"))
    assert [cell.architecture for cell in searched(request, "affectnet_small", 1.0, None)] == ["cnn", "vit_se"]


def test_two_searches_share_a_study_and_a_suite_takes_what_they_choose(tmp_path: Path) -> None:
    suite = tmp_path / "two.yaml"
    suite.write_text(SUITE)
    words = ("tune", "--datasets", "affectnet_small", "--suite", suite, "--trials", 2, "--budget", "0.5s", "--workers",
             1, "--device", "cpu", "--study", tmp_path / "study")  # fmt: skip
    both = [begin(tmp_path, *words), begin(tmp_path, *words)]
    said = [one.communicate(timeout=200)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    kept = tmp_path / "study" / "affectnet_small-twin"
    rows = json.loads((kept / "trials.json").read_text())["rows"]
    for tried in rows.values():
        assert [trial["by_hand"] for trial in tried] == [True, False, False]
        assert all(trial["state"] in ("finished", "pruned") for trial in tried), tried
    assert sum(text.count(": validation ") + text.count(": pruned ") for text in said) == 6  # each once

    suite.write_text(f"{SUITE}\ntuned: study/affectnet_small-twin/recipes.yaml\n")
    ran = begin(tmp_path, "run", "--suite", suite, "--results", tmp_path / "results", "--workers", 1, "--device", "cpu")
    assert ran.communicate(timeout=200)[0]
    assert ran.returncode == 0
    records = [json.loads(file.read_text()) for file in (tmp_path / "results" / "two").glob("*/*/*/record.json")]
    chosen = {record["recipe"]["chosen"] for record in records if record["kind"] == "architecture"}
    assert chosen == {"tuned: 2 trials on affectnet_small-twin"}
    board = (tmp_path / "results" / "leaderboard.md").read_text()
    pages = "".join(file.read_text() for file in (tmp_path / "results" / "two").glob("*.md"))
    assert "tuned: 2 trials on affectnet_small-twin" in board + pages

    page, picture = write_report([tmp_path / "study"], tmp_path / "out" / "report.md")
    assert picture.stat().st_size > 10_000
    assert "2 rows at size tiny, 2 trials of 0.5 s each" in page.read_text()


def kept(folder: Path, **values: list[float | None]) -> Path:
    """A search with these scores, the first by hand."""
    rows = {
        row: [
            {"by_hand": i == 0, "value": value, "state": "failed" if value is None else "finished", "curve": []}
            for i, value in enumerate(tried)
        ]
        for row, tried in values.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trials.json").write_text(
        json.dumps({"dataset": "ctbc-twin", "size": "tiny", "budget": 8.0, "rows": rows})
    )
    return folder


def test_the_report_says_how_ranks_change(tmp_path: Path) -> None:
    high = [0.6] * 12
    folder = kept(tmp_path / "a", cnn=[0.5, *[0.4] * 12], tsm=[0.3, *high], c3d=[0.1, *[None] * 12])
    (worth,) = searches_in(folder)
    assert worth.ranks(0) == [1, 2, 3]
    assert worth.ranks(12) == [2, 1, 3]
    assert worth.scores(0) == [0.5, 0.3, 0.1]
    assert worth.scores(10) == pytest.approx([0.4, 0.6, 0.0])
    page, _ = write_report([folder], tmp_path / "report.md")
    text = page.read_text()
    assert "From the recipes by hand to 10 trials 2 of 3 rows change rank (Kendall's tau 0.33)" in text
    assert "36 in all, 0 pruned, 12 failed" in text
    assert text == write_report([folder], tmp_path / "again" / "report.md")[0].read_text()


def test_trials_that_did_not_finish_count_for_what_they_had_shown() -> None:
    row = RowWorth("cnn", None, (0.2, 0.0), 0, 1)
    assert row.expected([1]).tolist() == [0.1]
    assert row.found(2) == 0.2


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no search is kept there"):
        write_report([tmp_path], tmp_path / "report.md")
    one = kept(tmp_path / "one", cnn=[0.5])
    with pytest.raises(RequestError, match="cnn has had no trial yet"):
        write_report([one], tmp_path / "report.md")
    one = kept(tmp_path / "one", cnn=[0.5, 0.6])
    with pytest.raises(RequestError, match="on the same data set"):
        write_report([one, one], tmp_path / "report.md")
    with pytest.raises(RequestError, match=r"name a \.md file"):
        write_report([one], tmp_path / "report.txt")
    (one / "trials.json").write_text("{}")
    with pytest.raises(RequestError, match="not what `tune` writes"):
        write_report([one], tmp_path / "report.md")


def test_the_report_says_what_boards_tell_apart_under_other_recipes(tmp_path: Path) -> None:
    results = tmp_path / "results"
    skills = {"cnn": (0.9, 0.9), "tsm": (0.6, 0.2), "c3d": (0.2, 0.6), "vivit": (0.1, None)}
    for row, (by_hand, chosen) in skills.items():
        write_cell(results, row, by_hand, each=8, subjects=12)
        if chosen is not None:
            write_cell(results, f"{row}@lr=0.001", chosen, each=8, subjects=12, suite="thirty")
    write_cell(results, "tsm", 0.9, each=8, subjects=12, suite="thirty", dataset="ctbc-twin")
    with all_records(results) as records:
        (compared,) = recipes_compared(records, ["default", "thirty"])
    assert compared.rows == ("c3d", "cnn", "tsm")
    by_hand, thirty = compared.boards
    assert by_hand.ahead.tolist() == [[0, -1, -1], [1, 0, 1], [1, -1, 0]]
    assert [board.ranks for board in compared.boards] == [[3, 1, 2], [2, 1, 3]]
    changed = thirty.against(by_hand)
    assert (changed.pairs, changed.told_apart, changed.kept, changed.reversed) == (3, 3, 2, 1)
    assert (changed.lost, changed.new, changed.moved) == (0, 0, 2)
    assert changed.tau == pytest.approx(1 / 3)
    assert (by_hand.against(by_hand).kept, by_hand.against(by_hand).tau) == (3, 1.0)

    study = kept(tmp_path / "study", cnn=[0.5, 0.6])
    text = write_report([study], tmp_path / "report.md", ["default", "thirty"], results)[0].read_text()
    assert "## On the test part" in text
    assert [line.split()[3:14:2] for line in text.splitlines() if line.startswith("| thirty")] == [
        ["3", "3", "2", "1", "0", "0"]
    ]
    for suites, said in (
        (["default"], "name two or more"),
        (["default", "default"], "name two or more"),
        (["default", "ten"], "no record of suite 'ten'"),
    ):
        with pytest.raises(RequestError, match=said):
            write_report([study], tmp_path / "report.md", suites, results)
    write_cell(results, "tsm", 0.9, suite="ten")
    with pytest.raises(RequestError, match="default, ten: no data set on which all of them rank the same two rows"):
        write_report([study], tmp_path / "report.md", ["default", "ten"], results)
