"""Damaged copies of files, the same for the same seed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

CASES = int(os.environ.get("FUZZ", "0"))
"""How many mutants of each kind of file a test tries; 0: as many as it does by default."""


def mutants(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Damaged copies of a file: `count`, or as many as FUZZ asks for."""
    rng = np.random.default_rng(seed)
    for _ in range(CASES or count):
        yield _mutant(content, rng)


def _mutant(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for _ in range(1 + rng.geometric(0.5)):
        length = len(damaged)
        if not length:
            break
        begin = int(rng.integers(length)) if rng.random() < 0.5 else int(rng.integers(min(length, 256)))
        end = min(length, begin + int(rng.geometric(0.1)))
        kind = rng.integers(7)
        if kind == 0:
            damaged[begin] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            damaged[begin:end] = rng.integers(0, 256, end - begin, dtype=np.uint8).tobytes()
        elif kind == 2:
            damaged[begin:end] = bytes([int(rng.choice([0, 127, 128, 255]))]) * (end - begin)
        elif kind == 3:
            del damaged[begin:end]
        elif kind == 4:
            damaged[begin:begin] = damaged[begin:end] * int(rng.integers(1, 20))
        elif kind == 5:
            del damaged[begin:]
        else:
            place = int(rng.integers(length))
            damaged[place:place] = damaged[begin:end]
    return bytes(damaged)


VALUES = (None, -1, 0, 2**70, 1e308, "", "\0", "é" * 3, "../../x", [], {}, [[]], True, "NaN", {"a": {"b": [1]}}, -0.5)


def altered(content: dict[str, Any], count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Copies of a JSON object with some entries replaced, removed, renamed or added."""
    rng = np.random.default_rng(seed)
    for _ in range(CASES or count):
        copy: dict[str, Any] = json.loads(json.dumps(content))
        for _ in range(int(rng.geometric(0.6))):
            _alter(copy, rng)
        yield copy


def _alter(within: Any, rng: np.random.Generator) -> None:
    while True:
        keys = list(within) if isinstance(within, dict) else list(range(len(within)))
        if not keys:
            return
        key = keys[int(rng.integers(len(keys)))]
        if isinstance(within[key], dict | list) and within[key] and rng.random() < 0.6:
            within = within[key]
            continue
        kind = rng.integers(4)
        if kind == 0 and isinstance(within, dict):
            del within[key]
        elif kind == 1 and isinstance(within, dict):
            within[f"{key}x"] = within.pop(key)
        else:
            within[key] = VALUES[int(rng.integers(len(VALUES)))]
        return
