"""Were the classes of an entry named in another order than its author thinks? The commonest silent fault of the field.

The best order is looked for on one half of the samples and tried on the other, both ways, so that what is found by luck
on one half is not confirmed on the other.
"""

from __future__ import annotations

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

    labels and predicted: (N,).
    """
    half = np.random.default_rng(0).permutation(len(labels)) % 2 == 0
    orders = [_best(labels[own], predicted[own], num_classes) for own in (half, ~half)]
    if not np.array_equal(orders[0], orders[1]) or np.array_equal(orders[0], np.arange(num_classes)):
        return None
    renamed = orders[0][predicted]
    right, would_be = float((predicted == labels).mean()), float((renamed == labels).mean())
    p = mcnemar(labels, predicted, renamed)
    return Order(tuple(orders[0].tolist()), right, would_be, p) if would_be > right and p < ALPHA else None


def _best(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """(C,) the class that each answer is best read as. A class that is never answered or never true keeps its name."""
    if not len(labels):
        return np.arange(num_classes)
    counts = confusion_matrix(labels, predicted, num_classes).astype(np.float64)
    counts[np.arange(num_classes), np.arange(num_classes)] += 0.5  # of two orders that are as good, the stated one
    truth, answer = linear_sum_assignment(-counts)
    order = np.empty(num_classes, dtype=np.int64)
    order[answer] = truth
    return order
