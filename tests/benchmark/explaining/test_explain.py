"""`explain` as a person calls it: a sheet of one's own pictures, figures of a twin, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

from ferbench.benchmark.commands.explain import explain, measure
from ferbench.benchmark.commands.run import run_suite
from ferbench.benchmark.errors import RequestError
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
    assert run_suite(str(folder / "one.yaml"), None, None, 0, "cpu", 1, folder / "results", None) == 0
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
    measure("one/raf_db-twin/cnn", results)
    said = capsys.readouterr().out
    found = re.search(
        r"Grad-CAM: (0\.\d+) of the relevance .* times chance \((0\.\d+)\); .* has (0\.\d+) there; (\d+) s", said
    )
    assert found is not None, said
    assert 0 < float(found[2]) < 0.5
    assert int(found[4]) > 5


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
