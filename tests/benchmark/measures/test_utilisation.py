from __future__ import annotations

import pytest
import torch
from torch import nn

from ferbench.benchmark.measures import utilisation
from ferbench.benchmark.measures.utilisation import flops_of, matrix_product_rate, utilisations

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(utilisation, "SAMPLE_SECONDS", 0.001)
    monkeypatch.setattr(utilisation, "SAMPLES", 2)
    monkeypatch.setitem(utilisation.MATRIX, "cpu", 64)


def test_operations_of_a_training_step_are_those_of_both_gradients_too() -> None:
    model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))
    macs = 10 * 20 + 20 * 5
    assert flops_of(model, (7, 10), "inference") == 2 * macs
    # The input has no gradient, so the first layer has one product less.
    assert flops_of(model, (7, 10), "training") == 2 * (3 * macs - 10 * 20)


def test_rates_follow_from_each_other_and_training_moves_the_weights() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))
    before = model[0].weight.clone()
    peak = matrix_product_rate(CPU, "float32")
    found = list(utilisations(model, (1, 16), CPU, "float32", peak, channels_last=False, batches=(4, 16)))
    assert [(u.part, u.compiled) for u in found] == [("inference", False), ("training", False)]
    for u in found:
        assert u.batch in (4, 16)
        assert u.flops_per_s == pytest.approx(u.samples_per_s * flops_of(model, (1, 16), u.part))
        assert u.share == pytest.approx(u.flops_per_s / peak)
    assert not torch.equal(before, model[0].weight)


def test_a_batch_that_does_not_fit_ends_the_search() -> None:
    class Hungry(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 4:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    found = list(utilisations(Hungry(8, 2), (1, 8), CPU, "float32", 1e9, channels_last=False, batches=(2, 4, 8)))
    assert all(u.batch <= 4 for u in found)
    assert len(found) == 2
    none = list(utilisations(Hungry(8, 2), (1, 8), CPU, "float32", 1e9, channels_last=False, batches=(8,)))
    assert none == []
