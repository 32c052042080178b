"""Weights that one architecture's training leaves for others that start from them (`models.architecture.Trained`).

What is kept is named by the key of the cell that made it, so it is the same whether the lender's own cell or a
borrower came first, and a change of the lender's code or recipe makes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from safetensors.torch import load_file, save_file
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
    with alone(f"trained-{key}"):
        if history.is_file():
            model.load_state_dict(load_file(weights))
            model.eval()
            return json.loads(history.read_text(encoding="utf-8")), True
        found = train()
        folder.mkdir(parents=True, exist_ok=True)
        with drafted(weights) as draft:
            save_file({name: value.contiguous() for name, value in model.state_dict().items()}, draft)
        with drafted(history) as draft:  # last: where it is there, both are
            draft.write_text(json.dumps(found), encoding="utf-8")
        return found, False
