"""Rendering and its dearest part; run by `make perf`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from ferbench.benchmark.board.sections import sections
from ferbench.benchmark.gate.measured import board_rendering
from ferbench.benchmark.measures.resampling import resampled, score
from ferbench.benchmark.measures.statistics import bootstrap_interval, told_apart_p
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell

ARCHITECTURES = ("c3d", "cnn_lstm_attention", "vit_se", "difference_of_embeddings", "majority", "random", "oracle")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 cells: seven rows, two data sets, two folds."""
    folder = tmp_path_factory.mktemp("results")
    for architecture in ARCHITECTURES:
        for dataset in ("oulu_casia-twin", "ctbc-twin"):
            for fold in (0, 1):
                write_cell(folder, architecture, dataset=dataset, fold=fold, subjects=40)
    return folder


@pytest.fixture(autouse=True)
def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with an empty cache."""
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))


def test_render_what_was_rendered_before(benchmark: Any, results: Path, tmp_path: Path) -> None:
    benchmark.pedantic(board_rendering(results, tmp_path / "leaderboard.md"), rounds=3, warmup_rounds=1)


def test_scores_and_intervals_without_plots(benchmark: Any, results: Path) -> None:
    def intervals() -> list[object]:
        found = sections(read_records(results))
        return [table.comparison for section in found for table in section.tables]

    def forget() -> None:
        shutil.rmtree(Path(os.environ["FERBENCH_CACHE"]), ignore_errors=True)

    benchmark.pedantic(intervals, setup=forget, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("unit", ["subject", "sample"])
def test_bootstrap(benchmark: Any, unit: str) -> None:
    """10,000 resamples of 4,000 predictions, 8 classes, 200 subjects; a loop over scikit-learn takes 22 s."""
    rng = np.random.default_rng(0)
    labels, subjects = rng.integers(8, size=4000), rng.integers(200, size=4000)
    predicted = np.where(rng.random(4000) < 0.5, labels, rng.integers(8, size=4000))
    clusters = subjects if unit == "subject" else None
    benchmark.pedantic(bootstrap_interval, (labels, predicted, clusters, 8), rounds=5, warmup_rounds=1)


def test_fifty_times_a_loop_over_scikit_learn() -> None:
    """The same values, subject resamples of 4,000 predictions; tests/benchmark/test_statistics.py shows that a plain
    loop over copied samples gives them."""
    rng = np.random.default_rng(0)
    labels, subjects = rng.integers(8, size=4000), rng.integers(200, size=4000)
    predicted = np.where(rng.random(4000) < 0.5, labels, rng.integers(8, size=4000))
    began = time.perf_counter()
    found = resampled(labels, predicted, subjects, 8)[:, 0]
    ours = time.perf_counter() - began
    rows = [np.flatnonzero(subjects == subject) for subject in range(200)]
    rng, loops = np.random.default_rng(0), 100
    began = time.perf_counter()
    for value, drawn in zip(found, rng.integers(200, size=(loops, 200)), strict=False):
        picked = np.concatenate([rows[subject] for subject in drawn])
        f1 = f1_score(labels[picked], predicted[picked], average="macro", zero_division=0)
        assert value == pytest.approx(0.67 * f1 + 0.33 * accuracy_score(labels[picked], predicted[picked]), abs=1e-12)
    theirs = (time.perf_counter() - began) * len(found) / loops
    print(f"\n10,000 resamples: {ours:.2f} s against {theirs:.0f} s in a loop, {theirs / ours:.0f} times")
    assert theirs / ours >= 50


def test_whole_table(benchmark: Any) -> None:
    """25 architectures, 5 data sets, 3 seeds: every interval and every paired test, 480 samples of 80 subjects each."""
    rng = np.random.default_rng(0)
    labels, subjects = rng.integers(7, size=480), np.repeat(np.arange(80), 6)
    predicted = np.where(rng.random((75, 480)) < 0.5, labels, rng.integers(7, size=(75, 480)))
    groups = np.repeat(np.arange(25), 3)

    def table() -> None:
        for seed in range(5):
            drawn = resampled(labels, predicted, subjects, 7, seed=seed, groups=groups)
            told_apart_p(drawn, score(labels, predicted, 7), groups, 80)

    benchmark.pedantic(table, rounds=3, warmup_rounds=1)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10,050 cells: 30 rows, five data sets of 360 samples, 67 seeds; of one data set the subjects are unknown."""
    folder = tmp_path_factory.mktemp("many")
    names = [*(f"model_{number:02d}" for number in range(27)), "majority", "random", "oracle"]
    for dataset in ("aff_wild2-twin", "affectnet_small-twin", "ctbc-twin", "oulu_casia-twin", "sendv1-twin"):
        known = dataset != "affectnet_small-twin"
        for place, name in enumerate(names):
            for seed in range(67):
                skill, cost = 0.3 + 0.02 * place, {"params": 1e5 * 1.2**place, "macs": 1e6 * 1.3**place}
                write_cell(
                    folder, name, skill, dataset=dataset, seed=seed, subjects=20, subjects_known=known, cost=cost
                )
    return folder


@pytest.mark.parametrize("remembered", [False, True])
def test_ten_thousand_records(benchmark: Any, many: Path, tmp_path: Path, remembered: bool) -> None:
    """`make leaderboard` as a command: the first time, and when figures and pictures are remembered."""
    command = [
        sys.executable,
        "-m",
        "benchmark",
        "leaderboard",
        "--results",
        str(many),
        "--out",
        str(tmp_path / "b.md"),
    ]
    if remembered:
        subprocess.run(command, check=True)
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=1)
    pages = [page.read_text() for page in (many / "default").glob("*.md")]
    assert sum(page.count(" 67 x 1 |") for page in pages) == 150
    assert (tmp_path / "b.md").is_file()
