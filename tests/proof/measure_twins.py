"""What makes each twin hard, measured: `python -P tests/proof/measure_twins.py [--out FILE]` (about half an hour).

For each data set of the default suite, at its scale and fold, on the test part: floors and oracle; Difference of
Embeddings with both frames and with the target alone (what a neutral reference is worth); clip architectures with
frames in order and shuffled (what time is worth); and architectures trained on labels that were dealt out anew among
the training samples, which must end at the floors. Each is trained with several seeds. One JSON line a result is
appended to `--out`: ABAW, or the difference of two on the same samples, with its 95% interval over subjects (over
samples where they are unknown). The figures stand in docs/twins.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.training import build, make_deterministic, predict_with, train
from ferbench.benchmark.measures.floors import baseline_scores
from ferbench.benchmark.measures.resampling import score
from ferbench.benchmark.measures.statistics import bootstrap_interval, paired_bootstrap
from ferbench.benchmark.planning.data import locate, open_data
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.planning.suite import BASELINES, Cell, cells_of, load_suite
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.splits import Split, split
from ferbench.datasets.streams import number_of

SEEDS = (0, 1, 2)
PAIRS = {
    "neutral reference": ("difference_of_embeddings@target_only", "difference_of_embeddings"),
    "order, c3d": ("c3d@shuffled", "c3d"),
    "order, efficientnet_tcn": ("efficientnet_tcn@shuffled", "efficientnet_tcn"),
}
"""What is gained from the first to the second."""
DEALT = ("difference_of_embeddings", "efficientnet_tcn")

Predictions = NDArray[np.int64]


def main() -> None:
    """Appends the lines of every data set that is asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=Path("results/proof/twins.jsonl"))
    options.add_argument("--datasets", default="")
    asked = options.parse_args()
    make_deterministic()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    named = [name for name in asked.datasets.split(",") if name] or None
    cells = {
        cell.dataset: cell for cell in cells_of(*load_suite("default"), ["c3d"], named) if cell.kind == "architecture"
    }
    with asked.out.open("a", encoding="utf-8") as lines:
        for dataset, cell in cells.items():
            for found in measured(cell):
                line = json.dumps({"dataset": dataset, **found})
                print(line, flush=True)
                print(line, file=lines, flush=True)


def measured(cell: Cell) -> Iterator[dict[str, Any]]:
    """The results on one data set."""
    corpus, store = open_data(locate(cell, None), cell.image_size, lambda _: None)
    parts = split(corpus, cell.protocol, cell.fold, store.content)
    material = Material(corpus, cell.protocol, parts, store, "clip", 1)
    labels, classes = corpus.label[parts.test], len(corpus.classes)
    owners = [corpus.track_subject[track] for track in corpus.track[parts.test]]
    subjects = None if None in owners else owners

    def alone(row: str, predicted: Predictions) -> dict[str, Any]:
        interval = bootstrap_interval(labels, predicted, subjects, classes)
        return {"row": row, "abaw": float(score(labels, predicted, classes).mean()), **asdict(interval)}

    for name in BASELINES:
        answers = baseline_scores(name, corpus, cell.protocol, parts, cell.seed)
        yield alone(name, answers.argmax(axis=1)[None])
    for what, (without, with_it) in PAIRS.items():
        a, b = (np.stack([answers_of(name, material, seed) for seed in SEEDS]) for name in (without, with_it))
        yield alone(without, a)
        yield alone(with_it, b)
        gained = paired_bootstrap(labels, a, b, subjects, classes)
        yield {"row": what, "gained": gained.value, **asdict(gained.interval), "p": gained.p}
    for name in DEALT:
        runs = [answers_of(name, replace(material, corpus=dealt_anew(corpus, parts, seed)), seed) for seed in SEEDS]
        yield alone(f"{name}, labels dealt anew", np.stack(runs))


def dealt_anew(corpus: Corpus, parts: Split, seed: int) -> Corpus:
    """The corpus with the labels of the training part in another order, and those of the validation part too."""
    rng, label = np.random.default_rng(number_of("labels dealt anew", corpus.name, seed)), corpus.label.copy()
    for rows in (parts.train, parts.validation):
        label[rows] = rng.permutation(label[rows])
    return replace(corpus, label=label)


def answers_of(name: str, material: Material, seed: int) -> Predictions:
    """What a tiny size, trained with its recipe, says of the test part."""
    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    run = Run(torch.device("cpu"), "float32", size.channels_last, seed, 1.0, lambda *_, **__: None)
    seen = replace(material, view=architecture.view, frames=size.frames, shuffle_frames=size.shuffle_frames)
    model = build(architecture, size, len(seen.corpus.classes), run)[0]
    train(model, architecture, size, seen, run)
    return predict_with(model, size, seen, seen.split.test, run).argmax(axis=1)


if __name__ == "__main__":
    main()
