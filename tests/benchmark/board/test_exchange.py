"""The board in the formats of other collections: what their readers ask for is there, and says what the board says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries
from jsonschema import Draft7Validator

from ferbench.benchmark.board.export import as_json
from ferbench.benchmark.board.sections import prepare, sections
from ferbench.benchmark.commands.export import export
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def asked(required: dict[str, Any], further: dict[str, Any] | None = None, closed: bool = False) -> dict[str, Any]:
    properties = {**required, **(further or {})}
    return {
        "type": "object", "required": list(required), "properties": properties,
        **({"additionalProperties": False} if closed else {}),
    }  # fmt: skip


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
EVERY_EVAL_EVER = asked(
    {
        "schema_version": {"const": "0.3.0"},
        "evaluation_id": TEXT,
        "retrieved_timestamp": {"type": "string", "pattern": "^[0-9]+$"},
        "source_metadata": asked({
            "source_type": {"enum": ["documentation", "evaluation_run"]},
            "source_organization_name": TEXT,
            "evaluator_relationship": {"enum": ["first_party", "third_party", "collaborative", "other"]},
        }, {"source_name": TEXT, "additional_details": TEXTS}),
        "model_info": asked({
            "name": TEXT, "id": {"type": "string", "pattern": "^[^/ ]+/.+$"},
            "additional_details": {**TEXTS, "required": ["deployment_type", "model_availability"], "properties": {
                "deployment_type": {"enum": ["self_deployed", "externally_managed", "unknown"]},
                "model_availability": {"enum": ["open_weights", "closed_weights", "unknown"]},
            }},
        }, {"developer": TEXT}),
        "eval_library": asked({"name": {"const": "ferbench"}, "version": TEXT}),
        "evaluation_results": {"type": "array", "minItems": 1, "items": asked({
            "evaluation_name": TEXT,
            "source_data": asked({"dataset_name": TEXT, "source_type": {"const": "other"}},
                                 {"additional_details": TEXTS}),
            "metric_config": asked({
                "lower_is_better": {"const": False}, "score_type": {"const": "continuous"}, "min_score": NUMBER,
                "max_score": NUMBER, "metric_id": TEXT, "metric_name": TEXT,
            }, closed=True),
            "score_details": asked({"score": NUMBER}, {"details": TEXTS, "uncertainty": asked({
                "confidence_interval": asked({"lower": NUMBER, "upper": NUMBER},
                                             {"confidence_level": {"const": 0.95}, "method": TEXT}),
                "num_samples": {"type": "integer"},
                "num_bootstrap_samples": {"type": "integer"},
            }, closed=True)}, closed=True),
        })},
    },
    {"evaluation_timestamp": TEXT},
    closed=True,
)  # fmt: skip
"""What schema 0.3.0 asks of what is written here, in words of our own; the files were checked against the original."""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_cell(tmp_path / "results", "c3d", 0.6, title="C3D", environment={"created": "2026-11-26T10:00:00+00:00"})
    write_cell(tmp_path / "results", "vit_se", error="out of time")
    folder = write_cell(
        tmp_path / "results", "our net/é".replace("/", "-"), 0.5, title="Our net", tier="scored here", kind="entry",
        suite="entries", size="any", counts={"test_samples": 144, "answered_samples": 72},
        card={"organisation": "A University", "relationship": "third party"},
    )  # fmt: skip
    assert folder.is_dir()
    return tmp_path / "results"


def test_every_row_with_a_score_is_a_file_of_every_eval_ever(results: Path, tmp_path: Path) -> None:
    assert export(results, "every-eval-ever", tmp_path / "out").endswith("out written: 2 files")
    found = {file.name: json.loads(file.read_text()) for file in (tmp_path / "out").rglob("*.json")}
    for content in found.values():
        Draft7Validator(EVERY_EVAL_EVER).validate(content)
    board = sections(read_records(results))
    prepare(board)
    (row,) = [row for row in json.loads(as_json(board))["sections"][0]["rows"] if row["architecture"] == "c3d"]
    measured = {each["metric_config"]["metric_id"]: each for each in found["c3d-default.json"]["evaluation_results"]}
    assert measured["ferbench.abaw"]["score_details"]["score"] == row["score"]
    interval = measured["ferbench.abaw"]["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (row["low"], row["high"])
    assert measured["uar"]["score_details"]["score"] == row["uar"]
    assert found["c3d-default.json"]["retrieved_timestamp"] == "1795687200"
    (entry,) = [content for name, content in found.items() if name.startswith("our_net")]
    assert entry["source_metadata"]["evaluator_relationship"] == "third_party"
    assert entry["model_info"]["developer"] == "A University"
    assert entry["evaluation_results"][0]["score_details"]["details"]["coverage"] == "0.5000"


def test_every_row_with_a_score_is_a_file_of_a_model_repository(results: Path, tmp_path: Path) -> None:
    export(results, "huggingface", tmp_path / "out")
    files = sorted((tmp_path / "out").rglob("*.yaml"))
    assert [file.parent.name for file in files] == [".eval_results"] * 2
    for file in files:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert eval_result_entries_to_yaml(parse_eval_result_entries(content)) == content
    (entry,) = yaml.safe_load((tmp_path / "out/c3d/.eval_results/oulu_casia-twin-default.yaml").read_text())
    assert entry["dataset"] == {"id": "ferbench/oulu_casia-twin", "task_id": "abaw"}
    assert "1 seeds x 1 folds; trained here; suite default, size tiny" in entry["notes"]


@pytest.mark.parametrize("kind", ["every-eval-ever", "huggingface"])
def test_a_format_of_many_files_needs_a_folder(results: Path, kind: str) -> None:
    with pytest.raises(RequestError, match="one file a row: name a folder for them: --out FOLDER"):
        export(results, kind, None)


def test_a_citation_names_the_file_that_says_how_to_cite(results: Path) -> None:
    assert export(results, "cite", None).endswith("How to cite the program itself: CITATION.cff.")
