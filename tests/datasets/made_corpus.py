"""A corpus written down in a test: subjects and how many frames each of their sequences has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.corpus import Corpus

CLASSES = ("Neutral", "Happiness", "Sadness")


def made_corpus(
    subjects: Sequence[str | None],
    lengths: Sequence[int] | None = None,
    parts: Sequence[str] | None = None,
    root: Path = Path("nowhere"),
) -> Corpus:
    """One track and one sample for each entry of `subjects`; its label is its place, modulo the three classes."""
    lengths = lengths or [1] * len(subjects)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Corpus(
        dataset="made",
        root=root,
        classes=CLASSES,
        frames=tuple(f"{i:03d}.png" for i in range(bounds[-1])),
        track_start=bounds,
        track_subject=tuple(subjects),
        sample_id=tuple(f"sample {i}" for i in range(len(subjects))),
        track=np.arange(len(subjects)),
        start=bounds[:-1],
        stop=bounds[1:],
        label=np.arange(len(subjects)) % len(CLASSES),
        part=tuple(parts or [""] * len(subjects)),
        neutral_class=0,
    )


def reordered(corpus: Corpus, order: NDArray[np.int64]) -> Corpus:
    """The same samples in another order; the frames stay where they are."""
    return replace(
        corpus,
        sample_id=tuple(corpus.sample_id[i] for i in order),
        track=corpus.track[order],
        start=corpus.start[order],
        stop=corpus.stop[order],
        label=corpus.label[order],
        part=tuple(corpus.part[i] for i in order),
    )


def different_images(corpus: Corpus) -> NDArray[np.uint64]:
    """Content hashes of frames that are all different."""
    return np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)
