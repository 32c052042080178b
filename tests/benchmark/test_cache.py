"""What killed writers leave in the cache is removed, and nothing else is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from benchmark.atomic import drafted
from benchmark.cache import DAY, forget_drafts


def test_old_drafts_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    folder = tmp_path / "features"
    folder.mkdir()
    finished, other_folder = folder / "a.npy", folder / ".folder"
    finished.write_bytes(b"all of it")
    other_folder.mkdir()
    with drafted(folder / "b.npy") as old, drafted(folder / "c.npy") as young:
        old.write_bytes(b"half")
        young.write_bytes(b"half")
        ago = time.time() - DAY - 60
        for each in (finished, other_folder, old):
            os.utime(each, (ago, ago))
        forget_drafts()
        assert not old.exists()
        assert young.exists()
        assert finished.exists()
        assert other_folder.exists()
        old.write_bytes(b"all of it")


def test_without_a_cache_there_is_nothing_to_forget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "none"))
    forget_drafts()
    assert not (tmp_path / "none").exists()
