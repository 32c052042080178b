"""The verbs that read records (publish, leaderboard), and what `data verify` makes of what it finds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferbench.benchmark.commands import data, leaderboard, publish
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import locate_folder, open_data, read_corpus_once
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell
from tests.datasets.made_corpus import made_corpus


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout whose `results/published` the verbs use."""
    published = tmp_path / "results" / "published"
    for module in (publish, leaderboard):
        monkeypatch.setattr(module, "PUBLISHED", published)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_publishing_replaces_a_suite_and_leaves_real_data_at_home(checkout: Path) -> None:
    write_cell(checkout / "results" / "published", "gone_since")
    write_cell(checkout / "results", "c3d")
    write_cell(checkout / "results", "c3d", dataset="oulu_casia", source="real")
    assert publish.publish_records(Path("results"), "default") == 1
    kept = read_records(checkout / "results" / "published")
    assert [(r.data["architecture"], r.data["source"]) for r in kept] == [("c3d", "twin")]
    assert "results/published/default/plots" in (checkout / "leaderboard.md").read_text()
    assert (checkout / "results/published/default/oulu_casia-twin.md").is_file()
    assert not (checkout / "results/leaderboard.md").exists()


def test_publishing_passes_over_what_a_killed_one_left_and_removes_it(checkout: Path) -> None:
    published = checkout / "results" / "published"
    write_cell(published, "tsm")
    left = [published / ".default" / "oulu_casia-twin", published / f".default.{'0' * 32}" / "default"]
    for folder in left:
        (folder / "c3d" / "seed0-fold0").mkdir(parents=True)
        (folder / "c3d" / "seed0-fold0" / "record.json").write_text("{")
    assert leaderboard.render_board(Path("results/published")).out == Path("leaderboard.md")
    write_cell(checkout / "results", "c3d")
    assert publish.publish_records(Path("results"), "default") == 1
    assert [folder.name for folder in published.iterdir()] == ["default"]


def test_publishing_removes_nothing_but_published_records(checkout: Path) -> None:
    """A suite that is named as the folder of the gate's baseline is."""
    write_cell(checkout / "results", "c3d", suite="gate")
    baseline = checkout / "results" / "published" / "gate" / "baseline.json"
    baseline.parent.mkdir(parents=True)
    baseline.touch()
    with pytest.raises(RequestError, match="gate: holds something other than published records"):
        publish.publish_records(Path("results"), "gate")
    assert baseline.is_file()


def test_a_published_row_loses_no_seed(checkout: Path) -> None:
    for seed in (0, 1, 2):
        write_cell(checkout / "results" / "published", "c3d", seed=seed)
    write_cell(checkout / "results", "c3d")
    with pytest.raises(
        RequestError, match=r"oulu_casia-twin/c3d: seed 1 is published and would .* --suite default --seeds 3`"
    ):
        publish.publish_records(Path("results"), "default")
    assert len(read_records(checkout / "results" / "published")) == 3


def test_published_records_cannot_be_published_again(checkout: Path) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    with pytest.raises(RequestError, match="these records are the published ones"):
        publish.publish_records(Path("results/published"), "default")
    assert len(read_records(checkout / "results" / "published")) == 1


def test_nothing_to_publish_is_told(checkout: Path) -> None:
    with pytest.raises(
        RequestError, match="no records of suite 'default' on twins: run `python -m benchmark run --suite default`"
    ):
        publish.publish_records(Path("results"), "default")


