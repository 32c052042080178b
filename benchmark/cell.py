"""One cell from data to record: the main story, to be read from top to bottom.

A cell's key is the hash of all that defines its numbers. Two cells of one key have the same predictions on the same
machine, so a finished record of that key is never made again; when any part of the key changes, the cell is run anew
and the record says which part it was.
"""

from __future__ import annotations

import hashlib
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.baselines import TITLES
from benchmark.data import Location, Report
from benchmark.provenance import CHECKOUT, code_hash, commit, environment, hash_of
from benchmark.records import write_record
from benchmark.registry import architectures
from benchmark.suite import Cell

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from benchmark.training import Run
    from datasets.corpus import Corpus
    from datasets.splits import Split
    from models.architecture import Architecture, Size

STARTING_WEIGHTS = CHECKOUT / "models" / "weights"

ORIGIN = ("commit", "dirty")
"""Entries of a cell's identity that stand in its record's environment."""


def key_parts(cell: Cell, location: Location, device_type: str) -> dict[str, Any]:
    """All that defines a cell's numbers, by name; imports neither torch nor the architecture."""
    same = {
        "dataset": location.name,
        "data": location.identity,
        "protocol": hash_of(sorted(cell.protocol.as_dict().items())),
        "seed": cell.seed,
        "fold": cell.fold,
    }
    if cell.kind != "architecture":
        return {"architecture": cell.architecture, "code": code_hash("benchmark.baselines"), **same}
    return {
        "architecture": cell.architecture,
        "code": code_hash(architectures.module(cell.architecture)),
        "training_code": code_hash("benchmark.training"),
        "starting_weights": _starting_weights(),
        "size": cell.size,
        "epochs": cell.epochs,
        "device_type": device_type,
        **same,
    }


@cache
def _starting_weights() -> str:
    """Hash of every file of starting weights."""
    files = sorted(STARTING_WEIGHTS.glob("*.safetensors"))
    return hash_of([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])


def key_of(parts: dict[str, Any]) -> str:
    """The key that these parts make."""
    return hash_of(sorted(parts.items()))


def identity(cell: Cell, location: Location, device_type: str) -> dict[str, Any]:
    """What a record says of its cell before anything has run; a failed cell's record is little else.

    It is taken when the run is planned: code that is edited while a cell trains is not the code that trains it.
    """
    parts = key_parts(cell, location, device_type)
    head, dirty = commit()
    return {
        "commit": head,
        "dirty": dirty,
        "key": key_of(parts),
        "key_parts": parts,
        "architecture": cell.architecture,
        "dataset": location.name,
        "source": location.source,
        "suite": cell.suite,
        "size": cell.size,
        "seed": cell.seed,
        "fold": cell.fold,
        "kind": cell.kind,
        "protocol": cell.protocol.as_dict(),
    }


def failed_record(about: dict[str, Any], device_type: str, error: str) -> dict[str, Any]:
    """The record of a cell that failed, from its identity: it stays on the board with its reason."""
    origin = {name: about[name] for name in ORIGIN}
    return {
        **{name: value for name, value in about.items() if name not in ORIGIN},
        "status": "failed",
        "error": error,
        "title": TITLES.get(about["architecture"], about["architecture"]),
        "view": "none",
        "started_from": "none",
        "classes": [],
        "absent_classes": [],
        "subjects_known": True,
        "notes": [],
        "recipe": {},
        "history": [],
        "metrics": None,
        "cost": None,
        "counts": {},
        "timing": {},
        "environment": {"device": None, "device_type": device_type, **environment(), **origin},
    }


