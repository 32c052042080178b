"""Rendering and its dearest part; run by `make perf`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.board.sections import sections
from benchmark.measured import board_rendering
from benchmark.records import read_records
from benchmark.statistics import bootstrap_interval
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


def test_render(benchmark: Any, results: Path, tmp_path: Path) -> None:
    benchmark.pedantic(board_rendering(results, tmp_path / "leaderboard.md"), rounds=3, warmup_rounds=1)


def test_scores_and_intervals_without_plots(benchmark: Any, results: Path) -> None:
    def intervals() -> list[object]:
        found = sections(read_records(results))
        return [row.interval for section in found for table in section.tables for row in table.rows]

    benchmark.pedantic(intervals, rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("unit", ["subject", "sample"])
def test_bootstrap(benchmark: Any, unit: str) -> None:
    """10,000 resamples of 4,000 predictions, 8 classes, 200 subjects; a loop over scikit-learn takes 22 s."""
    rng = np.random.default_rng(0)
    labels, subjects = rng.integers(8, size=4000), rng.integers(200, size=4000)
    predicted = np.where(rng.random(4000) < 0.5, labels, rng.integers(8, size=4000))
    clusters = subjects if unit == "subject" else None
    benchmark.pedantic(bootstrap_interval, (labels, predicted, clusters, 8), rounds=5, warmup_rounds=1)
