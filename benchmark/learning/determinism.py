"""What is done where a device has no kernel that gives the same numbers again (`training.make_deterministic`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import torch

Made = TypeVar("Made")


def deterministic_if_it_can(make: Callable[[], Made]) -> tuple[Made, str | None]:
    """What `make` makes, and the operation for which this device has no deterministic kernel, if there is one.

    Such an operation raises, and `make` is called again with whatever kernels there are. It is not so from the start
    because torch then takes attention's faster, undetermined gradient too.
    """
    try:
        return make(), None
    except RuntimeError as error:
        operation = _undetermined(error)
        if operation is None:
            raise
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return make(), operation
    finally:
        torch.use_deterministic_algorithms(True)


def _undetermined(error: RuntimeError) -> str | None:
    """The operation that torch refuses for the lack of a deterministic kernel; None for any other error."""
    found = re.match(r"(\S+) does not have a deterministic implementation", str(error))
    return found[1] if found else None
