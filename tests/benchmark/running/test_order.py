"""Which job of a run is started first: what others wait for, then what takes longest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from written_cells import write_cell

from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell, Twin
from ferbench.benchmark.records import installation
from ferbench.benchmark.running.job import Job
from ferbench.benchmark.running.order import expected_seconds, longest_first

CELL = Cell("mine", "", "oulu_casia", 0, 0, "tiny", 1.0, 100, data_sets.get("oulu_casia").protocol, Twin())


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the published records."""
    monkeypatch.setattr(installation, "CHECKOUT", tmp_path)
    return tmp_path / "results" / "published"


def order(results: Path, *rows: str, dataset: str = "oulu_casia-twin") -> list[str]:
    """Architectures in the order in which their cells are started."""
    jobs = []
    for row in rows:
        cell = replace(CELL, architecture=row)
        job = SimpleNamespace(cell=cell, location=SimpleNamespace(name=dataset), folder=cell.folder(results, dataset))
        jobs.append(cast(Job, job))
    return [job.cell.architecture for job in longest_first(jobs, expected_seconds(jobs, results), results)]


def took(results: Path, architecture: str, seconds: float, **changes: Any) -> None:
    write_cell(results, architecture, timing={"total_s": seconds}, **{"suite": "mine", **changes})


def test_the_longest_comes_first(tmp_path: Path, published: Path) -> None:
    for name, seconds in {"c3d": 3, "tsm": 9, "majority": 0.1, "vit_se": 5}.items():
        took(tmp_path, name, seconds)
    assert order(tmp_path, "majority", "c3d", "tsm", "vit_se") == ["majority", "tsm", "vit_se", "c3d"]


def test_what_others_start_from_comes_before_all(tmp_path: Path, published: Path) -> None:
    for name, seconds in {"cnn": 1, "c3d": 3, "cnn_rnn": 9}.items():
        took(tmp_path, name, seconds)
    assert order(tmp_path, "cnn_rnn", "c3d", "cnn") == ["cnn", "cnn_rnn", "c3d"]
    assert order(tmp_path, "c3d", "cnn") == ["c3d", "cnn"]  # nobody is there who starts from it


def test_what_never_ran_or_failed_may_be_long_and_keeps_its_place_among_the_unknown(
    tmp_path: Path, published: Path
) -> None:
    took(tmp_path, "c3d", 30)
    write_cell(tmp_path, "tsm", suite="mine", error="over its time limit of 100 s")
    assert order(tmp_path, "c3d", "vit_se", "tsm") == ["vit_se", "tsm", "c3d"]


def test_the_nearest_record_counts(tmp_path: Path, published: Path) -> None:
    """This suite before others, this data set before others, here before the published, the median of several."""
    took(tmp_path, "c3d", 10)
    took(tmp_path, "c3d", 99, suite="other")
    took(published, "c3d", 99)
    for seed, seconds in enumerate((1, 11, 99)):
        took(tmp_path, "tsm", seconds, suite="other", seed=seed)
    took(published, "tsm", 0.1, suite="other")
    took(published, "vit_se", 12)
    took(tmp_path, "vivit", 13, dataset="ctbc-twin")
    took(tmp_path, "vivit", 0.1, dataset="ctbc-twin", size="full", suite="full")
    took(tmp_path, "timm-test_resnet", 14)
    assert order(tmp_path, "c3d", "tsm", "vit_se", "vivit", "timm:test_resnet") == [
        "timm:test_resnet", "vivit", "vit_se", "tsm", "c3d",
    ]  # fmt: skip


def test_a_variant_takes_what_its_base_took_until_it_has_run(tmp_path: Path, published: Path) -> None:
    for name, seconds in {"tsm": 9, "c3d": 5, "c3d@shuffled": 10}.items():
        took(tmp_path, name, seconds)
    assert order(tmp_path, "c3d", "tsm@shuffled", "c3d@shuffled") == ["c3d@shuffled", "tsm@shuffled", "c3d"]


def test_records_that_were_not_trained_say_nothing_of_what_a_cell_takes(tmp_path: Path, published: Path) -> None:
    took(tmp_path, "c3d", 30, suite="other")
    took(tmp_path, "cnn", 2, suite="other")
    write_cell(tmp_path, "cnn", suite="other-transfer", dataset="raf_db-to-ck_plus-twin", timing={"test_s": 900.0})
    assert order(tmp_path, "cnn", "c3d") == ["c3d", "cnn"]
