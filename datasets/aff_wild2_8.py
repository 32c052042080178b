"""Aff-Wild2, expression track, eight classes (ABAW3 and later: the seven and `Other`): the same videos, another task.

Kollias: "ABAW: valence-arousal estimation, expression recognition, action unit detection & multi-task learning
challenges", CVPR workshops 2022 (arXiv 2202.10659). Layout, protocol and twin are those of `aff_wild2`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ferbench.datasets import aff_wild2
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens a release of eight classes.

    Raises:
        DataError: no such release is there, it is half copied, or an annotation cannot be used.
    """
    return aff_wild2.read_release(root, protocol, "aff_wild2_8", aff_wild2.EIGHT_CLASSES)


DATASET = replace(
    aff_wild2.DATASET,
    name="aff_wild2_8",
    title="Aff-Wild2 (8 classes)",
    source="Kollias, Zafeiriou, arXiv 1910.04855; the expression track of ABAW3, arXiv 2202.10659",
    classes=aff_wild2.EIGHT_CLASSES,
    official_counts={"subjects": sum(aff_wild2.FILES.values())},
    read=read,
    folder="aff_wild2",
)
