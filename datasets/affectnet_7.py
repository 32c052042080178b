"""AffectNet small in the seven classes that most of the field reports: without Contempt. All else is in
affectnet_small.py, whose folder it reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ferbench.datasets.affectnet_small import CLASSES, SMALL_COUNTS, VALIDATION_COUNTS
from ferbench.datasets.affectnet_small import DATASET as EIGHT
from ferbench.datasets.affectnet_small import read as read_eight
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol

SEVEN = CLASSES[:7]


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens it without the images of Contempt; see `affectnet_small.read` for what it raises."""
    corpus = read_eight(root, protocol)
    if "Contempt" not in corpus.classes:
        return replace(corpus, dataset="affectnet_7", absent_classes=tuple(set(SEVEN) - set(corpus.classes)))
    kept = np.flatnonzero(corpus.label != corpus.classes.index("Contempt"))
    return replace(
        corpus,
        dataset="affectnet_7",
        classes=tuple(name for name in corpus.classes if name != "Contempt"),
        sample_id=tuple(corpus.sample_id[i] for i in kept),
        track=corpus.track[kept],
        start=corpus.start[kept],
        stop=corpus.stop[kept],
        label=corpus.label[kept],
        part=tuple(corpus.part[i] for i in kept),
    )


DATASET = replace(
    EIGHT,
    name="affectnet_7",
    title="AffectNet small, seven classes",
    classes=SEVEN,
    official_counts={"train samples": sum(SMALL_COUNTS[:7]), "test samples": sum(VALIDATION_COUNTS[:7])},
    read=read,
    folder="affectnet_small",
    optional=True,
)
