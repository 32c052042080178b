"""A YAML file that somebody gives: read within bounded time and memory, or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ferbench.benchmark.errors import RequestError

LARGEST = 2**20
"""Bytes."""
MOST_VALUES = 20_000
"""Keys and values with every alias written out: nested ones make millions of a few lines."""


def read_yaml(file: Path) -> Any:
    """The content of a file.

    Raises:
        RequestError: it cannot be read, is no YAML, or says more than a file of settings has to say.
    """
    try:
        if file.stat().st_size > LARGEST:
            raise RequestError(f"{file}: {file.stat().st_size} bytes are too many: a file of settings has {LARGEST}")
        text = file.read_text(encoding="utf-8-sig")
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            if _written_out(node, {}) > MOST_VALUES:
                raise RequestError(f"{file}: its aliases stand for more than {MOST_VALUES} values: write them out")
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: no text, a date or number that cannot be
        raise RequestError(f"{file}: not a YAML file: {' '.join(str(error).split())[:300]}") from None
    except RecursionError:
        raise RequestError(f"{file}: not a YAML file: it is nested too deeply, or holds itself") from None


def _written_out(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for, those of its aliases each time."""
    if id(node) not in known:
        known[id(node)] = MOST_VALUES + 1  # where a node holds itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for entry in below for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]
