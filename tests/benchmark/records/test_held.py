"""A folder is held from its first moment to its last, whoever tidies up beside it."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
from pathlib import Path

import pytest

from ferbench.benchmark.records import held
from ferbench.benchmark.records.held import held_folder, remove_left


def test_what_nobody_holds_is_removed_and_what_is_held_stays(tmp_path: Path) -> None:
    left = tmp_path / f"a{'0' * 32}"
    left.mkdir()
    with held_folder(tmp_path, "a") as mine:
        (mine / "file").touch()
        remove_left(tmp_path, "a")
        assert list(tmp_path.iterdir()) == [mine]
        assert (mine / "file").exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", ["open", "flock"])
def test_one_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    module = {"open": os, "flock": fcntl}[moment]
    real, first = getattr(module, moment), True

    def tidied_up_before(*arguments: object) -> object:
        nonlocal first
        if first:
            first = False
            (folder,) = tmp_path.iterdir()
            folder.rmdir()
        return real(*arguments)

    monkeypatch.setattr(module, moment, tidied_up_before)
    with held_folder(tmp_path, "a") as mine:
        assert not first
        assert list(tmp_path.iterdir()) == [mine]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (tmp_path / f"a{'0' * 32}").symlink_to("elsewhere")
    remove_left(tmp_path, "a")
    assert (tmp_path / f"a{'0' * 32}" / "file").exists()


def test_without_locks_folders_are_made_and_none_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(held.fcntl, "flock", no_locks)
    with held_folder(tmp_path, "a") as one, held_folder(tmp_path, "a") as other:
        remove_left(tmp_path, "a")
        assert sorted(tmp_path.iterdir()) == sorted([one, other])
    assert not list(tmp_path.iterdir())


def test_many_at_once_take_nothing_from_each_other(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert pool.starmap(_hold_many, [(tmp_path, 300)] * 3) == [0] * 3
    assert not list(tmp_path.iterdir())


def _hold_many(beside: Path, times: int) -> int:
    """How often a folder was gone while it was held."""
    lost = 0
    for _ in range(times):
        remove_left(beside, "a")
        with held_folder(beside, "a") as mine:
            (mine / "file").touch()
            lost += not (mine / "file").exists()
    return lost