def run_cell(
    cell: Cell,
    location: Location,
    about: dict[str, Any],
    device_type: str,
    workers: int,
    results: Path,
    report: Report,
) -> float:
    """Trains, tests and measures a cell of this identity, and writes its record. Returns its ABAW."""
    import torch

    from benchmark.data import open_data
    from benchmark.efficiency import device_name
    from datasets.splits import split

    began = time.perf_counter()
    device = torch.device(device_type)
    corpus, store = open_data(location, cell.image_size, report)
    parts = split(corpus, cell.protocol, cell.fold, store.content)
    if cell.kind == "architecture":
        found = _architecture_cell(cell, corpus, parts, store, device, report)
    else:
        found = _baseline_cell(cell, corpus, parts)
    table = prediction_table(corpus, parts.test, found.pop("probability"))
    record = {
        **{name: value for name, value in about.items() if name not in ORIGIN},
        "status": "ok",
        "error": None,
        "classes": list(corpus.classes),
        "absent_classes": list(corpus.absent_classes),
        "subjects_known": corpus.subjects_known,
        **found,
        "notes": [*corpus.notes, *found["notes"]],
        "metrics": metrics_of(table, corpus.classes),
        "counts": counts_of(corpus, parts, store.missing),
        "environment": {
            "device": device_name(device),
            "device_type": device_type,
            "threads": torch.get_num_threads(),
            "workers": workers,
            "precision": found["precision"],
            **environment(),
            **{name: about[name] for name in ORIGIN},
        },
    }
    record["timing"]["total_s"] = time.perf_counter() - began
    write_record(cell.folder(results, location.name), record, table)
    return float(record["metrics"]["abaw"])


def _architecture_cell(
    cell: Cell, corpus: Corpus, parts: Split, store: Any, device: torch.device, report: Report
) -> dict[str, Any]:
    """Trains on the training part, chooses the epoch on the validation part, and uses the test part once."""
    from benchmark.efficiency import peak_memory
    from benchmark.training import FrameBatches, Material, Run, build, predict, train

    architecture = architectures.get(cell.architecture)
    size = architecture.sizes[cell.size]
    run = Run(
        device=device,
        precision=size.precision[device.type],
        channels_last=size.channels_last,
        seed=cell.seed,
        epochs=cell.epochs,
        report=Told(report),
    )
    frames = size.frames if architecture.view in ("clip", "sequence") else 1
    material = Material(corpus, cell.protocol, parts, store, architecture.view, frames)
    model, started_from = build(architecture, size, len(corpus.classes), run)
    with peak_memory(device) as peak:
        began = time.perf_counter()
        history = train(model, architecture, size, material, run)
        trained = time.perf_counter()
        probability = predict(model, FrameBatches(material, run, "none"), material, parts.test, run)
        tested = time.perf_counter()
    report("measuring throughput and latency")
    return {
        "title": architecture.title,
        "view": architecture.view,
        "started_from": started_from,
        "recipe": recipe_of(size, cell.epochs),
        "history": history,
        "notes": notes_of(architecture, size, corpus),
        "probability": probability,
        "precision": run.precision,
        "cost": cost_of(architecture, cell, len(corpus.classes), model, history, peak.mb, run),
        "timing": {"train_s": trained - began, "test_s": tested - trained, "measure_s": time.perf_counter() - tested},
    }


def _baseline_cell(cell: Cell, corpus: Corpus, parts: Split) -> dict[str, Any]:
    from benchmark.baselines import baseline_scores

    began = time.perf_counter()
    probability = baseline_scores(cell.architecture, corpus, parts, cell.seed)
    return {
        "title": TITLES[cell.architecture],
        "view": "none",
        "started_from": "none",
        "recipe": {},
        "history": [],
        "notes": [],
        "probability": probability,
        "precision": "float64",
        "cost": None,
        "timing": {"train_s": time.perf_counter() - began},
    }


def notes_of(architecture: Architecture, size: Size, corpus: Corpus) -> list[str]:
    """What the board must say of how this architecture sees these data and what it starts from."""
    notes = []
    if (corpus.stop - corpus.start == 1).all() and architecture.view in ("clip", "sequence"):
        notes.append("still clip: every frame is the same image")
    loaded = [weights.into for weights in size.weights]
    frozen = [p for p in size.stages[0].frozen if not any(f"{p}.".startswith(f"{into}.") for into in loaded)]
    return [*notes, *(f"its frozen {part} has random weights: official ones are not loaded" for part in frozen)]


