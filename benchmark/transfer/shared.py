"""What a model that was trained on one data set can be asked on another: the classes that both have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.entries.classes import meaning
from ferbench.benchmark.errors import RequestError

if TYPE_CHECKING:
    from ferbench.datasets.corpus import Corpus

FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Shared:
    """The classes that a model and a data set have in common, as the data set orders them."""

    names: tuple[str, ...]
    of_model: NDArray[np.int64]
    """Place of each among the model's."""
    of_data: NDArray[np.int64]
    """Place of each among the data set's."""

    def answers(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S,C) what is left of a model's scores (S,M), renormalised."""
        left = scores[:, self.of_model]
        return left / np.maximum(left.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def shared_classes(model: tuple[str, ...], data: tuple[str, ...], where: str) -> Shared:
    """The classes that both have, matched by name and its synonyms.

    Raises:
        RequestError: there are fewer than two.
    """
    place = {meaning(name): i for i, name in enumerate(model)}
    both = [(i, place[meaning(name)], name) for i, name in enumerate(data) if meaning(name) in place]
    if len(both) < FEWEST_CLASSES:
        raise RequestError(f"{where}: {len(both)} classes in common ({', '.join(model)}; {', '.join(data)}): leave one "
                           "of the two out")  # fmt: skip
    return Shared(
        tuple(name for *_, name in both),
        np.array([own for _, own, _ in both], dtype=np.int64),
        np.array([i for i, *_ in both], dtype=np.int64),
    )


def samples_asked(corpus: Corpus, shared: Shared) -> tuple[NDArray[np.int64], list[str]]:
    """The samples of the test part, or all where there are folds, of the classes in common; and what to say of it."""
    asked = np.flatnonzero(np.array(corpus.part) == "test") if any(corpus.part) else np.arange(len(corpus))
    samples = asked[np.isin(corpus.label[asked], shared.of_data)]
    notes = []
    if left_out := len(asked) - len(samples):
        others = [name for code, name in enumerate(corpus.classes) if code not in shared.of_data]
        notes.append(f"{left_out} of {len(asked)} samples are of classes that were not trained ({', '.join(others)}): "
                     "left out")  # fmt: skip
    return samples, notes


def restricted(corpus: Corpus, shared: Shared) -> Corpus:
    """The corpus under the classes in common; the labels of other samples mean nothing."""
    code = np.zeros(len(corpus.classes), dtype=np.int64)
    code[shared.of_data] = np.arange(len(shared.names))
    return replace(corpus, classes=shared.names, label=code[corpus.label], votes=None)
