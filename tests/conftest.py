"""What the tests share: a cache of their own, and tiny twins that are rendered once a session."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.git import own_environment
from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.datasets.corpus import DataError
from ferbench.datasets.faces.detector import Detector
from ferbench.datasets.synthetic.writer import write_film

SCALE = {"oulu_casia": 0.05, "affectnet_small": 0.002}
"""4 subjects, and 77 faces."""

Ferbench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def cache() -> Iterator[Path]:
    """FERBENCH_CACHE of the whole session; processes that a test starts have it too."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="ferbench-tests-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERBENCH_CACHE", folder)
        patch.delenv("FERBENCH_DATA", raising=False)
        for name in set(os.environ) - set(own_environment()):  # the tests may be run from a git hook
            patch.delenv(name)
        yield Path(folder)


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for `--data`: a tiny twin of each data set in its default layout. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("data")
    for name, scale in SCALE.items():
        data_set = data_sets.get(name)
        write_film(data_set.film(scale, 0, data_set.protocol, data_set.layouts[0]), folder / name)
    return folder


@pytest.fixture(scope="session")
def ferbench() -> Ferbench:
    """Runs `python -m benchmark ...` as a user does; keywords are environment variables."""

    def call(*words: object, timeout: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "benchmark", *map(str, words)],
            cwd=CHECKOUT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    return call


@pytest.fixture(scope="session")
def finder() -> Detector:
    """What finds faces; the test is skipped where it is not installed."""
    try:
        return Detector()
    except DataError as error:
        pytest.skip(str(error))
