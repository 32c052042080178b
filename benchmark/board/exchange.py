"""The board in the formats that others collect results in: one file a row.

Every Eval Ever, schema 0.3.0 (evaleval/every_eval_ever), and the YAML of `.eval_results/` in a Hugging Face model
repository (huggingface/hub-docs, eval_results.yaml).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import yaml

from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.measures.resampling import RESAMPLES
from ferbench.benchmark.measures.statistics import LOWEST
from ferbench.benchmark.records.installation import own_version

SCHEMA = "0.3.0"
_MEASURES = {"accuracy": "Accuracy", "f1_macro": "Macro F1", "uar": "UAR (mean recall)"}
_RELATIONSHIPS = {"self": "first_party", "third party": "third_party", "ferbench": "other"}


def every_eval_ever(sections: Sequence[Section]) -> dict[str, str]:
    """Path below a folder -> JSON of each row that has a score."""
    found = {}
    for section, table, row in _scored(sections):
        content = _evaluation(section, table, row)
        place = f"{_plain(table.name)}/{_plain(_developer(row))}/{_plain(row.architecture)}-{section.suite}.json"
        found[place] = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return found


def hugging_face(sections: Sequence[Section]) -> dict[str, str]:
    """Path below a folder -> YAML of each row that has a score: what a model repository keeps in `.eval_results/`.

    A data set has the name that it has here; where it has an address on the hub, whoever uploads the file puts it in.
    """
    found = {}
    for section, table, row in _scored(sections):
        interval = table.comparison.intervals[row.architecture]
        notes = (
            f"{HEADLINES[table.headline]}, 95% interval [{interval.low:.4f}, {interval.high:.4f}] "
            f"over {interval.unit}s; "
            f"{len(row.seeds)} seeds x {len(row.folds)} folds; {row.tier}; suite {section.suite}, size {section.size}"
            + (f"; coverage {row.coverage:.1%}" if row.coverage < 1 else "")
        )
        entry = {
            "dataset": {"id": f"ferbench/{_plain(table.dataset)}", "task_id": _plain(table.headline)},
            "value": round(float(row.score or 0.0), 6),
            **({"date": created} if (created := _created(row)) else {}),
            "notes": notes,
        }
        place = f"{_plain(row.architecture)}/.eval_results/{_plain(table.name)}-{section.suite}.yaml"
        found[place] = yaml.safe_dump([entry], sort_keys=False, allow_unicode=True)
    return found


def _scored(sections: Sequence[Section]) -> Iterator[tuple[Section, DataTable, Row]]:
    for section in sections:
        for table in section.tables:
            yield from ((section, table, row) for row in table.rows if row.score is not None)


def _evaluation(section: Section, table: DataTable, row: Row) -> dict[str, Any]:
    created = _created(row)
    seconds = str(int(datetime.fromisoformat(created).timestamp())) if created else "0"
    card = row.records[0].data.get("card")
    relationship = _RELATIONSHIPS[card["relationship"]] if card else "first_party"
    library = {"name": "ferbench", "version": own_version()}
    measures = {table.headline: HEADLINES[table.headline], **(_MEASURES if table.headline == "abaw" else {})}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{table.name}/{row.architecture}/{section.suite}/{seconds}",
        **({"evaluation_timestamp": created} if created else {}),
        "retrieved_timestamp": seconds,
        "source_metadata": {
            "source_name": "ferbench",
            "source_type": "evaluation_run",
            "source_organization_name": "ferbench",
            "evaluator_relationship": relationship,
            "additional_details": {"tier": row.tier},
        },
        "eval_library": library,
        "model_info": {
            "name": row.title,
            "id": f"{_plain(_developer(row))}/{row.architecture}",
            "developer": _developer(row),
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "unknown",
                "size": section.size,
                "started_from": str(row.records[0].data["started_from"] or "none"),
            },
        },
        "evaluation_results": [
            _result(table, row, name, said) for name, said in measures.items() if row.scores.get(name) is not None
        ],
    }


def _result(table: DataTable, row: Row, name: str, said: str) -> dict[str, Any]:
    interval = table.comparison.intervals[row.architecture] if name == table.headline else None
    samples = sum(record.data["counts"].get("test_samples", 0) for record in row.finished)
    uncertainty = {
        "confidence_interval": {
            "lower": interval.low,
            "upper": interval.high,
            "confidence_level": 0.95,
            "method": f"bootstrap over {interval.unit}s",
        },
        "num_samples": samples,
        "num_bootstrap_samples": RESAMPLES,
    } if interval else None  # fmt: skip
    return {
        "evaluation_name": f"{table.name}: {said}",
        "source_data": {
            "dataset_name": table.dataset,
            "source_type": "other",
            "additional_details": {key: str(value) for key, value in sorted(table.protocol.items())},
        },
        "metric_config": {
            "metric_id": "ferbench.abaw" if name == "abaw" else name,
            "metric_name": said,
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": LOWEST.get(name, 0.0),
            "max_score": 1.0,
        },
        "score_details": {
            "score": float(row.scores[name]),
            "details": {
                "seeds": str(len(row.seeds)),
                "folds": str(len(row.folds)),
                "coverage": f"{row.coverage:.4f}",
                "rank": str(table.ranks.get(row.architecture, "none")),
            },
            **({"uncertainty": uncertainty} if uncertainty else {}),
        },
    }


def _developer(row: Row) -> str:
    """Whose model it is."""
    card = row.records[0].data.get("card")
    return "ferbench" if card is None else str(card["organisation"])


def _created(row: Row) -> str | None:
    days = [record.data["environment"].get("created") for record in row.finished]
    return max((str(day) for day in days if day), default=None)


def _plain(name: str) -> str:
    """A name as a part of a path."""
    return re.sub(r"[^A-Za-z0-9_.+@=-]+", "_", name).strip(".") or "_"
