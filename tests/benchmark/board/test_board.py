"""The board, rendered whole from cells that never ran.

`GOLDEN=write python -m pytest tests/benchmark/board/test_board.py` writes the golden boards anew; read the
difference then.
"""

from __future__ import annotations

import gc
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ferbench.benchmark.board import forked
from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.board.markdown import Marks, amount, escape
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.sections import sections
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import Record, digest_of, read_records
from tests.benchmark.board.links import links_of
from tests.benchmark.written_cells import rewrite_predictions, write_cell

GOLDEN = Path(__file__).parent / "golden"
AFFECTNET: dict[str, Any] = {
    "dataset": "affectnet_small-twin",
    "classes": ["Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt"],
    "subjects_known": False,
    "absent_classes": ["Contempt"],
    "protocol": {"folds": 1, "neutral": "training_neutral", "release": "2021", "fraction": 0.1},
}


def write_suite(results: Path) -> None:
    """Two twins and a real data set; two folds, two seeds, a still clip, a failed cell, one that nobody finished."""
    for fold in (0, 1):
        write_cell(results, "vit_se", 0.6, title="ViT_SE", view="image", fold=fold)
        write_cell(results, "vit_se", 0.6, title="ViT_SE", view="image", fold=fold, seed=1)
        write_cell(results, "majority", title="Majority", fold=fold)
        write_cell(results, "random", 0.0, title="Random draw", fold=fold)
        write_cell(results, "oracle", 0.95, title="Oracle", fold=fold)
    write_cell(results, "c3d", 0.4, title="C3D", cost={"macs": 2.5e9, "latency_ms_p50": 20.0, "latency_ms_p95": 30.0})
    write_cell(results, "c3d", title="C3D", fold=1, error="out of time: 600 s | raise `time_limit`\nor <wait>")
    write_cell(results, "tsm", title="tsm", error="the worker crashed (signal 11)")
    write_cell(
        results, "tsm", 0.4, title="TSM", **{**AFFECTNET, "notes": ["still clip: every frame is the same image"]}
    )
    still = ["still clip: every frame is the same image"]
    write_cell(results, "c3d", 0.3, title="C3D", notes=still, **AFFECTNET)
    write_cell(results, "vit_se", 0.5, title="ViT_SE", view="image", environment={"threads": 2}, **AFFECTNET)
    write_cell(results, "majority", title="Majority", **AFFECTNET)
    entry = {"suite": "entries", "size": "any", "kind": "entry", "view": "entry", "cost": {}}
    for fold in (0, 1):
        folder = write_cell(
            results, "our-net", 0.55, title="Our net", tier="scored here", fold=fold, **entry,
            notes=["predictions of A. Person, given as logits", "coverage 97.9%: a missing answer is a wrong one"],
            counts={"test_samples": 144, "answered_samples": 141},
        )  # fmt: skip
        data = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps({**data, "cost": None}))
    real = {"suite": "full", "size": "full", "source": "real", "dataset": "oulu_casia"}
    write_cell(results, "vit_se", 0.5, title="ViT_SE", view="image", **real)
    write_cell(results, "c3d", 0.5, title="C3D", **real)
    write_cell(results, "tsm", 0.5, title="TSM", **real)


def golden(name: str, found: Path) -> None:
    """Compares a rendered board, or one page of it, whole with the one that is kept."""
    kept = GOLDEN / name
    if os.environ.get("GOLDEN") == "write":
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(found.read_bytes())
    assert found.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")


