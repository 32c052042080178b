"""No architecture needs an operation that CUDA has no deterministic kernel for: such a row would fail on every GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ferbench.benchmark.planning.registry import architectures

UNDETERMINED = {
    "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "_ctc_loss_backward", "_embedding_bag_backward",
    "adaptive_max_pool2d_backward", "adaptive_max_pool3d_backward", "avg_pool3d_backward", "bincount", "cumsum",
    "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "grid_sampler_2d_backward",
    "grid_sampler_3d_backward", "histc", "kthvalue", "max_pool3d_with_indices_backward", "max_unpool2d", "max_unpool3d",
    "nll_loss2d_forward", "put_", "reflection_pad1d_backward", "reflection_pad2d_backward",
    "reflection_pad3d_backward", "replication_pad1d_backward", "replication_pad2d_backward",
    "replication_pad3d_backward", "scatter_reduce", "upsample_bicubic2d_backward", "upsample_linear1d_backward",
    "upsample_trilinear3d_backward",
}  # fmt: skip
"""Those that `torch.use_deterministic_algorithms` documents as raising on CUDA. Bilinear upsampling is not among them:
torch takes another way there, whose gradient is determined."""


class Operations(TorchDispatchMode):
    """Notes what is called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def undetermined(model: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """What of a training step's operations has no deterministic kernel."""
    x = torch.empty(shape, device="meta")
    with Operations() as seen:
        model.train()(x).sum().backward()
    return seen.names & UNDETERMINED


@pytest.mark.parametrize("name", [*architectures.names(), "torchvision:s3d", "torchvision:mvit_v2_s"])
def test_a_training_step_is_deterministic_on_cuda(name: str) -> None:
    architecture = architectures.get(name)
    with torch.device("meta"):
        model = architecture.sizes["full"].build(8)
    assert undetermined(model, architecture.input_shape("full", batch=2)) == set()


def test_the_trace_finds_what_a_gpu_refuses() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv3d(3, 4, 3), nn.MaxPool3d(2))
    assert undetermined(model, (2, 3, 8, 8, 8)) == {"max_pool3d_with_indices_backward"}
