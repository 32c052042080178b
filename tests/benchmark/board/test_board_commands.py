"""`show`, `compare` and `export`."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest

from ferbench.benchmark.board import export as exported
from ferbench.benchmark.board.sections import sections
from ferbench.benchmark.commands.compare import compare_cells
from ferbench.benchmark.commands.export import export
from ferbench.benchmark.commands.show import show
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records
from tests.benchmark.board.test_board_rows import write_regression
from tests.benchmark.written_cells import write_cell

SCHEMA = json.loads((Path(exported.__file__).parent / "board.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for seed in (0, 1):
        write_cell(folder, "c3d", 0.4, seed=seed, title="C3D & more_", tracks=True)
        write_cell(folder, "tsm", 0.8, seed=seed, protocol={"image_frames": 1} if seed else {}, title="TSM")
    write_cell(folder, "vit", 0.7, title="ViT", environment={"device": "GPU"}, recipe={"stages": [{"lr": 0.1}]})
    write_cell(folder, "vit", 0.7, title="ViT", seed=1, error="no memory")
    write_cell(folder, "oracle", 0.95, title="Oracle")
    write_cell(folder, "c3d", 0.5, dataset="ctbc-twin", title="C3D & more_")
    write_cell(folder, "broken", error="the worker crashed")
    write_regression(folder, "c3d", 0.3)
    return folder


def test_show_tells_all_of_a_cell(results: Path) -> None:
    text = show(results, "oulu_casia/c3d/seed0-fold0")
    record = json.loads((results / "default/oulu_casia-twin/c3d/seed0-fold0/record.json").read_text())
    for part in (
        "C3D & more_ (c3d) on oulu_casia-twin, suite default, size tiny",
        f"{record['metrics']['abaw']:.3f}",
        "over subjects",
        "P001/video0",
        "hardest samples",
        "neutral: first_frame",
        "optimizer: adamw",
        "device: AMD EPYC 9555P",
        "python -m benchmark run --suite default --architectures c3d --datasets oulu_casia",
    ):
        assert part in text


def test_show_takes_a_folder_or_all_cells(results: Path) -> None:
    one = show(results, str(results / "default/oulu_casia-twin/c3d/seed1-fold0"))
    assert "seeds 1, folds 0" in one
    every = show(results, "default/oulu_casia-twin/c3d")
    assert "2 cells: seeds 0, 1" in every
    assert "± seeds" in every
    assert "CCC" in show(results, "sendv1_valence/c3d")


def test_compare_tells_the_difference_and_where(results: Path) -> None:
    text = compare_cells(results, "oulu_casia/c3d/seed0-fold0", "oulu_casia/vit/seed0-fold0")
    assert "protocol: the same" in text
    assert re.search(r"stages\.0\.lr +- +0\.1", text)
    assert re.search(r"device +AMD EPYC 9555P +GPU", text)
    assert re.search(r"B minus A: \+0\.\d{4} ABAW, 95% \[\+0\.\d+, \+0\.\d+\], p = 0\.0", text)
    assert "different hardware: their speeds must not be compared" in text
    assert "only A right" in text
    assert "they disagree on" in text


def test_compare_of_another_protocol_warns(results: Path) -> None:
    text = compare_cells(results, "oulu_casia/tsm/seed0-fold0", "oulu_casia/tsm/seed1-fold0")
    assert re.search(r"image_frames +3 +1", text)
    assert "their protocols differ" in text


def test_compare_of_other_measures_gives_no_difference(results: Path) -> None:
    text = compare_cells(results, "oulu_casia/c3d", "sendv1_valence/c3d")
    assert "A is measured in ABAW, B in CCC" in text


def test_compare_of_other_samples_gives_no_paired_difference(tmp_path: Path) -> None:
    write_cell(tmp_path, "c3d", fold=0)
    write_cell(tmp_path, "c3d", fold=1)
    text = compare_cells(tmp_path, "oulu_casia/c3d/seed0-fold0", "oulu_casia/c3d/seed0-fold1")
    assert "no paired difference: they do not hold the same test samples" in text
    write_cell(tmp_path, "c3d", source="real", dataset="oulu_casia")
    text = compare_cells(
        tmp_path, "oulu_casia-twin/c3d/seed0-fold0", str(tmp_path / "default/oulu_casia/c3d/seed0-fold0")
    )
    assert "no difference: they are on other data" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("oulu_casia/c3dd", "unknown cell 'oulu_casia/c3dd': did you mean 'oulu_casia-twin/c3d'"),
        ("c3d/oulu_casia", r"unknown cell 'c3d/oulu_casia': did you mean 'oulu_casia-twin/c3d'\?"),
        ("c3d/default/oulu_casia", r"did you mean 'default/oulu_casia-twin/c3d'\?"),
        ("oulu-casia/vitt", r"did you mean 'oulu_casia-twin/vit'\?"),
        ("defualt/oulu_casia/c3d", r"did you mean 'default/oulu_casia-twin/c3d'\?"),
        ("ctbc/tsm", r"unknown cell 'ctbc/tsm': no architecture 'tsm' in ctbc: there are: c3d$"),
        ("afew/tsm", r"unknown cell 'afew/tsm': no data set 'afew': there are: ctbc-twin, oulu_casia-twin, sendv1"),
        ("smoke/oulu_casia/c3d", r"unknown cell 'smoke/oulu_casia/c3d': no suite 'smoke': there are: default$"),
        ("ctbc/c3d/seed7-fold0", r"unknown cell 'seed7-fold0' of ctbc/c3d: there are: seed0-fold0$"),
        ("c3d", r"cell 'c3d': name a folder, or \[SUITE/\]DATASET/ARCHITECTURE"),
        ("oulu_casia/broken", "oulu_casia/broken: no finished cell: the worker crashed"),
        ("oulu_casia/tsm", "has records of several protocols: name one as oulu_casia/tsm/seedS-foldF"),
    ],
)
def test_a_cell_that_cannot_be_shown_is_told(results: Path, name: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        show(results, name)


def test_a_member_of_a_family_may_be_named_as_its_folder_is(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, "timm-resnet18")
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "architecture": "timm:resnet18"}))
    for name in ("timm:resnet18", "timm-resnet18"):
        assert "(timm:resnet18) on oulu_casia-twin" in show(tmp_path, f"oulu_casia/{name}")


def test_a_cell_of_two_suites_must_be_named_with_its_suite(tmp_path: Path) -> None:
    write_cell(tmp_path, "c3d")
    write_cell(tmp_path, "c3d", suite="smoke")
    with pytest.raises(RequestError, match="may be default/oulu_casia-twin/c3d, smoke/oulu_casia-twin/c3d: name one"):
        show(tmp_path, "oulu_casia/c3d")
    assert "suite smoke" in show(tmp_path, "smoke/oulu_casia/c3d")


def test_json_export_fits_its_schema(results: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    content = json.loads(export(results, "json", None))
    jsonschema.validate(content, SCHEMA)
    rows = {(r["dataset"], r["protocol"], r["architecture"]): r for s in content["sections"] for r in s["rows"]}
    assert rows["ctbc-twin", "", "c3d"]["rank"] == 1
    oracles = [row["rank"] for (_, _, name), row in rows.items() if name == "oracle"]
    assert oracles == [None]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, "schema": 2}, SCHEMA)


def test_csv_export_has_a_line_a_row(results: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(export(results, "csv", None))))
    rows = [row for s in sections(read_records(results)) for table in s.tables for row in table.rows]
    assert len(lines) == len(rows)
    row = next(line for line in lines if (line["dataset"], line["architecture"]) == ("ctbc-twin", "c3d"))
    assert float(row["low"]) < float(row["score"]) < float(row["high"])
    assert (row["seeds"], row["title"]) == ("0", "C3D & more_")


def test_what_begins_like_a_formula_is_none_in_a_table(tmp_path: Path) -> None:
    for name, title in (("a", "=HYPERLINK(1)"), ("b", "@sum"), ("c", "+1"), ("d", "-1"), ("e", "plain = good")):
        write_cell(tmp_path, name, title=title)
    titles = {row["architecture"]: row["title"] for row in csv.DictReader(io.StringIO(export(tmp_path, "csv", None)))}
    assert titles == {"a": "'=HYPERLINK(1)", "b": "'@sum", "c": "'+1", "d": "'-1", "e": "plain = good"}


def test_latex_export_is_a_booktabs_table(results: Path) -> None:
    text = export(results, "latex", None)
    assert r"C3D \& more\_ & " in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    widths = {line.count(" & ") for line in text.splitlines() if line.endswith(r"\\")}
    assert len(widths) == 1
    assert re.search(r"\\textbf\{0\.\d{3}\} \[0\.\d{3}, 0\.\d{3}\]", text)


def test_citation_names_version_suite_commit_and_date(results: Path) -> None:
    line = export(results, "cite", None)
    assert re.fullmatch(
        r"ferbench [\d.]+: a leaderboard of facial expression recognition; suite default \(twins\); \d+ records; "
        r"2026-03-01; commit 0123456789ab\. How to cite the program itself: CITATION\.cff\.",
        line,
    )


def test_export_writes_a_file_and_refuses_what_it_cannot(results: Path, tmp_path: Path) -> None:
    assert export(results, "csv", tmp_path / "deep/board.csv") == f"{tmp_path / 'deep/board.csv'} written"
    assert (tmp_path / "deep/board.csv").read_text().startswith("suite,source,size,dataset")
    with pytest.raises(RequestError, match="unknown format 'xml': use one of csv, json, latex, cite"):
        export(results, "xml", None)
    with pytest.raises(RequestError, match="cannot be written"):
        export(results, "csv", Path("/proc/board.csv"))
    with pytest.raises(RequestError, match="no records there"):
        export(tmp_path / "empty", "csv", None)
