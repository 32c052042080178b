"""What the tests of the board share."""

from __future__ import annotations

import pytest

from ferbench.benchmark.board.plots import Plots


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of tables and pages alone."""
    monkeypatch.setattr("ferbench.benchmark.board.leaderboard.draw", lambda found, folders: [Plots()] * len(found))