def pages_of(folder: Path) -> dict[str, Path]:
    """The board and all of its pages below a folder, by their paths in it."""
    return {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*.md"))}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.*")) if file.is_file()}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results` and the `leaderboard.md` rendered from them."""
    folder = tmp_path_factory.mktemp("board")
    write_suite(folder / "results")
    render(folder / "results", folder / "leaderboard.md")
    return folder


def test_whole_board(board: Path) -> None:
    found = pages_of(board)
    for name, file in found.items():
        golden(f"whole/{name}", file)
    assert list(found) == list(pages_of(GOLDEN / "whole"))


def test_every_picture_is_there_and_no_other(board: Path) -> None:
    """As PNG, and as the SVG that it leads to."""
    linked = {link for page in pages_of(board).values() for link in links_of(page) if link.suffix != ".md"}
    assert linked == {file for kind in ("png", "svg") for file in board.rglob(f"*.{kind}")}
    starts = {".png": b"\x89PNG", ".svg": b"<?xml"}
    assert all(link.read_bytes().startswith(starts[link.suffix]) for link in linked)


def test_same_records_in_another_place_and_order_give_the_same_bytes(
    board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(board / "results", tmp_path / "results", ignore=shutil.ignore_patterns("plots", "*.md"))
    shuffled = read_records(tmp_path / "results")
    random.Random(0).shuffle(shuffled)
    monkeypatch.setattr("ferbench.benchmark.board.reading.read_records", lambda results: shuffled)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path.with_name("another-cache")))  # so that all is made anew
    render(tmp_path / "results", tmp_path / "leaderboard.md")
    assert contents(tmp_path) == contents(board)


def test_many_records_give_the_bytes_of_few(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their tables are computed and their plots drawn on all cores, and their files are hashed while they are read."""
    shutil.copytree(board / "results", tmp_path / "results", ignore=shutil.ignore_patterns("plots", "*.md"))
    monkeypatch.setattr("ferbench.benchmark.board.reading.MANY", 2)
    monkeypatch.setattr("ferbench.benchmark.board.forked.cores", lambda: 2)
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path.with_name("cache-of-many")))
    numbers: list[int] = []
    monkeypatch.setattr(
        "ferbench.benchmark.board.plots.on_all_cores",
        lambda jobs: numbers.append(len(jobs)) or forked.on_all_cores(jobs),
    )
    frozen = gc.get_freeze_count()
    for _ in ("the first time", "when all is remembered"):
        render(tmp_path / "results", tmp_path / "leaderboard.md")
        assert contents(tmp_path) == contents(board)
    assert numbers[0] > 2 * numbers[1]
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


@pytest.mark.parametrize("cores", [1, 2])
def test_many_records_are_read_with_their_digests(board: Path, monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    few = read_records(board / "results")
    monkeypatch.setattr("ferbench.benchmark.board.reading.MANY", 2)
    monkeypatch.setattr("ferbench.benchmark.board.reading.cores", lambda: cores)
    with all_records(board / "results") as many:
        assert [record.path for record in many] == [record.path for record in few]
        assert all(("digest" in vars(record)) == (cores == 2) for record in many)
        assert [record.digest for record in many] == [record.digest for record in few]


def test_a_digest_of_what_was_replaced_meanwhile_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_cell(tmp_path, "c3d", 0.5)
    write_cell(tmp_path, "tsm", 0.5)
    monkeypatch.setattr("ferbench.benchmark.board.reading.MANY", 2)
    monkeypatch.setattr("ferbench.benchmark.board.reading.cores", lambda: 2)

    def hashed(folder: Path) -> str:
        found = digest_of(folder)
        (tmp_path / f"hashed {folder.parent.name}").touch()
        return found

    def slow(results: Path) -> list[Record]:
        for _ in range(600):
            if (tmp_path / "hashed c3d").exists():
                break
            time.sleep(0.1)
        write_cell(tmp_path, "c3d", 0.9)
        return read_records(results)

    monkeypatch.setattr("ferbench.benchmark.board.reading.digest_of", hashed)
    monkeypatch.setattr("ferbench.benchmark.board.reading.read_records", slow)
    with all_records(tmp_path) as records:
        assert [record.path.parent.name for record in records if "digest" in vars(record)] == ["tsm"]
        assert records[0].digest == digest_of(folder)


@pytest.mark.usefixtures("no_plots")
def test_reproduction(tmp_path: Path) -> None:
    """The same predictions, others of the same skill, a ruined row, another protocol, one published seed, other seeds
    than published, other folds, never published, never finished, and floors."""
    results, published = tmp_path / "results", tmp_path / "published"
    for seed in range(3):
        for name in ("same", "drawn_anew", "ruined", "other_seed", "other_folds", "failed"):
            write_cell(published, name, 0.8, seed=seed, environment={"device": "another machine"})
        write_cell(published, "other_rules", 0.8, seed=seed, protocol={"image_frames": 1})
    write_cell(published, "one_seed", 0.8)
    for name, skill in (("same", 0.8), ("other_rules", 0.8), ("new", 0.8)):
        write_cell(results, name, skill)
    write_cell(results, "drawn_anew", 0.79)
    write_cell(results, "ruined", 0.1)
    write_cell(results, "one_seed", 0.79)
    write_cell(results, "other_seed", 0.8, seed=7)
    write_cell(results, "other_folds", 0.8, fold=1)
    write_cell(results, "failed", error="no memory")
    for folder in (results, published):
        write_cell(folder, "majority", title="Majority")
    render(results, tmp_path / "leaderboard.md", published)
    golden("reproduction.md", results / "default" / "oulu_casia-twin.md")


@pytest.mark.usefixtures("no_plots")
@pytest.mark.parametrize("published", ["results", "missing"])
def test_nothing_to_reproduce_is_no_column(tmp_path: Path, published: str) -> None:
    write_cell(tmp_path / "results", "c3d")
    render(tmp_path / "results", tmp_path / "leaderboard.md", tmp_path / published)
    assert all("reproduces" not in page.read_text(encoding="utf-8") for page in pages_of(tmp_path).values())


def test_only_rows_that_may_be_compared_share_a_table(tmp_path: Path) -> None:
    """Suite, source, size and protocol each split; the order of a protocol's entries does not."""
    for name, changes in {
        "a": {},
        "b": {"environment": {"device": "GPU"}},
        "other_protocol": {"protocol": {"image_frames": 1}},
        "other_size": {"size": "full"},
        "other_source": {"source": "real"},
        "other_suite": {"suite": "smoke"},
    }.items():
        write_cell(tmp_path, name, **changes)
    reordered = tmp_path / "default/oulu_casia-twin/b/seed0-fold0/record.json"
    data = json.loads(reordered.read_text())
    data["protocol"] = dict(reversed(data["protocol"].items()))
    reordered.write_text(json.dumps(data))
    found = {
        (section.suite, section.source, section.size, table.name): {row.architecture for row in table.rows}
        for section in sections(read_records(tmp_path))
        for table in section.tables
    }
    assert sorted(found.values(), key=sorted) == [
        {"a", "b"},
        {"other_protocol"},
        {"other_size"},
        {"other_source"},
        {"other_suite"},
    ]
    assert ("default", "twin", "tiny", "oulu_casia-twin, protocol B") in found


@pytest.mark.usefixtures("no_plots")
def test_costs_of_two_machines_are_marked_and_never_averaged(tmp_path: Path) -> None:
    write_cell(tmp_path, "c3d", environment={"device": "CPU one"}, cost={"latency_ms_p50": 4.0})
    write_cell(tmp_path, "c3d", fold=1, environment={"device": "CPU one"}, cost={"latency_ms_p50": 6.0})
    write_cell(tmp_path, "c3d", fold=2, environment={"device": "GPU two"}, cost={"latency_ms_p50": 0.1})
    for fold in range(3):
        write_cell(tmp_path, "tsm", fold=fold, environment={"device": "GPU two"}, cost={"latency_ms_p50": 0.2})
    render(tmp_path, tmp_path / "leaderboard.md")
    golden("two_machines.md", tmp_path / "default" / "oulu_casia-twin.md")


def test_folds_are_pooled_and_seeds_averaged(tmp_path: Path) -> None:
    for seed in (0, 1):
        for fold in (0, 1):
            write_cell(tmp_path, "c3d", 0.5, seed=seed, fold=fold, subjects=5)
    records = read_records(tmp_path)
    row = sections(records)[0].tables[0].rows[0]
    each = {}
    for seed in (0, 1):
        both = pd.concat([record.predictions() for record in records if record.data["seed"] == seed])
        each[seed] = (both["label"] == both["predicted"]).mean()
    assert row.scores["accuracy"] == pytest.approx((each[0] + each[1]) / 2)
    assert row.samples is not None
    assert row.samples.predicted.shape == (2, 2 * 5 * 6 * 3)
    assert row.confusion is not None
    assert row.confusion.sum() == row.samples.predicted.size


def test_a_fold_that_one_row_lacks_takes_its_rank(tmp_path: Path) -> None:
    """Its score is over other samples; what it did finish is still shown."""
    for fold in (0, 1):
        write_cell(tmp_path, "c3d", 0.5, fold=fold)
    write_cell(tmp_path, "easy_fold_only", 0.9)
    table = sections(read_records(tmp_path))[0].tables[0]
    assert [row.architecture for row in table.rows] == ["easy_fold_only", "c3d"]
    assert table.ranks == {"c3d": 1}


def test_no_records(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^no records below .*: run `make bench` first"):
        render(tmp_path, tmp_path / "leaderboard.md")
    assert not (tmp_path / "leaderboard.md").exists()


def _without(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.drop(columns=column)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without("label"), "no column label"),
        (lambda frame: pd.concat([frame, frame.head(1)]), "'P001/0000' is predicted twice"),
        (lambda frame: frame.assign(label=(frame["label"] + 1) % 6), "'P001/0000' has another label"),
    ],
)
def test_damaged_predictions_are_named(
    tmp_path: Path, damage: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    write_cell(tmp_path, "c3d", seed=0)
    folder = write_cell(tmp_path, "c3d", seed=1)
    rewrite_predictions(folder, damage(pd.read_parquet(folder / "predictions.parquet")))
    with pytest.raises(RequestError, match=f"seed1-fold0.*{message}"):
        render(tmp_path, tmp_path / "leaderboard.md")


def test_text_from_records_is_inert() -> None:
    assert escape("a | b\n# <img src=x> *bold* `code` [x](y) $m$") == (
        r"a \| b \# &lt;img src=x&gt; \*bold\* \`code\` \[x\](y) \$m\$"
    )
    assert escape("cnn_lstm_attention _x_") == r"cnn_lstm_attention \_x\_"


def test_amounts_have_three_digits_and_no_powers() -> None:
    found = [amount(value) for value in (None, float("nan"), 0, 0.00123, 4.314, 34.56, 812.7, 12345.6)]
    assert found == ["-", "-", "0", "0.00123", "4.31", "34.6", "813", "12,346"]


def test_marks_go_on_after_z() -> None:
    marks = Marks()
    assert marks.of([str(note) for note in range(27)]).endswith(",z,aa</sup>")
    assert marks.of(["0"]) == "<sup>a</sup>"
    assert len(marks.notes()) == 27


def test_the_board_needs_no_torch() -> None:
    code = "import sys, benchmark.board.leaderboard, benchmark.gate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
