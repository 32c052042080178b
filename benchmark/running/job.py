"""What is given to a pool: a cell with the place of its data and of its record; and what a pool is."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ferbench.benchmark.cell import made
from ferbench.benchmark.planning.data import Location
from ferbench.benchmark.planning.identity import members_of
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.record import Headline

DATA_TIME_LIMIT = 24 * 3600


def name_of(cell: Cell, location: Location) -> str:
    """A cell as it is called on the terminal."""
    return f"{location.name} / {cell.architecture} seed {cell.seed} fold {cell.fold}"


@dataclass(frozen=True)
class Job:
    """A cell with the place of its data and of its record, and what the record will say of it."""

    cell: Cell
    location: Location
    folder: Path
    about: dict[str, Any]

    @property
    def name(self) -> str:
        return name_of(self.cell, self.location)

    @property
    def needs(self) -> set[Path]:
        """Folders of the cells that must be done with before this one."""
        results = self.folder.parents[3]
        return {member.folder(results, self.location.name) for member in members_of(self.cell)}

    def finished(self) -> Headline | None:
        """Headline measure of the finished record of this very cell; None where there is none."""
        return made(self.cell, self.folder, self.about["key"])


class Pool(Protocol):
    """Where jobs run: processes of this machine, or a cluster."""

    slots: int
    """Jobs at once."""

    @property
    def active(self) -> bool: ...

    def begin_again(self) -> None: ...

    def make(self, job: Job) -> Future[Any]: ...

    def prepare(self, location: Location, size: int, groups: int) -> Future[Any]: ...

    def look(self) -> None:
        """Called ten times a second, by the thread that made it."""

    def running(self) -> list[tuple[str, str]]: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...
