"""What the tests of searches share."""

from __future__ import annotations

import pytest

from ferbench.benchmark.tuning import search
from ferbench.benchmark.tuning.trial import Task
from tests.benchmark.tuning.at_once import AtOnce


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> type[AtOnce]:
    """The pool of all searches of a test: it knows its tasks, and answers as it is told to."""
    pytest.importorskip("optuna")

    class Own(AtOnce):
        tasks: list[Task] = []  # noqa: RUF012

    monkeypatch.setattr(search, "LocalTrials", Own)
    return Own