def test_a_fresh_checkout_renders_the_published_board(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    assert leaderboard.render_board(Path("results")).out == Path("leaderboard.md")
    assert "taking the published ones" in capsys.readouterr().err
    assert (checkout / "leaderboard.md").is_file()
    with pytest.raises(RequestError, match="no records there: run `python -m benchmark run` first"):
        leaderboard.render_board(checkout / "elsewhere")


def test_only_the_board_of_the_published_records_lies_at_the_top(checkout: Path) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    committed = leaderboard.render_board(Path("results/published")).out
    before = (checkout / "leaderboard.md").read_bytes()
    write_cell(checkout / "results", "tsm")
    own = leaderboard.render_board(Path("results"))
    elsewhere = leaderboard.render_board(Path("results"), Path("docs/board.md")).out
    assert (committed, own.out, elsewhere) == (
        Path("leaderboard.md"),
        Path("results/leaderboard.md"),
        Path("docs/board.md"),
    )
    assert own.picks["default"].startswith("What to pick, suite default, twins (synthetic data), size tiny:\n")
    assert (checkout / "leaderboard.md").read_bytes() == before
    assert "tsm" in (checkout / "results/default/oulu_casia-twin.md").read_text()


def test_the_committed_board_is_found_from_another_folder(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    (checkout / "deep").mkdir()
    monkeypatch.chdir(checkout / "deep")
    assert leaderboard.render_board(Path("../results/published")).out == checkout / "leaderboard.md"


# data verify


def test_files_with_the_same_content_are_grouped_and_a_video_is_one_file() -> None:
    corpus = replace(made_corpus(["anna"], [7]), frames=("a", "b", "v.mp4#t=0.0", "v.mp4#t=1.0", "w.mp4#t=0.0",
                                                         "w.mp4#t=1.0", "c"))  # fmt: skip
    content = np.array([5, 0, 7, 8, 7, 8, 5], dtype=np.uint64)
    assert data.duplicates(corpus, content) == [["a", "c"], ["v.mp4", "w.mp4"]]
    assert data.duplicates(corpus, np.array([1, 0, 3, 3, 5, 6, 0], dtype=np.uint64)) == []


def test_subjects_in_two_official_parts_are_named() -> None:
    subjects = ["anna", "ben", "anna", None, None, "cleo"]
    parts = ["train", "train", "test", "train", "test", "validation"]
    assert data.shared_subjects(made_corpus(subjects, parts=parts)) == ["anna"]
    assert data.shared_subjects(made_corpus(subjects)) == []


def test_a_copy_that_stopped_half_way_cannot_be_used_and_says_so(twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "oulu_casia", tmp_path / "copy")
    files = sorted(copy.rglob("*.jpeg"))
    for file in files[-40:]:
        file.write_bytes(b"")
    found = data.verify("oulu_casia", copy)
    assert not found.usable
    assert found.copy == "half-copied (0 missing, 40 cut short): copy the rest"
    assert found.cut_short == [file.relative_to(copy).as_posix() for file in files[-40:]]
    assert (found.missing, found.damaged) == ([], [])
    assert "FAULT: 40 of " in str(found)
    assert found.counts["tracks"] == found.counts["samples"]
    assert " tracks" not in str(found), "where each sample is a track they say nothing more"


def test_a_stated_count_of_what_is_not_counted_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stated = replace(data_sets.get("oulu_casia"), official_counts={"subjects": 80, "images": 200})
    monkeypatch.setattr(data_sets, "get", lambda name: stated)
    with pytest.raises(
        RequestError, match=r"oulu_casia: official_counts has 'images', which is not counted: use samples"
    ):
        data.verify("oulu_casia", tmp_path)


def test_a_read_only_cache_serves_what_it_holds_and_says_what_to_do_for_the_rest(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    location = locate_folder("oulu_casia", twins / "oulu_casia", data_sets.get("oulu_casia").protocol)
    _, store = open_data(location, 16, lambda _: None)
    shutil.rmtree(tmp_path / "cache" / "locks")
    (tmp_path / "cache" / "locks").write_text("")  # no lock can be taken, as where nothing can be written
    _, again = open_data(location, 16, lambda _: None)
    assert np.array_equal(again.content, store.content)
    with pytest.raises(RequestError, match=r"locks: cannot be written .*: set FERBENCH_CACHE to a folder that can be"):
        open_data(location, 24, lambda _: None)


def test_files_that_change_between_the_plan_and_the_decoding_are_noticed(
    twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    copy = shutil.copytree(twins / "oulu_casia", tmp_path / "copy")
    location = locate_folder("oulu_casia", copy, data_sets.get("oulu_casia").protocol)
    next(copy.rglob("*.jpeg")).write_bytes(b"other")
    with pytest.raises(RequestError, match="files there have changed since the run began: run again"):
        open_data(location, 16, lambda _: None)


def test_a_process_reads_a_folder_once_for_all_its_cells(twins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = locate_folder("oulu_casia", twins / "oulu_casia", data_sets.get("oulu_casia").protocol)
    first = read_corpus_once(location)
    monkeypatch.setattr("ferbench.benchmark.planning.data.read_corpus", lambda *_: pytest.fail("read again"))
    assert read_corpus_once(location) is first
    with pytest.raises(pytest.fail.Exception, match="read again"):
        read_corpus_once(replace(location, identity="of other files"))
