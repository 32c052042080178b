"""A folder is replaced in one step, and what a killed writer left is nobody's harm."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ferbench.benchmark.records import folders
from ferbench.benchmark.records.folders import exchange, redone, settle, settle_below


def write(folder: Path, text: str) -> None:
    with redone(folder) as draft:
        (draft / "file").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "a", "old")
    (tmp_path / "a" / "only in the old one").touch()
    write(tmp_path / "a", "new")
    assert (names(tmp_path), names(tmp_path / "a")) == (["a"], ["file"])
    assert (tmp_path / "a" / "file").read_text() == "new"


def test_an_error_leaves_the_old_one(tmp_path: Path) -> None:
    write(tmp_path / "a", "old")

    def fail(draft: Path) -> None:
        (draft / "file").write_text("new")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), redone(tmp_path / "a") as draft:
        fail(draft)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "file").read_text() == "old"


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to("elsewhere")
    write(tmp_path / "a", "new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_text() == "new"


def test_the_next_writer_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    left, foreign = tmp_path / f".a.{'0' * 32}", [".a", ".a.backup", f".b.{'0' * 32}", "a.before"]
    for name in (left.name, *foreign):
        (tmp_path / name).mkdir()
    write(tmp_path / "a", "new")
    assert names(tmp_path) == sorted(["a", *foreign])


def test_a_draft_whose_writer_lives_stays(tmp_path: Path) -> None:
    with redone(tmp_path / "a") as slow:
        write(tmp_path / "a", "quick")
        assert (tmp_path / "a" / "file").read_text() == "quick"
        (slow / "file").write_text("slow")
    assert (tmp_path / "a" / "file").read_text() == "slow"
    assert names(tmp_path) == ["a"]


def test_one_that_stepped_aside_is_put_back(tmp_path: Path) -> None:
    """As on a file system that cannot exchange two folders, where the writer is killed between its two steps."""
    for name in ("a", "b"):
        write(tmp_path / name, "old")
        folders._step_aside(tmp_path / name)
        assert not (tmp_path / name).exists()
    settle(tmp_path / "a")
    assert (tmp_path / "a" / "file").read_text() == "old"
    settle_below(tmp_path)
    assert names(tmp_path) == ["a", "b"]


def test_two_folders_change_places(tmp_path: Path) -> None:
    write(tmp_path / "a", "a")
    write(tmp_path / "b", "b")
    exchange(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a" / "file").read_text() == "b"
    assert (tmp_path / "b" / "file").read_text() == "a"
    with pytest.raises(FileNotFoundError) as error:
        exchange(tmp_path / "a", tmp_path / "nowhere")
    assert error.value.errno == errno.ENOENT
