"""The parts of the harness whose speed the gate watches, by the same functions (`benchmark.gate.measured`)."""

from __future__ import annotations

from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from ferbench.benchmark.gate import measured
from ferbench.benchmark.records.installation import CHECKOUT


def test_store_read(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    benchmark.pedantic(measured.store_read(tmp_path), rounds=20, warmup_rounds=3, iterations=3)


def test_help(benchmark: BenchmarkFixture) -> None:
    benchmark.pedantic(measured.help_text(CHECKOUT), rounds=5, warmup_rounds=1)
