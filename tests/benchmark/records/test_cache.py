"""What killed writers leave in the cache is removed, and what nobody will miss, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from re import fullmatch

import numpy as np
import pytest
import torch
from torch import nn

from ferbench.benchmark.cell import shelf_on
from ferbench.benchmark.learning.features import features
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import DAY, forget_old
from ferbench.datasets.frames import FrameStore

SHELF, NAME = "features/0123456789abcdef", "0123456789abcdef" * 2


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    return tmp_path


def aged(file: Path, days: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"something")
    ago = time.time() - days * DAY
    os.utime(file, (ago, ago))
    return file


@pytest.mark.parametrize(
    "name", [f"{SHELF}/{NAME}.npy", f"{SHELF}/{NAME}.json", "trained/a.safetensors", "board/a.png"]
)
def test_drafts_of_the_killed_are_forgotten_after_a_day(cache: Path, name: str) -> None:
    (cache / name).parent.mkdir(parents=True)
    with drafted(cache / name) as old, drafted(cache / name) as young:
        aged(old, 1.1)
        aged(young, 0.9)
        forget_old()
        assert not old.exists()
        assert young.exists()
        old.write_bytes(b"something")


def test_features_are_kept_for_a_month(cache: Path) -> None:
    old = [aged(cache / SHELF / f"{NAME}.{kind}", 31) for kind in ("npy", "json")]
    young = aged(cache / SHELF / f"{NAME[::-1]}.npy", 29)
    forget_old()
    assert not any(file.exists() for file in old)
    assert young.exists()


@pytest.mark.parametrize(
    "name",
    [
        "project/.env", "features/.gitignore", "features/.env", "board/.gitignore", "board/a.png", "trained/a.json",
        ".netrc", "frames/x/frames.npy", "trained/.nfs0123456789abcdef", "twins/x/twin.json", "features/a.npy",
        "features/mine/a.npy", f"features/mine/{NAME}.npy", f"{SHELF}/a.npy",
    ],
)  # fmt: skip
def test_what_else_lies_there_is_left_alone(cache: Path, name: str) -> None:
    file = aged(cache / name, 400)
    forget_old()
    assert file.exists()


def test_without_a_cache_there_is_nothing_to_forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "none"))
    forget_old()
    assert not (tmp_path / "none").exists()


def test_the_names_are_those_that_are_given(cache: Path) -> None:
    shelf = shelf_on(torch.device("cpu"))
    assert shelf is not None
    assert fullmatch("[0-9a-f]{16}", shelf.folder.name)
    pixels = np.zeros((3, 2, 2, 3), dtype=np.uint8)
    store = FrameStore(pixels, np.arange(1, 4, dtype=np.uint64), np.arange(3))
    features(nn.Linear(2, 2), lambda frames: torch.zeros(len(frames), 2), np.arange(3), store, shelf, "")
    made = [*shelf.folder.iterdir()]
    assert len(made) == 2
    for file in made:
        aged(file, 31)
    forget_old()
    assert not list(shelf.folder.iterdir())
