"""SENDv1 as regression: valence from -1 to 1, scored by the mean of the videos' CCC. All else is in sendv1.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.sendv1 import DATASET as SENDV1
from ferbench.datasets.sendv1 import open_stories


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens it with valence as the target; see `sendv1.open_stories` for what it raises."""
    return open_stories(root, protocol, "sendv1_valence")


DATASET = replace(
    SENDV1, name="sendv1_valence", title="SENDv1, valence", classes=("valence",), read=read, folder="sendv1"
)
