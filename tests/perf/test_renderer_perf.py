"""Speed of the renderer, camera and conversion to bytes included: frames a second are `count` / time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from ferbench.datasets.synthetic.action_units import ACTION_UNITS
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.renderer import render
from ferbench.datasets.synthetic.scene import sample_scenes

COUNT = 64


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("size", [48, 64])
def test_render(benchmark: Callable[..., Any], size: int) -> None:
    faces, scenes = sample_identities(range(COUNT)), sample_scenes(range(COUNT), "wild")
    units = torch.rand((COUNT, len(ACTION_UNITS)), generator=torch.Generator().manual_seed(0))
    benchmark(render, faces, units, scenes, size)
