"""The pages of a board: that every link leads somewhere, what is on which page, and whose files are removed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.board.pages import MARK
from ferbench.benchmark.errors import RequestError
from tests.benchmark.board.links import links_of
from tests.benchmark.written_cells import write_cell

CHECKOUT = Path(__file__).parents[3]


def write_suites(results: Path) -> None:
    """Two suites, one of an odd name; of one data set two protocols and two sizes; a data set of an odd name."""
    for name in ("c3d", "tsm"):
        write_cell(results, name)
        write_cell(results, f"{name}@frames=4")
        write_cell(results, name, seed=1, protocol={"image_frames": 1})
        write_cell(results, name, seed=2, size="small")
        write_cell(results, name, dataset="my faces", source="real")
        write_cell(results, name, suite="odd suite", dataset="ctbc-twin")


def pages_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.md"))


def test_every_link_of_every_page_leads_to_a_file(tmp_path: Path) -> None:
    results = tmp_path / "results"
    for name, changes in (("c3d", {}), ("tsm", {"protocol": {"image_frames": 1}}), ("vit", {"suite": "odd suite"})):
        write_cell(results, name, **changes)
    for out in ("leaderboard.md", "results/leaderboard.md", "docs/deep/board.md", "results/default/board.md"):
        board = tmp_path / out
        render(results, board)
        linked = {page: set(links_of(page)) for page in pages_below(tmp_path)}
        assert [link for links in linked.values() for link in links if not link.is_file()] == []
        assert {link for link in linked[board] if link.suffix == ".md"} == linked.keys() - {board}
        board.unlink()


@pytest.mark.usefixtures("no_plots")
def test_pages_are_the_same_wherever_the_board_lies(tmp_path: Path) -> None:
    write_suites(tmp_path / "results")
    contents = []
    for out in ("leaderboard.md", "elsewhere/deep/board.md"):
        render(tmp_path / "results", tmp_path / out)
        contents.append({page: page.read_bytes() for page in pages_below(tmp_path / "results")})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5


@pytest.mark.usefixtures("no_plots")
def test_a_data_set_has_one_page_with_all_that_was_asked_of_it(tmp_path: Path) -> None:
    write_suites(tmp_path)
    render(tmp_path, tmp_path / "leaderboard.md")
    assert [page.relative_to(tmp_path).as_posix() for page in pages_below(tmp_path)] == [
        "default/README.md",
        "default/my faces.md",
        "default/oulu_casia-twin.md",
        "leaderboard.md",
        "odd suite/README.md",
        "odd suite/ctbc-twin.md",
    ]
    text = (tmp_path / "default/oulu_casia-twin.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Twins (synthetic data), size small",
        "## Twins (synthetic data), size tiny, protocol A",
        "## Twins (synthetic data), size tiny, protocol B",
    ]
    assert text.count("### Ablation") == 1


@pytest.mark.usefixtures("no_plots")
def test_pages_and_plots_of_an_earlier_board_are_removed_and_nothing_else(tmp_path: Path) -> None:
    suite = tmp_path / "default"
    gone = write_cell(tmp_path, "c3d").parent.parent
    write_cell(tmp_path, "c3d", dataset="ctbc-twin")
    render(tmp_path, tmp_path / "leaderboard.md")
    assert (suite / "oulu_casia-twin.md").is_file()
    (suite / "plots").mkdir()
    for name in ("old.png", "old.svg", "notes.txt"):
        (suite / "plots" / name).touch()
    (suite / "mine.md").write_text(f"What I think of them.\n{MARK}\n")
    shutil.rmtree(gone)
    render(tmp_path, tmp_path / "leaderboard.md")
    assert {file.name for file in suite.iterdir()} == {"README.md", "ctbc-twin", "ctbc-twin.md", "mine.md", "plots"}
    assert [file.name for file in (suite / "plots").iterdir()] == ["notes.txt"]


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("name", ["README.md", "oulu_casia-twin.md"])
def test_a_file_of_somebody_else_is_not_written_over(tmp_path: Path, name: str) -> None:
    write_cell(tmp_path, "c3d")
    own = tmp_path / "default" / name
    own.write_text("What I think of these results.\n")
    with pytest.raises(RequestError, match=rf"default/{name}: the board has a page of that name, .* move it elsewhere"):
        render(tmp_path, tmp_path / "leaderboard.md")
    assert own.read_text() == "What I think of these results.\n"
    assert pages_below(tmp_path) == [own]


def test_links_of_the_committed_board_lead_to_committed_files() -> None:
    board = CHECKOUT / "leaderboard.md"
    pages = {link for link in links_of(board) if link.suffix == ".md"}
    published = (CHECKOUT / "results/published").glob("*/*.md")
    assert pages == {page for page in published if page.parent.name != "tuning"}  # which docs/tuning.md links to
    assert [link for page in {board, *pages} for link in links_of(page) if not link.is_file()] == []


def test_the_committed_board_is_short_and_github_shows_every_page_whole() -> None:
    board = CHECKOUT / "leaderboard.md"
    assert len(board.read_text(encoding="utf-8").splitlines()) <= 320
    assert all(page.stat().st_size < 512_000 for page in [board, *(CHECKOUT / "results/published").glob("*/*.md")])
