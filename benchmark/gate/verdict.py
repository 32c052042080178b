"""What the gate found, one line a thing that was compared, and what that means for the exit code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Mark = Literal["newly failed", "worse", "incomparable", "better", "same"]
MARKS: tuple[Mark, ...] = ("newly failed", "worse", "incomparable", "better", "same")
"""The worst first."""
Gate = Literal["accuracy", "cost", "latency"]

REGRESSION, NOTHING_COMPARED = 1, 3


@dataclass(frozen=True)
class Verdict:
    """The outcome for one thing: a cell's accuracy, a model's parameters, the time of a step."""

    gate: Gate
    subject: str
    """Whom it is about: an architecture, a group of them, or a part of the harness."""
    what: str
    """What was compared, with its unit: `ABAW`, `parameters`, `inference at batch 1, ms`."""
    mark: Mark
    where: str = ""
    """The cell, where there is one."""
    base: float | None = None
    head: float | None = None
    change: float | None = None
    """Head less base (accuracy, cost), or head over base (latency)."""
    interval: tuple[float, float] | None = None
    """95% interval of the change."""
    p: float | None = None
    second: float | None = None
    """A second opinion: McNemar's p."""
    limit: float | None = None
    """How large the change had to be to count."""
    reason: str = ""
    to_accept: bool = False
    """Whether it turns the gate red although it is no loss, until `make baseline` accepts it."""
    protected: bool = True
    """Whether it would be seen if the model died: its base stands above the floor by more than the limit."""
    excused: bool = False
    """Whether there cannot be anything to compare it with, so that it does not count as unmeasured."""

    @property
    def red(self) -> bool:
        """Whether this alone fails the gate."""
        return self.to_accept or self.mark in ("newly failed", "worse")

    @property
    def loss(self) -> float:
        """How bad it is, to sort by: larger is worse."""
        if self.change is None:
            return 0.0
        if self.gate == "latency":
            return math.log(self.change)
        if self.gate == "cost":
            return self.change / self.base if self.base else math.inf
        return -self.change

    @property
    def name(self) -> str:
        """One line that names it."""
        return " ".join(part for part in (self.subject, self.what, f"({self.where})" if self.where else "") if part)


@dataclass(frozen=True)
class Outcome:
    """All verdicts, the worst first, with what must be known to read them."""

    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    """What was not measured on purpose, and by which limits was decided."""
    unmeasured: tuple[str, ...] = ()
    """What should have been measured and could not be: the gate is never green with one of these."""
    complete: bool = True
    """Whether every verdict must have been comparable for the gate to be green. A comparison of two folders of records
    that need not hold the same cells is not complete."""

    @property
    def compared(self) -> int:
        """How many things were compared."""
        return sum(verdict.mark != "incomparable" for verdict in self.verdicts)

    @property
    def exit_code(self) -> int:
        """0 all was compared and nothing is worse, 1 a regression, 3 something that counts could not be compared."""
        if any(verdict.red for verdict in self.verdicts):
            return REGRESSION
        missing = [v for v in self.verdicts if v.mark == "incomparable" and not v.excused]
        if not self.compared or self.unmeasured or (self.complete and missing):
            return NOTHING_COMPARED
        return 0


def sorted_outcome(
    verdicts: list[Verdict], notes: list[str], unmeasured: list[str], *, complete: bool = True
) -> Outcome:
    """The outcome with its verdicts the worst first."""
    bare = sum(not verdict.protected for verdict in verdicts)
    if bare:
        notes = [*notes, f"{bare} cells are not protected: their base stands at the floor, so that a model that had "
                         "learned nothing would pass"]  # fmt: skip
    order = sorted(verdicts, key=lambda v: (not v.red, MARKS.index(v.mark), -v.loss, v.gate, v.subject, v.what))
    return Outcome(tuple(order), tuple(notes), tuple(unmeasured), complete)
