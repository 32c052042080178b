"""A trained model on the test samples of another data set, over the classes that both have.

Tested are the official test part, or, where folds are drawn or published, all samples: nobody of them was trained on.
Samples of other classes are left out and counted. The scores of the model's own further classes are dropped and the
rest renormalised. Beside each answer stands that of the same architecture trained on the data set itself, under the
same restriction, so that both can be compared pair by pair.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.cell import asked_of, counts_of, prediction_table
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Report, open_data
from ferbench.benchmark.planning.identity import key_of
from ferbench.benchmark.records.provenance import commit, environment
from ferbench.benchmark.records.record import Record, write_record
from ferbench.benchmark.records.transfers import IN_DOMAIN
from ferbench.benchmark.transfer.pairs import FOLD, Pair
from ferbench.benchmark.transfer.shared import Shared, restricted, samples_asked, shared_classes

if TYPE_CHECKING:
    import torch


def test_on_other(pair: Pair, results: Path, device: torch.device, report: Report) -> Record:
    """Tests a pair and writes its record.

    Raises:
        RequestError: weights, data or classes are not what they should be.
        OSError: the record cannot be written.
    """
    import torch

    from ferbench.benchmark.learning.kept import read_kept
    from ferbench.benchmark.learning.material import Material, Run
    from ferbench.benchmark.learning.task import metrics_of
    from ferbench.benchmark.learning.training import predict_with
    from ferbench.benchmark.measures.efficiency import device_name
    from ferbench.benchmark.planning.leaks import NO_COPIES, parted

    began = time.perf_counter()
    kept = read_kept(pair.weights(results))
    if kept.about.key != pair.source.key:
        raise RequestError(f"{pair.weights(results)}: weights of another training: remove them, and run again")
    target = pair.tested_on
    corpus, store = open_data(target.location, kept.size.image_size, report)
    shared = shared_classes(kept.about.classes, corpus.classes, pair.name)
    parts, _ = parted(corpus, target.cell.protocol, FOLD, store.content, NO_COPIES, allowed=True)
    samples, notes = samples_asked(corpus, shared)
    material = Material(corpus, target.cell.protocol, parts, store, kept.architecture.view, kept.size.frames,
                        kept.size.shuffle_frames)  # fmt: skip
    precision = kept.size.precision_on(device.type)
    run = Run(device, precision, kept.size.channels_last, pair.source.cell.seed, 1.0, lambda text, loss=None: None)
    report(f"{pair.name} / {pair.source.cell.architecture}: answering {len(samples)} samples")
    scores = predict_with(kept.model.to(device), kept.size, material, samples, run)
    table = prediction_table(restricted(corpus, shared), samples, shared.answers(scores))
    table[IN_DOMAIN] = in_domain_answers(pair, results, shared, table["sample"].tolist())
    source = pair.source.cell
    key_parts = pair.key_parts(results)
    head, dirty = commit()
    data = {
        "key": key_of(key_parts),
        "key_parts": key_parts,
        "architecture": source.architecture,
        "title": kept.architecture.title,
        "view": kept.architecture.view,
        "dataset": pair.name,
        "folder": pair.name,
        "source": target.location.source,
        "suite": pair.suite,
        "size": source.size,
        "seed": source.seed,
        "fold": FOLD,
        "kind": "architecture",
        "protocol": {**target.cell.protocol.as_dict(), "trained_on": pair.source.location.name},
        "asked": pair.asked,
        "status": "ok",
        "error": None,
        "classes": list(shared.names),
        "absent_classes": [],
        "subjects_known": corpus.subjects_known,
        **asked_of(target.cell.dataset, corpus),
        "started_from": f"trained on {pair.source.location.name}",
        "recipe": {},
        "history": [],
        "notes": [*corpus.notes, *notes],
        "metrics": metrics_of(table, shared.names),
        "cost": None,
        "counts": {**counts_of(corpus, parts, store.missing), "test_samples": len(samples)},
        "timing": {"test_s": time.perf_counter() - began},
        "environment": {
            "device": device_name(device), "device_type": device.type, "threads": torch.get_num_threads(),
            "precision": precision, **environment(), "commit": head, "dirty": dirty,
        },
        "transfer": {"from": pair.source.location.name, "to": target.location.name},
    }  # fmt: skip
    folder = pair.folder(results)
    write_record(folder, data, table)
    return Record(folder, data)


def in_domain_answers(pair: Pair, results: Path, shared: Shared, samples: list[str]) -> NDArray[np.int64]:
    """(S,) what the target's own cells answer of the classes in common; -1 where none of them tested the sample."""
    said: dict[str, int] = {}
    for record in pair.in_domain(results):
        columns = [f"score_{name}" for name in shared.names]
        if all(name in record.data["classes"] for name in shared.names):
            table: Any = record.opened().read(["sample", *columns]).to_pandas()
            said |= dict(zip(table["sample"], table[columns].to_numpy().argmax(axis=1).tolist(), strict=True))
    return np.array([said.get(name, -1) for name in samples], dtype=np.int64)
