"""What a run says while it works: a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.text import Text

from ferbench.benchmark.records.record import Headline
from ferbench.benchmark.running.job import Pool

SILENCE = 60.0
"""Seconds after which a run without a terminal says what its workers are at."""

TELLING = 1.0
"""Seconds that a cell must be expected to take to tell anything of the pace: the first floor starts its worker."""


def clock(seconds: float) -> str:
    """`1:02:03`, or `2:03` under an hour."""
    hours, rest = divmod(round(seconds), 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}"


@dataclass
class RunProgress:
    """Cells done, running and failed, what each worker is at, and the time left."""

    total: int
    pool: Pool
    console: Console = field(default_factory=Console)
    done: int = 0
    failed: int = 0
    expected: dict[str, float] = field(default_factory=dict)
    """Seconds that each cell is expected to take, by name; infinite where nobody knows."""
    took: dict[str, float | None] = field(default_factory=dict)
    """Seconds of each cell that is done with; None of one that failed or that another run made."""
    spoke: float = field(default_factory=time.monotonic)
    left: set[str] = field(default_factory=set)
    """Cells that another run is at."""
    shares: bool = False
    """Whether another run has been met."""
    what: str = "cells"
    """What they are called."""

    def __post_init__(self) -> None:
        self.bar = Progress(
            TextColumn(self.what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rest]}"),
            console=self.console,
        )
        self.task: TaskID = self.bar.add_task(self.what, total=self.total, rest="")
        self.live = Live(self._panel(), console=self.console, refresh_per_second=4, transient=True)

    def __enter__(self) -> RunProgress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, line: str) -> None:
        """One lasting line."""
        self.spoke = time.monotonic()
        self.console.print(Text(line), soft_wrap=True)

    def finished(self, name: str, headline: Headline | str, seconds: float | None) -> None:
        """A cell has its record; the seconds are None where another run made it."""
        self.done += 1
        self.took[name] = seconds
        self.left.discard(name)
        how = "by another run" if seconds is None else f"in {seconds:.0f} s"
        self.say(f"[{self.done + self.failed}/{self.total}] {name}: {headline} {how}{self._left_words()}")

    def leave(self, name: str) -> None:
        """Another run is at a cell."""
        if not self.shares:
            self.say(f"another run is at work here too: cells that it is at, such as {name}, are left to it")
        self.shares = True
        self.left.add(name)

    def failure(self, name: str, reason: str) -> None:
        """A cell failed."""
        self.failed += 1
        self.took[name] = None
        self.left.discard(name)
        self.say(f"[{self.done + self.failed}/{self.total}] {name}: FAILED: {reason}")

    def refresh(self) -> None:
        """Shows what the workers are doing now."""
        if self.console.is_terminal:
            rest = f"{self.failed} failed{self._left_words()}"
            self.bar.update(self.task, completed=self.done + self.failed, rest=rest)
            self.live.update(self._panel())
        elif time.monotonic() - self.spoke > SILENCE:
            for job, text in self._running():
                self.say(f"{job}: {text}")

    def _left_words(self) -> str:
        """Time left: what the cells that are left are expected to take, at the pace of those that are finished. Of
        whom nothing is expected takes their mean. Nothing as long as none is finished."""
        timed = {name: seconds for name, seconds in self.took.items() if seconds is not None}
        if not timed:
            return ""
        known = {name: seconds for name, seconds in self.expected.items() if math.isfinite(seconds)}
        telling = {name for name in timed if known.get(name, 0.0) >= TELLING}
        expected = sum(known[name] for name in telling)
        pace = sum(timed[name] for name in telling) / expected if expected else 1.0
        rest = [seconds for name, seconds in known.items() if name not in self.took]
        unknown = self.total - len(self.took) - len(rest)
        left = (pace * sum(rest) + unknown * sum(timed.values()) / len(timed)) / max(1, self.pool.slots)
        return f", about {clock(left)} left" if left else ""

    def _panel(self) -> Group:
        lines = [Text(f"  {job}: {text}", no_wrap=True, overflow="ellipsis") for job, text in self._running()]
        return Group(self.bar, *lines)

    def _running(self) -> list[tuple[str, str]]:
        running = self.pool.running()
        told = {job for job, _ in running}
        return running + [(name, "another run is at it") for name in sorted(self.left - told)]
