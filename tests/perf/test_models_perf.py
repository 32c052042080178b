"""Speed of every architecture at tiny size on one core (`make perf`), by the functions that the gate uses too."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from benchmark import measured
from benchmark.registry import architectures
from models.parts.mobilenet import mobilenet_v3_tiny
from models.parts.resnet import resnet_tiny
from models.parts.vit import vit_tiny


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def prepared(model: nn.Module, channels_last: bool) -> nn.Module:
    return model.to(memory_format=torch.channels_last) if channels_last else model


@pytest.mark.parametrize("name", architectures.names())
def test_training_step(benchmark: BenchmarkFixture, name: str) -> None:
    size = architectures.get(name).sizes["tiny"]
    if not size.stages:
        pytest.skip("nothing of its own is trained")
    batch = size.stages[-1].batch_size
    benchmark.pedantic(measured.training_step(name, batch), rounds=10, warmup_rounds=3)
    benchmark.extra_info["frames_per_s"] = batch * size.frames / benchmark.stats.stats.median


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("name", architectures.names())
def test_inference(benchmark: BenchmarkFixture, name: str, batch: int) -> None:
    benchmark.pedantic(measured.inference(name, batch), rounds=10, warmup_rounds=3, iterations=3)


@pytest.mark.parametrize("factory", [mobilenet_v3_tiny, vit_tiny, resnet_tiny])
def test_backbone_forward_and_backward(benchmark: BenchmarkFixture, factory: type[nn.Module]) -> None:
    """What a pretraining step costs beside its optimiser: 128 frames of 48×48."""
    backbone = prepared(factory().train(), factory is not vit_tiny)
    x = torch.randn(128, 3, 48, 48).contiguous(memory_format=torch.channels_last)
    benchmark.pedantic(lambda: backbone(x).square().mean().backward(), rounds=10, warmup_rounds=3)
