"""What the networks are given is compared for itself."""

from __future__ import annotations

import pytest
import torch

from ferbench.benchmark.gate.cost import INPUTS, compare_inputs
from ferbench.benchmark.gate.runs import data_content
from ferbench.benchmark.planning.suite import Twin, cells_of, load_suite
from ferbench.datasets import augmentation


def content() -> dict[str, dict[str, str]]:
    """Of a tiny twin."""
    suite = load_suite("gate")[1].model_copy(update={"twins": {"oulu_casia": Twin(scale=0.05)}})
    return data_content(cells_of("gate", suite, ["c3d"]), None)


def test_a_dropped_normalisation_is_red_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    base = content()
    (same,) = compare_inputs(content(), base)
    assert (same.mark, same.red) == ("same", False)

    def dropped(frames: torch.Tensor) -> torch.Tensor:
        return frames.movedim(-1, -3) / 255

    monkeypatch.setattr(augmentation, "normalise", dropped)
    (found,) = compare_inputs(content(), base)
    assert (found.mark, found.red, found.subject) == ("worse", True, "oulu_casia-twin")
    assert base["oulu_casia-twin"][INPUTS] in found.reason


def test_a_baseline_that_does_not_know_is_not_green() -> None:
    (found,) = compare_inputs({"a": {INPUTS: "mean 0"}}, {"a": {"labels": "0"}})
    assert found.red
    assert "unknown" in found.reason
    assert compare_inputs({"a": {}}, {"a": {}, "b": {INPUTS: "mean 0"}}) == []
