"""What makes each twin hard, measured: `python -P tests/proof/measure_twins.py [--out FILE]` (about ten minutes).

For each data set of the default suite, at its scale and fold, on the test part: floors and oracle; Difference of
Embeddings with both frames and with the target alone (what a neutral reference is worth); clip architectures with
frames in order and shuffled (what time is worth); and architectures trained on labels that were dealt out anew among
the training samples, which must end at the floors. The figures stand in docs/twins.md.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmark.baselines import baseline_scores
from benchmark.data import locate, open_data
from benchmark.registry import architectures
from benchmark.suite import BASELINES, Cell, cells_of, load_suite
from benchmark.training import Material, Run, build, make_deterministic, predict_with, train
from datasets.corpus import Corpus
from datasets.splits import Split, split
from datasets.streams import number_of

NEUTRAL = ("difference_of_embeddings", "difference_of_embeddings@target_only")
TIME = ("cnn_lstm_attention", "cnn_lstm_attention@shuffled", "timesformer", "timesformer@shuffled")
DEALT = ("difference_of_embeddings", "cnn_lstm_attention")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=Path("results/proof/twins.jsonl"))
    options.add_argument("--datasets", default="")
    asked = options.parse_args()
    make_deterministic()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    suite = load_suite("default")[1]
    named = [name for name in asked.datasets.split(",") if name] or None
    cells = {cell.dataset: cell for cell in cells_of("default", suite, ["c3d"], named) if cell.kind == "architecture"}
    with asked.out.open("a", encoding="utf-8") as lines:
        for dataset, cell in cells.items():
            for row, abaw in measured(cell):
                print(f"{dataset:16} {row:45} {abaw:.3f}", flush=True)
                lines.write(json.dumps({"dataset": dataset, "row": row, "abaw": abaw}) + "\n")


def measured(cell: Cell):  # type: ignore[no-untyped-def]
    """Name and ABAW of each row of a data set."""
    location = locate(cell, None)
    corpus, store = open_data(location, cell.image_size, lambda _: None)
    parts = split(corpus, cell.protocol, cell.fold, store.content)
    material = Material(corpus, cell.protocol, parts, store, "clip", 1)
    for name in BASELINES:
        answers = baseline_scores(name, corpus, cell.protocol, parts, cell.seed)
        yield name, material.task.quality(parts.test, answers)[0]
    for name in (*NEUTRAL, *TIME):
        yield name, abaw_of(name, material)
    for name in DEALT:
        yield f"{name}, labels dealt anew", abaw_of(name, replace(material, corpus=dealt_anew(corpus, parts)))


def dealt_anew(corpus: Corpus, parts: Split) -> Corpus:
    """The corpus with the labels of the training part in another order, and those of the validation part too."""
    rng, label = np.random.default_rng(number_of("labels dealt anew", corpus.name)), corpus.label.copy()
    for rows in (parts.train, parts.validation):
        label[rows] = rng.permutation(label[rows])
    return replace(corpus, label=label)


def abaw_of(name: str, material: Material) -> float:
    """ABAW on the test part of a tiny size, trained with its recipe."""
    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    run = Run(torch.device("cpu"), "float32", size.channels_last, 0, 1.0, lambda *_, **__: None)
    seen = replace(material, view=architecture.view, frames=size.frames, shuffle_frames=size.shuffle_frames)
    model = build(architecture, size, len(seen.corpus.classes), run)[0]
    train(model, architecture, size, seen, run)
    samples = seen.split.test
    return seen.task.quality(samples, predict_with(model, size, seen, samples, run))[0]


if __name__ == "__main__":
    main()
