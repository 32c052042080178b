"""Foreign weights on a test part: what they answer, what they cost, and whether they answer each sample for itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.entries.answers import Answers, answers_of
from ferbench.benchmark.entries.questions import Question
from ferbench.benchmark.entries.scoring import RunHere
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.batches import Batches, FrameBatches
from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.training import predict
from ferbench.benchmark.measures.efficiency import device_name, measure_inference, peak_memory
from ferbench.benchmark.planning.data import Report, open_data
from ferbench.datasets.views import Instances
from ferbench.models.architecture import Precision, View

TRIED = 16
"""Inputs that are answered alone, together and in another order."""
TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2}
"""How far a probability may differ for the order of sums alone, by precision."""


@dataclass(frozen=True)
class Predictor:
    """A model that somebody else trained."""

    model: nn.Module
    """(B,3,H,W), or (B,T,3,H,W) of a clip, a pair or a sequence -> (B,C) or (B,T,C), whose softmax answers."""
    file: Path
    classes: tuple[str, ...] | None
    """In the order of its columns; None: those of the data set, in its order."""
    outputs: int
    """How many columns it has."""
    view: View
    frames: int
    image_size: int
    digest: str
    """sha256 of its file."""
    raw: bool = False
    """Whether it takes pixels 0..255 instead of pictures normalised by ImageNet's statistics."""
    precision: Precision = "float32"
    channels_last: bool = False
    params: int | None = None
    macs: int | None = None
    notes: tuple[str, ...] = ()


class RawBatches:
    """Inputs as the frame store holds them: (B,3,H,W) of an image, else (B,K,3,H,W), uint8."""

    def __init__(self, material: Material) -> None:
        self.material = material

    def __call__(self, frames: NDArray[np.int64], generator: torch.Generator | None) -> Tensor:
        pixels = torch.from_numpy(self.material.store.read(frames)).movedim(-1, -3)
        return pixels.squeeze(1) if self.material.view == "image" else pixels

    def seconds(self, frames: NDArray[np.int64]) -> float:
        return 0.0


def evaluate(predictor: Predictor, question: Question, device: torch.device, report: Report) -> tuple[Answers, RunHere]:
    """What a predictor answers to a question, and how that was made.

    Raises:
        RequestError: its classes are not those of the data set, or nobody says what they are.
        DivergedError: it answers what is no number.
    """
    if predictor.classes is None and predictor.outputs != len(question.classes):
        raise RequestError(
            f"{predictor.file}: it has {predictor.outputs} classes, the data set {len(question.classes)}: say with "
            "--card which they are (model: {classes: [...]})"
        )
    began = time.perf_counter()
    model = predictor.model.to(device).eval()
    run = Run(device, predictor.precision, predictor.channels_last, 0, 0.0, lambda text, loss=None: None)
    corpus, store = open_data(question.location, predictor.image_size, report)
    assert corpus.frames == question.corpus.frames
    parts = []
    faults: list[str] = []
    with peak_memory(device) as peak:
        for fold, samples in question.samples.items():
            split = question.parts[fold]
            material = Material(question.corpus, question.cell.protocol, split, store, predictor.view, predictor.frames)
            batches: Batches = RawBatches(material) if predictor.raw else FrameBatches(material, run, "none")
            report(f"{question.location.name}, fold {fold}: answering {len(samples)} samples")
            ordered = np.sort(samples)
            parts.append(predict(model, batches, material, ordered, run)[np.searchsorted(ordered, samples)])
            if not faults:
                faults = _faults(model, batches, material, samples, run)
    tested = time.perf_counter()
    report(f"{question.location.name}: measuring throughput and latency")
    cost = _cost(predictor, model, device, peak.mb)
    names = question.classes if predictor.classes is None else predictor.classes
    answers = answers_of(names, np.concatenate(parts), question, "the predictor")
    environment = {
        "device": device_name(device),
        "device_type": device.type,
        "threads": torch.get_num_threads(),
        "precision": predictor.precision,
    }
    timing = {"test_s": tested - began, "measure_s": time.perf_counter() - tested}
    return answers, RunHere(cost, timing, environment, predictor.view, (*predictor.notes, *faults))


def _faults(model: nn.Module, batches: Batches, material: Material, samples: NDArray[np.int64], run: Run) -> list[str]:
    """What the board must say where an answer depends on more than its own sample."""
    inputs = material.instances(np.sort(samples))
    rows = np.unique(np.linspace(0, len(inputs) - 1, min(TRIED, len(inputs))).astype(np.int64))
    ask = _asker(model, batches, material, inputs, run)
    together = ask(rows)
    limit = TOLERANCE[run.precision]

    def differ(other: NDArray[np.float64]) -> float:
        return float(np.abs(other - together).max())

    found = []
    if (most := differ(ask(rows))) > limit:
        return [f"FAULT: the same batch gets other answers when it is asked again (by up to {most:.2f})"]
    if (most := differ(np.concatenate([ask(rows[i : i + 1]) for i in range(len(rows))]))) > limit:
        found.append(f"FAULT: a sample alone gets another answer than in a batch (by up to {most:.2f})")
    if (most := differ(ask(rows[::-1])[::-1])) > limit:
        found.append(f"FAULT: the order of the samples changes the answers (by up to {most:.2f})")
    return found


def _asker(
    model: nn.Module, batches: Batches, material: Material, inputs: Instances, run: Run
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    """Answers (B,...) to some of the inputs, as one batch."""

    def ask(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        with torch.inference_mode(), run.autocast():
            output = model(batches(inputs.frames[rows], None)).float()
            return material.task.answer(output).double().cpu().numpy()

    return ask


def _cost(predictor: Predictor, model: nn.Module, device: torch.device, peak_mb: float) -> dict[str, Any]:
    """As of a trained cell; what nobody can know of foreign weights is None."""
    image = (3, predictor.image_size, predictor.image_size)
    shape = (1, *image) if predictor.view == "image" else (1, predictor.frames, *image)
    speed = measure_inference(model, shape, device, predictor.precision, channels_last=predictor.channels_last)
    return {
        "params": predictor.params,
        "params_trained": 0,
        "macs": predictor.macs,
        "params_full": None,
        "macs_full": None,
        "train_samples_per_s": None,
        **speed.figures,
        "peak_memory_mb": peak_mb if math.isfinite(peak_mb) else None,
    }
