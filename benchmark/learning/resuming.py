"""The state of a training that is under way, kept so that a cell that was killed goes on where it was.

It lies in the cache under the key of its cell, so that a state of other code or of other data is never taken. It is
written to appear at once or not at all, and nothing in it is executed when it is read.
"""

from __future__ import annotations

import io
import json
import os
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ferbench.benchmark.learning.recipe import Plan
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import keep_every

EVERY = 600.0
"""Seconds of training, at most, that a kill costs."""
SHARE = 0.01
"""Of a training's time that keeping may take: after an epoch nothing is kept so soon that it would take more."""
leaving = threading.Event()
"""Set where this process has been asked to end: what trains keeps its state and stops."""
_at_work = threading.Event()
"""Set while something trains that would keep its state."""
GRACE = 25.0
"""Seconds that a training has to keep its state in: whoever takes a machine away gives half a minute."""


class LeftError(BaseException):
    """The training has kept its state and stopped, as it was asked to. No error of the cell: nobody may catch it as
    one."""


def leave(code: int) -> None:
    """Ends this process now; while something trains, when its state is kept (`LeftError`), or in so many seconds."""
    leaving.set()
    if not _at_work.is_set():
        os._exit(code)
    late = threading.Timer(GRACE, os._exit, (code,))
    late.daemon = True
    late.start()


class Keeper:
    """Keeps the state of one training, and gives it back."""

    def __init__(self, file: Path) -> None:
        self.file = file
        asked = keep_every()
        self.every = EVERY if asked is None else asked
        self.at_epochs = asked is None
        """Whether it is kept after epochs as well."""
        self.last = time.monotonic()
        self.cost = 0.0
        """Seconds that keeping took when it was last done."""

    def found(self) -> dict[str, Any] | None:
        """The state that is kept; None where there is none, or none that is whole."""
        try:
            content = self.file.read_bytes()
        except OSError:
            return None
        sum_of, body = content[:8], content[8:]
        if sum_of != b"%08x" % zlib.crc32(body):
            return None
        try:
            state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
            return {**state, "about": json.loads(state["about"])}
        except Exception:  # written by another version of torch, or not by us: the training begins anew
            return None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """While inside, a process that is asked to end keeps this state first."""
        _at_work.set()
        try:
            yield
        finally:
            _at_work.clear()

    def due(self, *, epoch_ends: bool) -> bool:
        """Whether it is time to keep."""
        since = time.monotonic() - self.last
        pays = self.at_epochs and since * SHARE >= self.cost
        return leaving.is_set() or since >= self.every or (epoch_ends and pays)

    def keep(self, about: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Keeps a state, in place of an earlier one; where it cannot be written, a kill costs the whole training.

        Args:
            about: what goes into JSON.
            tensors: what does not: nested mappings, lists and tuples of tensors and numbers.

        Raises:
            LeftError: this process has been asked to end.
        """
        began = time.monotonic()
        body = io.BytesIO()
        torch.save({"about": json.dumps(about), **tensors}, body)
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with drafted(self.file) as draft, draft.open("wb") as opened:
                opened.write(b"%08x" % zlib.crc32(body.getbuffer()))
                opened.write(body.getbuffer())
        self.last = time.monotonic()
        self.cost = self.last - began
        if leaving.is_set():
            raise LeftError

    def planned(self, plan: Callable[[], list[Plan]]) -> list[Plan]:
        """What was planned for this training when it first began, by a measurement that would not be the same again."""
        file = self.file.with_suffix(".json")
        try:
            return [Plan(**stage) for stage in json.loads(file.read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            made = plan()
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            with drafted(file) as draft:
                draft.write_text(json.dumps([asdict(stage) for stage in made]), encoding="utf-8")
        return made

    def forget(self) -> None:
        """Removes the state: what it was for is done. The plan stays, so that the cell gives the same numbers again."""
        with suppress(OSError):
            self.file.unlink(missing_ok=True)
