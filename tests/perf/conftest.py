"""What is measured here runs with the allocator settings of a cell."""

from __future__ import annotations

import ctypes
import sys

import pytest

from ferbench.benchmark.running.worker import SETTINGS

PARAMETERS = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2, "MALLOC_MMAP_MAX_": -4}
"""Their numbers in glibc's malloc.h: a process that has started reads its environment no more."""


@pytest.fixture(autouse=True, scope="session")
def cells_allocator() -> None:
    if sys.platform != "linux":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for name, number in PARAMETERS.items():
        mallopt(number, min(int(SETTINGS[name]), 2**31 - 1))
