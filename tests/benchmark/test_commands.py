"""The verbs that read records: publish, leaderboard, profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.commands import leaderboard, publish
from benchmark.commands.profile import profile_rows
from benchmark.errors import RequestError
from benchmark.records import read_records
from benchmark.registry import architectures
from tests.benchmark.written_cells import write_cell


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


def test_published_records_cannot_be_published_again(checkout: Path) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    with pytest.raises(RequestError, match="these records are the published ones"):
        publish.publish_records(Path("results/published"), "default")
    assert len(read_records(checkout / "results" / "published")) == 1


def test_nothing_to_publish_is_told(checkout: Path) -> None:
    with pytest.raises(RequestError, match="no records of suite 'default' on twins: run `make bench SUITE=default`"):
        publish.publish_records(Path("results"), "default")


def test_a_fresh_checkout_renders_the_published_board(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cell(checkout / "results" / "published", "c3d")
    assert leaderboard.render_board(Path("results"), Path("leaderboard.md")) == Path("leaderboard.md")
    assert "rendering the published ones" in capsys.readouterr().out
    with pytest.raises(RequestError, match="no records there: run `make bench` first"):
        leaderboard.render_board(checkout / "elsewhere", Path("leaderboard.md"))


def test_profile_measures_each_architecture_that_is_named() -> None:
    (row,) = profile_rows(["vit_se"], "tiny", "cpu")
    assert (row["architecture"], row["input"]) == ("vit_se", "3x48x48")
    assert row["params_m"] == pytest.approx(0.122, abs=0.001)
    assert row["latency_ms_p50"] <= row["latency_ms_p95"]
    assert row["samples_per_s"] > 0
    with pytest.raises(RequestError, match="unknown size 'huge'"):
        profile_rows([], "huge", "cpu")
    with pytest.raises(RequestError, match="did you mean 'vit_se'"):
        profile_rows(["vit_sse"], "tiny", "cpu")
    assert "vit_se" in architectures.names()