def recipe_of(size: Size, epochs: float) -> dict[str, Any]:
    """The recipe as it is kept in the record."""
    from dataclasses import asdict

    stages = [asdict(stage) for stage in size.stages]
    return {"stages": stages, "epochs_factor": epochs, "image_size": size.image_size, "frames": size.frames}


def prediction_table(corpus: Corpus, samples: NDArray[np.int64], probability: NDArray[np.float64]) -> pd.DataFrame:
    """One row a test sample: sample, subject, label, predicted and a score a class."""
    import pandas as pd

    subject = corpus.subject
    table = {
        "sample": [corpus.sample_id[i] for i in samples],
        "subject": [subject[i] for i in samples],
        "label": corpus.label[samples],
        "predicted": probability.argmax(axis=1),
    }
    scores = {f"score_{name}": probability[:, c].astype("float32") for c, name in enumerate(corpus.classes)}
    return pd.DataFrame({**table, **scores})


def metrics_of(table: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Every measure, recomputable from the saved predictions alone."""
    from dataclasses import asdict

    from benchmark.metrics import confusion_matrix, scores

    confusion = confusion_matrix(table["label"].to_numpy(), table["predicted"].to_numpy(), len(classes))
    found = asdict(scores(confusion))
    found["f1_per_class"] = dict(zip(classes, found["f1_per_class"], strict=True))
    return {**found, "confusion": confusion.tolist()}


def counts_of(corpus: Corpus, parts: Split, missing: NDArray[np.bool_]) -> dict[str, int]:
    """Samples of each part, and frames of the test samples that had to be filled in."""
    import numpy as np

    before = np.concatenate([[0], np.cumsum(missing)])
    filled = before[corpus.stop[parts.test]] - before[corpus.start[parts.test]]
    return {f"{name}_samples": len(rows) for name, rows in parts.parts.items()} | {"missing_frames": int(filled.sum())}


def cost_of(
    architecture: Architecture, cell: Cell, num_classes: int, model: torch.nn.Module,
    history: list[dict[str, Any]], peak_mb: float, run: Run,
) -> dict[str, Any]:  # fmt: skip
    """Parameters, multiply-adds, throughput, latency and memory, by the efficiency rules."""
    from benchmark.efficiency import count_macs, count_parameters, measure_inference

    paper_model = _on_meta(architecture.sizes["full"], num_classes) if "full" in architecture.sizes else None
    speed = measure_inference(
        model, architecture.input_shape(cell.size), run.device, run.precision, channels_last=run.channels_last
    )
    seconds = sum(epoch["seconds"] for epoch in history)
    return {
        "params": count_parameters(model),
        "macs": count_macs(model, architecture.input_shape(cell.size)),
        "params_full": count_parameters(paper_model) if paper_model else None,
        "macs_full": count_macs(paper_model, architecture.input_shape("full")) if paper_model else None,
        "train_samples_per_s": sum(epoch["samples"] for epoch in history) / seconds,
        "infer_samples_per_s": speed.infer_samples_per_s,
        "infer_batch": speed.batch,
        "latency_ms_p50": speed.latency_ms_p50,
        "latency_ms_p95": speed.latency_ms_p95,
        "latency_ms_samples": [round(ms, 4) for ms in speed.latency_ms],
        "peak_memory_mb": peak_mb,
    }


def _on_meta(size: Size, num_classes: int) -> torch.nn.Module:
    import torch

    with torch.device("meta"):
        return size.build(num_classes)


class Told:
    """Passes on what the training loop reports, with the loss, at most twice a second."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.due = 0.0

    def __call__(self, text: str, loss: torch.Tensor | None = None) -> None:
        now = time.monotonic()
        if now >= self.due:
            self.due = now + 0.5
            self.report(text if loss is None else f"{text}, loss {float(loss):.3f}")
