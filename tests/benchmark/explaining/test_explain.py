"""`explain` as a person calls it: a sheet of one's own pictures, figures of a twin, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.board.site.write import write_site
from ferbench.benchmark.commands.explain import explain, measure
from ferbench.benchmark.commands.run import RunRequest, run_suite
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.explained import read_explained, write_explained
from ferbench.benchmark.records.record import read_records
from ferbench.datasets.corpus import DataError

SUITE = """
description: One trained row.
size: tiny
architectures: [cnn]
datasets: [raf_db]
epochs: 0.2
keep: all
twins: {raf_db: {scale: 0.003}}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    (folder / "one.yaml").write_text(SUITE, encoding="utf-8")
    assert run_suite(RunRequest(str(folder / "one.yaml"), folder / "results", device="cpu", workers=1)) == 0
    return folder / "results"


def test_pictures_become_a_sheet(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        Image.effect_noise((60, 50), 60).convert("RGB").save(tmp_path / f"{name}.png")
    explain("one/raf_db-twin/cnn", [tmp_path], tmp_path / "out" / "why.png", "whole", 8, results)
    assert "2 faces explained by Grad-CAM" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "why.png") as sheet:
        assert sheet.height > 400


def test_a_cell_on_a_twin_is_measured(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)  # where the suite lies that its record names
    measure("one", results)
    said = capsys.readouterr().out
    found = re.fullmatch(
        r"raf_db-twin/cnn: Grad-CAM: (0\.\d+) of the relevance .* (\d\.\d+) \[(\d\.\d+), (\d\.\d+)\] times chance "
        r"\((0\.\d+)\); .* has (0\.\d+) there; (\d+) samples; .*\n",
        said,
    )
    assert found is not None, said
    inside, ratio, low, high, chance = (float(found[i]) for i in range(1, 6))
    assert 0 < chance < 0.5
    assert ratio == pytest.approx(inside / chance, abs=0.02)
    assert low < ratio < high
    assert int(found[7]) > 5


def test_what_was_measured_is_kept_with_the_cell_and_shown(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    measure("one/raf_db", results)
    first = capsys.readouterr().out
    monkeypatch.setattr("ferbench.benchmark.commands.explain.localisation", None)  # it is not asked again
    measure("one/raf_db-twin/cnn", results)
    assert capsys.readouterr().out == first
    record = next(record for record in read_records(results) if record.data["architecture"] == "cnn")
    explained = read_explained(record)
    assert explained is not None
    render(results, results / "board.md")
    page = (results / "one" / "raf_db-twin.md").read_text(encoding="utf-8")
    assert f"{explained.of_chance:.2f} [{explained.times_chance[0]:.2f}, " in page.split("Where they look")[1]
    write_site(read_records(results), results / "site")
    shown = [file for file in (results / "site").rglob("*.html") if "Where it looks" in file.read_text("utf-8")]
    assert len(shown) == 2, "the page of the row and that of its cell"
    write_explained(record.path, replace(explained, key="of another model"))
    assert read_explained(record) is None
    write_explained(record.path, explained)


def test_what_cannot_be_explained_is_said_in_a_line(results: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 40)).save(picture)
    asked = ("one/raf_db-twin/cnn", [picture])
    with pytest.raises(RequestError, match="--faces seen: use found or whole"):
        explain(*asked, tmp_path / "why.png", "seen", 8, results)
    with pytest.raises(RequestError, match=r"why.gif: "):
        explain(*asked, tmp_path / "why.gif", "whole", 8, results)
    with pytest.raises(RequestError, match="no such file or folder"):
        explain(asked[0], [tmp_path / "gone.png"], tmp_path / "why.png", "whole", 8, results)
    with pytest.raises((RequestError, DataError), match=r"no face is seen|no faces can be found"):
        explain(*asked, tmp_path / "why.png", "found", 8, results)
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be written"):
        explain(*asked, tmp_path / "file" / "why.png", "whole", 8, results)
    with pytest.raises(RequestError):
        measure("one/raf_db-twin/tsm", results)
