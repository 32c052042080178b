"""What is learned and how it is judged: one class of several, or a value.

The training loop and the record ask these questions of a task and know no other difference.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.recipe import RegressionLoss, loss_function
from ferbench.benchmark.measures.metrics import confusion_matrix, regression_scores, scores
from ferbench.datasets.corpus import Corpus
from ferbench.models.architecture import Stage


class Task(Protocol):
    """A question that the samples of a corpus are asked."""

    headline: str
    """The measure that chooses the epoch and ranks the rows, as it is called in a record's metrics."""

    def truth(self, sample: NDArray[np.int64]) -> Tensor:
        """What is to be answered for samples of any shape; where `sample` is -1, what the loss leaves out."""

    def loss(self, stage: Stage, training: NDArray[np.int64], device: torch.device) -> nn.Module:
        """The stage's loss over outputs (..., C) and truths (...)."""

    def answer(self, output: Tensor) -> Tensor:
        """Outputs (..., C) as the scores that are saved and averaged."""

    def quality(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> tuple[float, float]:
        """The headline measure, and the negative loss that settles ties: the larger pair is the better epoch."""

    def columns(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        """Truth and answers as columns of the saved predictions."""


class Classification:
    """One class of several; answers are probabilities."""

    headline = "abaw"

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def truth(self, sample: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.where(sample < 0, -1, self.corpus.label[sample]))

    def loss(self, stage: Stage, training: NDArray[np.int64], device: torch.device) -> nn.Module:
        return loss_function(stage, self.corpus.label[training], len(self.corpus.classes), device)

    def answer(self, output: Tensor) -> Tensor:
        return F.softmax(output, dim=-1)

    def quality(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> tuple[float, float]:
        label = self.corpus.label[samples]
        abaw = scores(confusion_matrix(label, answers.argmax(1), answers.shape[1])).abaw
        log_loss = -np.log(np.maximum(answers[np.arange(len(label)), label], 1e-7)).mean()
        return abaw, -float(log_loss)

    def columns(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        named = {f"score_{name}": answers[:, c].astype("float32") for c, name in enumerate(self.corpus.classes)}
        return {"label": self.corpus.label[samples], "predicted": answers.argmax(axis=1), **named}


class Regression:
    """A value a sample, judged by its concordance in each video."""

    headline = "ccc"

    def __init__(self, corpus: Corpus) -> None:
        assert corpus.target is not None
        self.corpus = corpus
        self.target = corpus.target

    def truth(self, sample: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.where(sample < 0, np.nan, self.target[sample]).astype(np.float32))

    def loss(self, stage: Stage, training: NDArray[np.int64], device: torch.device) -> nn.Module:
        return RegressionLoss(stage, float(self.target[training].std()))

    def answer(self, output: Tensor) -> Tensor:
        return output

    def quality(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> tuple[float, float]:
        target, track = self.target[samples], self.corpus.track[samples]
        found = regression_scores(target, answers[:, 0], track)
        return found.ccc, -found.rmse

    def columns(self, samples: NDArray[np.int64], answers: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
        return {"target": self.target[samples], "value": answers[:, 0]}


def task_of(corpus: Corpus) -> Task:
    """The question that a corpus asks."""
    return Regression(corpus) if corpus.target is not None else Classification(corpus)


def metrics_of(table: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    """Every measure, recomputable from the saved predictions alone (a data frame with the task's columns)."""
    if "target" in table:
        found = regression_scores(table["target"].to_numpy(), table["value"].to_numpy(), table["track"].to_numpy())
        return {"headline": Regression.headline, **asdict(found)}
    confusion = confusion_matrix(table["label"].to_numpy(), table["predicted"].to_numpy(), len(classes))
    measured = asdict(scores(confusion))
    measured["f1_per_class"] = dict(zip(classes, measured["f1_per_class"], strict=True))
    return {"headline": Classification.headline, **measured, "confusion": confusion.tolist()}
