"""Were the classes of an entry named in another order than its author thinks? The commonest silent fault of the field.

The best order is looked for on one half of the samples and tried on the other, both ways, so that what is found by luck
on one half does not help on the other. Where that is right more often, the best order of all samples is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ferbench.benchmark.measures.metrics import confusion_matrix
from ferbench.benchmark.measures.statistics import mcnemar

ALPHA = 0.01


@dataclass(frozen=True)
class Order:
    """Another order under which the answers would be right more often."""

    meant: tuple[int, ...]
    """(C,) the class that is probably meant where class c is answered."""
    accuracy: float
    """As it is answered."""
    would_be: float
    p: float

    def in_words(self, classes: tuple[str, ...]) -> str:
        """`Anger is answered where Disgust is meant, ...`."""
        changed = [f"{classes[c]} where {classes[m]} is meant" for c, m in enumerate(self.meant) if c != m]
        return (
            f"its classes seem to be in another order ({', '.join(changed)}): accuracy {self.accuracy:.3f} would be "
            f"{self.would_be:.3f}"
        )


def better_order(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> Order | None:
    """Another order of the classes that is better beyond chance (p < `ALPHA`), or None.

    Tried are the best of all orders and, which takes fewer samples to be sure of, the best exchange of two classes.

    labels and predicted: (N,).
    """
    right = float((predicted == labels).mean()) if len(labels) else 0.0
    found = []
    for best in (_best_order, _best_exchange):
        if (p := _p(labels, predicted, num_classes, best)) < ALPHA / 2:
            order = best(_counts(labels, predicted, num_classes))
            found.append(Order(tuple(order.tolist()), right, float((order[predicted] == labels).mean()), p))
    return max(found, key=lambda order: order.would_be, default=None)


Best = Callable[[NDArray[np.float64]], NDArray[np.int64]]
"""Counts (C,C), truth in rows -> (C,) the class that each answer is read as."""


def _p(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int, best: Best) -> float:
    """How likely chance alone makes an order that is found on one half as much better on the other; 1: it is not."""
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    tried = predicted.copy()
    for own in (half, ~half):
        tried[~own] = best(_counts(labels[own], predicted[own], num_classes))[predicted[~own]]
    better = (tried == labels).sum() > (predicted == labels).sum()
    return mcnemar(labels, predicted, tried) if better else 1.0


def _counts(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> NDArray[np.float64]:
    """(C,C) truth in rows; of two orders that are as good, the stated one counts as better."""
    return confusion_matrix(labels, predicted, num_classes) + 0.5 * np.eye(num_classes)


def _best_order(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    truth, answer = linear_sum_assignment(-counts)
    order = np.empty(len(counts), dtype=np.int64)
    order[answer] = truth
    return order


def _best_exchange(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    kept = np.diag(counts)
    gain = counts + counts.T - kept - kept[:, None]
    one, other = np.unravel_index(np.argmax(np.triu(gain, k=1)), gain.shape)
    order = np.arange(len(counts))
    if gain[one, other] > 0:
        order[[one, other]] = other, one
    return order
