"""SENDv1 in nine classes of valence: each of the three of `sendv1` cut in three. Everything else is in sendv1.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.sendv1 import DATASET as SENDV1
from ferbench.datasets.sendv1 import classified

CLASSES = (
    "Negative 4", "Negative 3", "Negative 2", "Negative 1", "Neutral",
    "Positive 1", "Positive 2", "Positive 3", "Positive 4",
)  # fmt: skip
"""Bounded by -1, -7/9, -5/9, ..., 7/9, 1."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens it as nine classes of valence; see `sendv1.open_stories` for what it raises."""
    return classified(root, protocol, "sendv1_fine", CLASSES)


DATASET = replace(SENDV1, name="sendv1_fine", title="SENDv1, nine classes", classes=CLASSES, read=read, folder="sendv1")
