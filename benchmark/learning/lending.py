"""Weights that one architecture's training leaves for others that start from them (`models.architecture.Trained`).

What is kept is named by the key of the cell that made it, so it is the same whether the lender's own cell or a
borrower came first, and a change of the lender's code or recipe makes it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load, save_file
from torch import nn

from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import alone
from ferbench.benchmark.records.installation import cache_folder

History = list[dict[str, Any]]


def trained_once(model: nn.Module, key: str, train: Callable[[], History]) -> tuple[History, bool]:
    """Gives `model` the weights that the cell of this key ends with: those that are kept, else it is trained now.

    Returns:
        The history of the training, and whether it was taken from what is kept.
    """
    folder = cache_folder() / "trained"
    weights, history = folder / f"{key}.safetensors", folder / f"{key}.json"
    kept = _kept(model, weights, history)
    if kept is not None:  # without a lock, which a cache that cannot be written does not give
        return kept, True
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return train(), False
    if not os.access(folder, os.W_OK):
        return train(), False
    with alone(f"trained-{key}"):
        kept = _kept(model, weights, history)
        if kept is not None:  # another process made it while this one waited
            return kept, True
        found = train()
        with drafted(weights) as draft:
            save_file({name: value.contiguous() for name, value in model.state_dict().items()}, draft)
        with drafted(history) as draft:  # last: where it is there, both are
            about = {"history": found, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
            draft.write_text(json.dumps(about), encoding="utf-8")
        return found, False


def _kept(model: nn.Module, weights: Path, history: Path) -> History | None:
    """Gives `model` the weights that are kept, and returns their history; None where they are not there, or damaged."""
    try:
        about = json.loads(history.read_text(encoding="utf-8"))
        content = weights.read_bytes()
        if about["sha256"] != hashlib.sha256(content).hexdigest():
            return None
        found: History = about["history"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    model.load_state_dict(load(content))
    model.eval()
    return found
