"""What killed writers leave in the cache is removed, and what nobody will miss, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmark.atomic import drafted
from benchmark.cache import DAY, forget_old


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
    "name", ["features/code/a.npy", "features/code/a.json", "trained/a.safetensors", "board/a.png"]
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
    old, young = aged(cache / "features/code/a.npy", 31), aged(cache / "features/code/b.npy", 29)
    forget_old()
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize(
    "name",
    [
        "project/.env", "features/.gitignore", "features/.env", "board/.gitignore", "board/a.png", "trained/a.json",
        ".netrc", "frames/x/frames.npy", "trained/.nfs0123456789abcdef", "twins/x/twin.json", "features/a.npy",
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
