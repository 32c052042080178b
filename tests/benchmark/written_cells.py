"""Cells that never ran: records and predictions with known skill, written as the harness writes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from ferbench.benchmark.measures.metrics import confusion_matrix, regression_scores, scores
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, write_record

CLASSES = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
PROTOCOL = {"folds": 10, "image_frames": 3, "neutral": "first_frame", "missing": "nearest earlier frame"}
KINDS = {"majority": "floor", "random": "floor", "oracle": "oracle"}


def write_cell(results: Path, architecture: str = "c3d", skill: float = 0.5, **changes: Any) -> Path:
    """Writes one cell and returns its folder.

    skill: share of samples predicted rightly, around which subjects vary. changes: entries of the record that are to
    be different; `environment`, `cost`, `protocol` and `key_parts` are merged into the defaults. `error` makes a
    failed cell. `subjects` and `each` give the numbers of test subjects and of samples of each class a subject;
    `tracks` names two videos a subject.
    """
    subjects, each, tracks = changes.pop("subjects", 8), changes.pop("each", 3), changes.pop("tracks", False)
    merged = {name: changes.pop(name, {}) for name in ("environment", "cost", "protocol", "key_parts")}
    data = {**_data(architecture, **merged), **changes}
    folder = results / data["suite"] / data["dataset"] / architecture / f"seed{data['seed']}-fold{data['fold']}"
    if data["error"]:
        write_record(folder, {**data, **_FAILED})
        return folder
    predictions = _predictions(data, skill, subjects, each, tracks)
    matrix = confusion_matrix(predictions["label"], predictions["predicted"], len(data["classes"]))
    measured = asdict(scores(matrix))
    per_class = dict(zip(data["classes"], measured["f1_per_class"], strict=True))
    data["metrics"] = {**measured, "f1_per_class": per_class, "confusion": matrix.tolist()}
    write_record(folder, data, predictions)
    return folder


def rewrite_predictions(folder: Path, table: pd.DataFrame, **options: Any) -> None:
    """Other predictions in a cell, with the digest and the measures that go with them."""
    table.to_parquet(folder / PREDICTIONS, **options)
    data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    if "target" in table:
        found = regression_scores(*(table[name].to_numpy() for name in ("target", "value", "track")))
        data["metrics"] = {"headline": "ccc", **asdict(found)}
    elif "label" in table:
        confusion = confusion_matrix(table["label"], table["predicted"], len(data["classes"]))
        data["metrics"] |= {**asdict(scores(confusion)), "f1_per_class": {}, "confusion": confusion.tolist()}
    data["files"][PREDICTIONS] = hashlib.sha256((folder / PREDICTIONS).read_bytes()).hexdigest()
    (folder / RECORD).write_text(json.dumps(data), encoding="utf-8")


def whole_record(**changes: Any) -> dict[str, Any]:
    """The content of a record that is whole, for predictions of any kind."""
    data = _data("c3d", {}, {}, {}, {})
    return {**data, "metrics": {"abaw": 0.5, "accuracy": 0.5, "f1_macro": 0.5}, **changes}


def _predictions(data: dict[str, Any], skill: float, subjects: int, each: int, tracks: bool) -> pd.DataFrame:
    """Samples depend on data set and fold; predictions also on architecture and seed."""
    num_classes = len(data["classes"])
    rng = np.random.default_rng(crc32(f"{data['architecture']} {data['dataset']} {data['seed']}".encode()))
    who = np.repeat([f"P{data['fold'] * subjects + index + 1:03d}" for index in range(subjects)], num_classes * each)
    labels = np.tile(np.repeat(np.arange(num_classes), each), subjects)
    certainty = np.repeat(np.clip(rng.normal(skill, 0.08, subjects), 0, 1), num_classes * each)
    predicted = np.where(rng.random(labels.size) < certainty, labels, rng.integers(num_classes, size=labels.size))
    if data["architecture"] == "majority":
        predicted = np.zeros_like(labels)
    kept = np.eye(num_classes, dtype=np.float32)[predicted]
    return pd.DataFrame(
        {
            "sample": [f"{person}/{index:04d}" for index, person in enumerate(who)],
            "subject": who if data["subjects_known"] else None,
            **({"track": [f"{person}/video{index % 2}" for index, person in enumerate(who)]} if tracks else {}),
            "label": labels,
            "predicted": predicted,
        }
    ).assign(**{f"score_{name}": kept[:, index] for index, name in enumerate(data["classes"])})


def _data(
    architecture: str,
    environment: dict[str, Any],
    cost: dict[str, Any],
    protocol: dict[str, Any],
    key_parts: dict[str, Any],
) -> dict[str, Any]:
    kind = KINDS.get(architecture, "architecture")
    parts = {"architecture": architecture, "protocol": "f0", "recipe": "a1", **key_parts}
    return {
        "key": "-".join(parts.values()),
        "key_parts": parts,
        "architecture": architecture,
        "dataset": "oulu_casia-twin",
        "source": "twin",
        "suite": "default",
        "size": "tiny",
        "view": "clip" if kind == "architecture" else "none",
        "kind": kind,
        "title": architecture.replace("_", " "),
        "seed": 0,
        "fold": 0,
        "status": "ok",
        "error": None,
        "classes": list(CLASSES),
        "absent_classes": [],
        "notes": [],
        "subjects_known": True,
        "metrics": None,
        "cost": {**_COST, **cost} if kind == "architecture" else None,
        "protocol": {**PROTOCOL, **protocol},
        "recipe": {"optimizer": "adamw"},
        "started_from": "geometry-vit" if kind == "architecture" else "none",
        "history": _history() if kind == "architecture" else [],
        "timing": {"total_s": 60.0, "train_s": 50.0},
        "counts": {"test_samples": 144, "missing_frames": 0},
        "environment": {**_ENVIRONMENT, "precision": "float32" if kind == "architecture" else "float64", **environment},
    }


def _history() -> list[dict[str, Any]]:
    """Two stages of four epochs."""
    steps = [(stage, epoch) for stage in ("features", "head") for epoch in range(4)]
    return [
        {
            "stage": stage,
            "epoch": epoch,
            "train_loss": 1.8 / (1 + done),
            "val_abaw": 0.6 - 0.4 / (1 + done),
            "seconds": 2,
        }
        for done, (stage, epoch) in enumerate(steps)
    ]


_FAILED: dict[str, Any] = {
    "status": "failed",
    "view": "none",
    "started_from": "none",
    "classes": [],
    "notes": [],
    "recipe": {},
    "history": [],
    "metrics": None,
    "cost": None,
    "counts": {},
    "timing": {},
    "environment": {"device": None, "device_type": "cpu", "python": "3.11.9", "created": "2026-03-01T11:00:00+00:00"},
}

_COST: dict[str, Any] = {
    "params": 1_234_567,
    "macs": 34_500_000,
    "params_full": 26_990_000,
    "macs_full": 173_000_000,
    "train_samples_per_s": 210.4,
    "infer_samples_per_s": 812.7,
    "infer_batch": 64,
    "latency_ms_p50": 4.31,
    "latency_ms_p95": 5.02,
    "latency_ms_samples": [4.2, 4.31, 4.4, 5.02],
    "peak_memory_mb": 512.0,
}

_ENVIRONMENT: dict[str, Any] = {
    "device": "AMD EPYC 9555P",
    "device_type": "cpu",
    "threads": 1,
    "workers": 2,
    "python": "3.11.9",
    "torch": "2.15.0",
    "torchvision": "0.29.2",
    "timm": "1.0.31",
    "numpy": "2.4.6",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "dirty": False,
    "created": "2026-03-01T10:00:00+00:00",
    "host_os": "Linux x86_64",
}
