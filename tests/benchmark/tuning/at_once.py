"""A pool for searches whose trials are done when they are given."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ferbench.benchmark.tuning.study import RowStudy
from ferbench.benchmark.tuning.trial import Attempt, Task

Answer = Callable[[Task], Attempt]


def score(task: Task) -> Attempt:
    """Better the nearer the rate is to 0.003; the recipe by hand is worse than most."""
    name = task.cell.architecture
    changes = dict(part.split("=") for part in name.partition("@")[2].split("+") if part)
    value = 0.8 - 0.1 * abs(math.log(float(changes["lr"]) / 0.003)) if "lr" in changes else 0.3
    return Attempt("finished", value, [{"stage": "train", "epoch": 1, "train_loss": 1.0, "seconds": 1.0, "val": value}])


class AtOnce:
    """A pool whose trials are done when they are given."""

    answer: Answer = staticmethod(score)
    tasks: list[Task]
    active = True

    def __init__(self, workers: int, device_type: str, folder: Path, status: Path) -> None:
        self.slots = workers

    def attempt(self, task: Task) -> Future[Any]:
        type(self).tasks.append(task)
        future: Future[Any] = Future()
        try:
            future.set_result(type(self).answer(task))
        except Exception as error:
            future.set_exception(error)
        return future

    def ready(self, study: RowStudy) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(None)
        return future

    def running(self) -> list[tuple[str, str]]:
        return []

    def begin_again(self) -> None: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...
