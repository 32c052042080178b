"""One cell from data to record: the main story, to be read from top to bottom.

What a cell is, and the key under which its record is known, stands in `planning.identity`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferbench.benchmark.learning.classical import TITLES as CLASSICAL_TITLES
from ferbench.benchmark.measures.floors import TITLES as DRAWN_TITLES
from ferbench.benchmark.planning.data import Location, Report
from ferbench.benchmark.planning.identity import (
    ORIGIN,
    PLANNED,
    lender_of,
    members_of,
    share_of_budget,
)
from ferbench.benchmark.planning.official import GivenWeights, foreign_weights, load_given
from ferbench.benchmark.planning.registry import architectures, data_sets, ensembles
from ferbench.benchmark.planning.suite import CLASSICAL, Cell
from ferbench.benchmark.planning.tuned import SHIPPED, said_on
from ferbench.benchmark.records.cache import alone
from ferbench.benchmark.records.installation import cache_folder, own_version
from ferbench.benchmark.records.provenance import code_hash, environment, hash_of
from ferbench.benchmark.records.record import ABOUT, WEIGHTS, Headline, Record, finished, read_record, write_record

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    from numpy.typing import NDArray

    from ferbench.benchmark.learning.features import Shelf
    from ferbench.benchmark.learning.material import Material, Run
    from ferbench.benchmark.learning.resuming import Keeper
    from ferbench.datasets.corpus import Corpus
    from ferbench.datasets.dataset import Protocol
    from ferbench.datasets.frames import FrameStore
    from ferbench.datasets.splits import Split
    from ferbench.models.architecture import Architecture, Size

TITLES = {**DRAWN_TITLES, **CLASSICAL_TITLES}

FREE = 0.05
"""Share of a disk that must be free for features to be kept on it."""


def failed_record(about: dict[str, Any], device_type: str, error: str) -> dict[str, Any]:
    """The record of a cell that failed, from its identity: it stays on the board with its reason."""
    origin = {name: about[name] for name in ORIGIN}
    return {
        **{name: value for name, value in about.items() if name not in PLANNED},
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


def made(cell: Cell, folder: Path, key: str) -> Headline | None:
    """Headline measure of a cell's finished record; None where there is none, or where it lacks the weights that were
    asked for."""
    lacks = cell.keep == "all" and cell.kind == "architecture" and not (folder / WEIGHTS).is_file()
    return None if lacks else finished(folder, key)


def run_cell(
    cell: Cell,
    location: Location,
    about: dict[str, Any],
    device_type: str,
    workers: int,
    results: Path,
    report: Report,
) -> Headline:
    """Trains, tests and measures a cell of this identity, and writes its record."""
    import torch

    from ferbench.benchmark.learning.determinism import deterministic_if_it_can
    from ferbench.benchmark.learning.task import metrics_of
    from ferbench.benchmark.measures.calibration import calibration
    from ferbench.benchmark.measures.efficiency import device_name
    from ferbench.benchmark.planning.data import open_data
    from ferbench.benchmark.planning.leaks import copies_of, parted
    from ferbench.datasets.corpus import DataError
    from ferbench.datasets.integrity import too_much_lost

    began = time.perf_counter()
    device = torch.device(device_type)
    corpus, store = open_data(location, cell.image_size, report)
    if reason := too_much_lost(corpus, store.missing, data_sets.get(cell.dataset).sparse):
        raise DataError(f"{corpus.name}: {reason}")
    copies = copies_of(location, report)
    parts, found_twice = parted(corpus, cell.protocol, cell.fold, store.content, copies, cell.allow_leaks)
    keys = {cell.architecture: about["key"], **about["keys_below"]}
    if cell.kind == "architecture":
        found, undetermined = deterministic_if_it_can(
            lambda: _architecture_cell(cell, corpus, parts, store, device, keys, report)
        )
        if undetermined:
            found["notes"].append(f"not the same bit for bit when trained again: {undetermined} is not deterministic")
    elif cell.kind == "ensemble":
        found = _ensemble_cell(cell, corpus, parts, keys, results)
    else:
        found = _baseline_cell(cell, corpus, parts, store)
    keeper: Keeper | None = found.pop("keeper", None)
    answers, chosen_on = found.pop("answers"), found.pop("validation_answers", None)
    model = found.pop("model", None)
    table = prediction_table(corpus, parts.test, answers)
    validation = None if chosen_on is None else prediction_table(corpus, parts.validation, chosen_on)
    if chosen_on is not None and corpus.target is None:
        labels = corpus.label[parts.validation], corpus.label[parts.test]
        found["calibration"] = calibration(chosen_on, labels[0], answers, labels[1])
    record = {
        **{name: value for name, value in about.items() if name not in PLANNED},
        "status": "ok",
        "error": None,
        "classes": list(corpus.classes),
        "absent_classes": list(corpus.absent_classes),
        "subjects_known": corpus.subjects_known,
        **asked_of(cell.dataset, corpus),
        **found,
        "notes": [*corpus.notes, *found_twice, *found["notes"]],
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
    folder = cell.folder(results, location.name)
    if model is not None:
        keep_weights(cell, folder, model, record)
    else:
        (folder / WEIGHTS).unlink(missing_ok=True)  # of an earlier record of this cell
    write_record(folder, record, table, validation)
    if keeper:
        keeper.forget()
    return Record(folder, record).headline


def keep_weights(cell: Cell, folder: Path, model: torch.nn.Module, record: dict[str, Any]) -> None:
    """Keeps the trained weights of a cell beside its record, or removes those of an earlier one."""
    from ferbench.benchmark.learning.kept import About, keep

    headline = Record(folder, record).headline
    if cell.keep == "best" and a_better_is_kept(folder, headline):
        (folder / WEIGHTS).unlink(missing_ok=True)
        return
    about = About(
        version=own_version(),
        architecture=cell.architecture,
        size=cell.size,
        dataset=record["dataset"],
        classes=tuple(record["classes"]),
        value=headline.name == "ccc",
        protocol=record["protocol"],
        key=record["key"],
        score=headline.value,
        temperature=record.get("calibration", {}).get("temperature", 1.0),
    )
    folder.mkdir(parents=True, exist_ok=True)
    keep(folder / WEIGHTS, model, about)


def a_better_is_kept(folder: Path, headline: Headline) -> bool:
    """Whether the weights of a better row of the same data set, seed and fold are kept already."""
    beside = [file.parent for file in folder.parent.parent.glob(f"*/{folder.name}/{WEIGHTS}")]
    others = [record for other in beside if other != folder and (record := read_record(other)) is not None]
    # Weights of an earlier record may lie beside that of a cell that has failed since.
    return any(other.data["status"] == "ok" and other.headline.value > headline.value for other in others)


def _architecture_cell(
    cell: Cell,
    corpus: Corpus,
    parts: Split,
    store: FrameStore,
    device: torch.device,
    keys: dict[str, str],
    report: Report,
) -> dict[str, Any]:
    """Trains on the training part, chooses the epoch on the validation part, and uses the test part once."""
    from ferbench.benchmark.learning.material import Material, Run
    from ferbench.benchmark.learning.training import predict_with
    from ferbench.benchmark.measures.efficiency import peak_memory

    architecture = architectures.get(cell.architecture)
    size = architecture.sizes[cell.size]
    run = Run(
        device=device,
        precision=size.precision_on(device.type),
        channels_last=size.channels_last,
        seed=cell.seed,
        epochs=cell.epochs,
        report=Told(report),
        shelf=shelf_on(device),
    )
    material = Material(corpus, cell.protocol, parts, store, architecture.view, size.frames, size.shuffle_frames)
    with peak_memory(device) as peak:
        began = time.perf_counter()
        training = trained_model(cell, material, run, keys)
        model, history = training.model, training.history
        trained = time.perf_counter()
        answers = predict_with(model, size, material, parts.test, run)
        tested = time.perf_counter()
    validation = predict_with(model, size, material, parts.validation, run)
    report("measuring throughput and latency")
    return {
        "title": architecture.title,
        "view": architecture.view,
        "started_from": training.started_from,
        "recipe": {**recipe_of(size, cell), "chosen": said_on(cell.chosen or SHIPPED * size.searched, corpus.name)},
        "history": history,
        "notes": [
            *notes_of(
                architecture, size, corpus, cell.protocol, foreign_weights(architecture.name, cell.size, cell.weights)
            ),
            *cut_short(history, cell),
        ],
        "keeper": keeper_of(keys[cell.architecture], run),
        "answers": answers,
        "validation_answers": validation,
        "model": model if cell.keep != "none" else None,
        "precision": run.precision,
        "cost": cost_of(architecture, cell, len(corpus.classes), training, peak.mb, run),
        "timing": {"train_s": trained - began, "test_s": tested - trained, "measure_s": time.perf_counter() - tested},
    }


def shelf_on(device: torch.device) -> Shelf | None:
    """Where features are kept that this code makes on this device; None where the cache cannot be written, or its disk
    is nearly full: records and weights need what is left."""
    import os
    import shutil

    import torch

    from ferbench.benchmark.learning.features import Shelf
    from ferbench.benchmark.measures.efficiency import device_name

    made_by = (code_hash("ferbench.benchmark.learning.training"), torch.get_num_threads(), device_name(device))
    folder = cache_folder() / "features" / hash_of(made_by)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk = shutil.disk_usage(folder)
    except OSError:
        return None
    return Shelf(folder, alone) if os.access(folder, os.W_OK) and disk.free > disk.total * FREE else None


def keeper_of(key: str, run: Run) -> Keeper:
    """Keeps the training of a cell of this key: apart from another number of threads, another precision or version of
    torch, under which it would end with other numbers."""
    import torch

    from ferbench.benchmark.learning.resuming import Keeper

    under = (key, torch.get_num_threads(), run.device.type, run.precision, torch.__version__)
    return Keeper(cache_folder() / "training" / f"{hash_of(under)}.pt")


@dataclass(frozen=True)
class Training:
    """What the training of a cell ends with."""

    model: torch.nn.Module
    history: list[dict[str, Any]]
    started_from: str
    moved: frozenset[str]
    """Parameters of the model that training changed, whichever stage it was, and in whichever architecture that lent
    them. A stage may leave what another has moved, so what each of them moved is in the history too."""

    @property
    def params_moved(self) -> int:
        """How many numbers they hold."""
        return sum(p.numel() for name, p in self.model.named_parameters() if name in self.moved)

    def lent(self, part: str, into: str) -> set[str]:
        """Those of a part, by the names that they have where it is lent to."""
        here, there = (f"{place}." if place else "" for place in (part, into))
        return {f"{there}{name.removeprefix(here)}" for name in self.moved if name.startswith(here)}


def trained_model(
    cell: Cell, material: Material, run: Run, keys: dict[str, str], watch: Keeper | None = None
) -> Training:
    """The model of a cell after its training, with the history, what it started from and what was moved.

    What it starts from may be what another architecture's training on the same part ends with: that comes first then,
    and its epochs stand first in the history. What is lent is kept under its planned key (`keys`, by architecture).

    Args:
        watch: is told of the cell's own stages in place of what keeps them: nothing of them is kept then.
    """
    from ferbench.benchmark.learning.lending import trained_once
    from ferbench.benchmark.learning.training import build, marks, train

    architecture = architectures.get(cell.architecture)
    size = architecture.sizes[cell.size]
    material = replace(material, view=architecture.view, frames=size.frames, shuffle_frames=size.shuffle_frames)
    model, started_from = build(architecture, size, len(material.corpus.classes), run)
    official = load_given(model, architecture, cell.size, cell.weights)
    started_from = ", ".join(map(str, official)) or started_from
    history: list[dict[str, Any]] = []
    moved: set[str] = set()
    for name in dict.fromkeys(lent.architecture for lent in size.trained):
        lender = trained_model(lender_of(cell, name), material, run, keys)
        history += [{**epoch, "stage": f"{name}: {epoch['stage']}"} for epoch in lender.history]
        for lent in size.trained:
            if lent.architecture == name:
                model.get_submodule(lent.into).load_state_dict(lender.model.get_submodule(lent.part).state_dict())
                moved |= lender.lent(lent.part, lent.into)
        begun = f" from {lender.started_from}" if foreign_weights(name, cell.size, cell.weights) else ""
        also = f", {started_from}" if size.weights or official else ""
        started_from = f"{name} trained on the same part{begun}{also}"
    names, before = [name for name, _ in model.named_parameters()], marks(model.parameters())
    keeper = watch or keeper_of(keys[cell.architecture], run)
    run = replace(run, keeper=keeper, budget=share_of_budget(cell))
    if architecture.lends and watch is None:
        key = keys[cell.architecture]
        history += trained_once(model, key, lambda: train(model, architecture, size, material, run))[0]
        keeper.forget()  # what is lent is kept
    else:
        history += train(model, architecture, size, material, run)
    after = marks(model.parameters())
    moved |= {name for name, old, new in zip(names, before, after, strict=True) if old != new}
    return Training(model, history, started_from, frozenset(moved))


def _ensemble_cell(cell: Cell, corpus: Corpus, parts: Split, keys: dict[str, str], results: Path) -> dict[str, Any]:
    """Fuses what the members have saved; nothing is trained."""
    from ferbench.benchmark.measures.fusion import MemberError, fuse, fused_cost

    began = time.perf_counter()
    ensemble = ensembles.get(cell.architecture)
    members: dict[str, Record] = {}
    for member in members_of(cell):
        record = read_record(member.folder(results, corpus.name))
        if record is None or record.data["status"] != "ok" or record.data["key"] != keys[member.architecture]:
            raise MemberError(f"its member {member.architecture} has no finished record: see why that one failed")
        members[member.architecture] = record
    answers, samples, weights = fuse(members)
    if samples != [corpus.sample_id[i] for i in parts.test]:
        raise MemberError(f"{', '.join(members)} have answered other samples than the test part's: run them again")
    shares = ", ".join(f"{name} {weight:.1f}" for name, weight in weights.items())
    return {
        "title": ensemble.title,
        "view": "none",
        "started_from": "none",
        "recipe": {"members": weights},
        "history": [],
        "notes": [f"weights fitted on the validation part: {shares}; cost and time are the sums of its members'"],
        "answers": answers,
        "precision": "/".join(dict.fromkeys(r.data["environment"]["precision"] for r in members.values())),
        "cost": fused_cost(members),
        "timing": {"train_s": time.perf_counter() - began},
    }


def _baseline_cell(cell: Cell, corpus: Corpus, parts: Split, store: FrameStore) -> dict[str, Any]:
    from ferbench.benchmark.learning.classical import classical_answers
    from ferbench.benchmark.learning.material import Material
    from ferbench.benchmark.measures.floors import baseline_scores

    began = time.perf_counter()
    if cell.architecture in CLASSICAL:
        answers = classical_answers(cell.architecture, Material(corpus, cell.protocol, parts, store, "image", 1))
    else:
        answers = baseline_scores(cell.architecture, corpus, cell.protocol, parts, cell.seed)
    return {
        "title": TITLES[cell.architecture],
        "view": "none",
        "started_from": "none",
        "recipe": {},
        "history": [],
        "notes": [],
        "answers": answers,
        "precision": "float32" if cell.architecture in CLASSICAL else "float64",
        "cost": None,
        "timing": {"train_s": time.perf_counter() - began},
    }


def notes_of(
    architecture: Architecture,
    size: Size,
    corpus: Corpus,
    protocol: Protocol,
    official: tuple[GivenWeights, ...] = (),
) -> list[str]:
    """What the board must say of how this architecture sees these data and what it starts from."""
    import numpy as np

    notes = []
    alone = protocol.context == 0 or bool((np.diff(corpus.track_start) == 1).all())
    if alone and (corpus.stop - corpus.start == 1).all() and architecture.view in ("clip", "sequence"):
        notes.append("still clip: every frame is the same image")
    loaded = [*(weights.into for weights in size.weights), *(lent.into for lent in size.trained)]
    loaded += [weights.into for weights in official]
    first = size.stages[0].frozen if size.stages else ()
    frozen = [p for p in first if not any(not into or f"{p}.".startswith(f"{into}.") for into in loaded)]
    return [*notes, *(f"its frozen {part} has random weights: official ones are not loaded" for part in frozen)]


def cut_short(history: list[dict[str, Any]], cell: Cell) -> list[str]:
    """What the board must say of a training that never saw all that there was in one epoch."""
    if all(epoch["samples"] >= epoch["inputs"] for epoch in history):
        return []
    why = "the budget ends before" if cell.budget else "its recipe's max_samples is less than"
    return [f"not trained on every sample in each epoch: {why} one epoch"]


def recipe_of(size: Size, cell: Cell) -> dict[str, Any]:
    """The recipe as it is kept in the record."""
    from dataclasses import asdict

    stages = [asdict(stage) for stage in size.stages]
    length = {"budget_s": cell.budget} if cell.budget else {"epochs_factor": cell.epochs}
    return {"stages": stages, **length, "image_size": size.image_size, "frames": size.frames}


def prediction_table(corpus: Corpus, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> pd.DataFrame:
    """One row a sample: sample, subject, track, what else the release says of it, the truth, and what was answered."""
    import pandas as pd

    from ferbench.benchmark.learning.task import task_of

    subject = corpus.subject
    track = {int(t): corpus.track_name(int(t)) for t in set(corpus.track[samples].tolist())}
    table = {
        "sample": [corpus.sample_id[i] for i in samples],
        "subject": [subject[i] for i in samples],
        "track": [track[int(corpus.track[i])] for i in samples],
        **{f"{ABOUT}{name}": [values[i] for i in samples] for name, values in corpus.attributes.items()},
    }
    return pd.DataFrame({**table, **task_of(corpus).columns(samples, answers)})


def asked_of(dataset: str, corpus: Corpus) -> dict[str, Any]:
    """What kind of question a data set asks, for the board: it groups tables and chooses columns by it."""
    import numpy as np

    still = bool((np.diff(corpus.track_start) == 1).all())
    return {
        "task": "valence" if corpus.target is not None else "still" if still else "video",
        "field_measures": data_sets.get(dataset).field_measures and corpus.target is None,
        "attributes": sorted(corpus.attributes),
    }


def counts_of(corpus: Corpus, parts: Split, missing: NDArray[np.bool_]) -> dict[str, int]:
    """Samples of each part, frames of the test samples that had to be filled in, and samples that the rule for copies
    left out."""
    import numpy as np

    before = np.concatenate([[0], np.cumsum(missing)])
    filled = before[corpus.stop[parts.test]] - before[corpus.start[parts.test]]
    counts = {f"{name}_samples": len(rows) for name, rows in parts.parts.items()}
    return counts | {"missing_frames": int(filled.sum()), "copies_left_out": len(parts.dropped)}


def cost_of(
    architecture: Architecture, cell: Cell, num_classes: int, training: Training, peak_mb: float, run: Run
) -> dict[str, Any]:
    """Parameters, multiply-adds, throughput, latency and memory, by the efficiency rules."""
    from ferbench.benchmark.learning.folding import folded
    from ferbench.benchmark.measures.efficiency import count_parameters, known_macs, measure_inference

    model, history = training.model, training.history
    params_full, macs_full = _cost_at_full_size(architecture.name, num_classes)
    speed = measure_inference(
        folded(model), architecture.input_shape(cell.size), run.device, run.precision, channels_last=run.channels_last
    )
    seconds = sum(epoch["seconds"] for epoch in history) or float("inf")  # of an average, nothing is trained
    return {
        "params": count_parameters(model),
        "params_trained": training.params_moved,
        "macs": known_macs(model, architecture.input_shape(cell.size)),
        "params_full": params_full,
        "macs_full": macs_full,
        "train_samples_per_s": sum(epoch["samples"] for epoch in history) / seconds,
        **speed.figures,
        "peak_memory_mb": peak_mb,
    }


@cache
def _cost_at_full_size(name: str, num_classes: int) -> tuple[int | None, int | None]:
    """Parameters and multiply-adds of the paper's size; None each where there is no such size. A worker that makes
    several folds and seeds of a row counts once."""
    from ferbench.benchmark.measures.efficiency import count_parameters, known_macs, without_data

    architecture = architectures.get(name)
    if "full" not in architecture.sizes:
        return None, None
    model = without_data(lambda: architecture.sizes["full"].build(num_classes))
    return count_parameters(model), known_macs(model, architecture.input_shape("full"))


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
