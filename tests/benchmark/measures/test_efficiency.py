"""Counting against counts by hand; measuring against a clock that the model itself moves."""

from __future__ import annotations

import logging
import mmap
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ferbench.benchmark.measures import efficiency
from ferbench.benchmark.measures.efficiency import (
    count_macs,
    count_parameters,
    device_name,
    known_macs,
    macs_by_module,
    measure_inference,
    peak_memory,
    without_data,
)

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Attention(nn.Module):
    """Two heads over (B,T,8), fused."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)  # each (B,2,T,4)
        return scaled_dot_product_attention(q, k, v)


class SelfAttention(nn.Module):
    """PyTorch's own layer, which takes a fast path in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


# Model, input, parameters by hand, multiply-adds by hand.
BY_HAND: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int, int]] = {
    "linear": (lambda: nn.Linear(5, 7), (3, 5), 5 * 7 + 7, 3 * 5 * 7),
    "conv": (lambda: nn.Conv2d(3, 8, 3, stride=2), (2, 3, 9, 9), 8 * 3 * 9 + 8, 2 * 8 * 3 * 9 * 4 * 4),
    "depthwise conv": (lambda: nn.Conv2d(8, 8, 3, groups=8), (1, 8, 5, 5), 8 * 9 + 8, 8 * 9 * 3 * 3),
    "conv3d": (lambda: nn.Conv3d(3, 4, 3), (1, 3, 4, 5, 5), 4 * 3 * 27 + 4, 4 * 3 * 27 * 2 * 3 * 3),
    "norms and pool": (
        lambda: nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(4)),
        (2, 4, 6, 6),
        8 + 8,
        0,
    ),
    "lstm": (lambda: nn.LSTM(5, 6, batch_first=True), (2, 3, 5), 4 * 6 * (5 + 6 + 2), 2 * 3 * 4 * 6 * (5 + 6)),
    "two-way gru": (
        lambda: nn.GRU(5, 6, batch_first=True, bidirectional=True),
        (2, 3, 5),
        2 * 3 * 6 * (5 + 6 + 2),
        2 * 3 * 2 * 3 * 6 * (5 + 6),
    ),
    "fused attention": (Attention, (2, 10, 8), 8 * 24 + 24, 2 * 10 * 8 * 24 + 2 * 2 * 10 * 10 * 8),
    "attention layer": (
        SelfAttention,
        (2, 10, 8),
        4 * (8 * 8 + 8),
        2 * 10 * 4 * 8 * 8 + 2 * 2 * 10 * 10 * 8,
    ),
}


class Calls(nn.Module):
    """A model whose forward pass is any function of its layer and its input."""

    def __init__(self, layer: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.layer = layer
        self.function = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer, x)


class Vector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.ones(16))


# Products that torch's own counter passes over: input, multiply-adds by hand.
PRODUCTS: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor], tuple[int, ...], int]] = {
    "matrix times vector": (Vector(), lambda layer, x: x @ layer.v, (8, 16), 128),
    "batch times vector": (Vector(), lambda layer, x: x @ layer.v, (3, 8, 16), 384),
    "mv": (Vector(), lambda layer, x: torch.mv(x, layer.v), (8, 16), 128),
    "addmv": (Vector(), lambda layer, x: torch.addmv(x[:, 0], x, layer.v), (8, 16), 128),
    "dot": (Vector(), lambda layer, x: torch.dot(x, layer.v), (16,), 16),
    "vdot": (Vector(), lambda layer, x: torch.vdot(x, layer.v), (16,), 16),
    "addbmm": (
        nn.Identity(), lambda layer, x: torch.addbmm(x[0, :, :8], x, x.transpose(1, 2)), (3, 8, 16), 3 * 8 * 8 * 16,
    ),
    "bilinear": (nn.Bilinear(16, 16, 4), lambda layer, x: layer(x, x), (8, 16), 8 * 4 * 16 * 16),
}  # fmt: skip


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_of_every_kind_are_counted(case: str) -> None:
    layer, forward, shape, macs = PRODUCTS[case]
    assert count_macs(Calls(layer, forward), shape) == macs


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(16, 4),
        nn.LSTM(16, 4, batch_first=True),
        nn.GRU(16, 4, bidirectional=True),
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize(
    "look",
    [
        lambda x: x * (1 if x.abs().mean().item() > 0 else 2),
        lambda x: x + torch.zeros(x.shape, device="cpu"),
        lambda x: x[x.abs() >= 0].view(x.shape),
    ],
    ids=["item", "a tensor on the CPU", "a mask"],
)
def test_a_forward_pass_that_looks_at_its_numbers_is_counted_too(
    layer: nn.Module, look: Callable[[Tensor], Tensor]
) -> None:
    assert count_macs(Calls(layer, lambda own, x: own(look(x))), (2, 5, 16)) == count_macs(layer, (2, 5, 16)) > 0


def test_what_cannot_be_counted_is_unknown() -> None:
    def fails(layer: nn.Module, x: Tensor) -> Tensor:
        raise KeyError("a table that only the GPU has")

    model = Calls(nn.Linear(4, 4), fails)
    with pytest.raises(ValueError, match="its multiply-adds cannot be counted: KeyError: 'a table"):
        count_macs(model, (1, 4))
    assert known_macs(model, (1, 4)) is None
    assert known_macs(nn.Linear(4, 4), (1, 4)) == 16


def test_a_model_that_cannot_be_built_without_data_is_built_with() -> None:
    def build() -> nn.Module:
        return nn.Linear(4, int(torch.ones(3).sum().item()))

    model = without_data(build)
    assert (model.weight.device.type, count_macs(model, (1, 4))) == ("cpu", 12)
    assert without_data(lambda: nn.Linear(4, 3)).weight.is_meta


def test_a_lazy_layer_is_named() -> None:
    with pytest.raises(ValueError, match=r"0\.weight: a lazy layer has no shape yet: give it its sizes, or call"):
        count_parameters(nn.Sequential(nn.LazyLinear(4)))


@pytest.mark.parametrize("case", BY_HAND)
def test_parameters_and_multiply_adds_are_those_of_the_hand_count(case: str) -> None:
    make, shape, parameters, macs = BY_HAND[case]
    model = make()
    assert count_parameters(model) == parameters
    assert count_macs(model, shape) == macs
    assert macs_by_module(model, shape)[""] == macs


def test_a_shared_or_frozen_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    assert count_parameters(model.requires_grad_(False)) == 16


def test_multiply_adds_are_told_apart_by_module() -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2))
    assert macs_by_module(model, (3, 5)) == {"": 3 * 7 * (5 + 2), "0": 3 * 5 * 7, "1": 0, "2": 3 * 7 * 2}


def test_counting_leaves_the_model_as_it_was_and_says_nothing(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Hardswish()).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        count_macs(model, (2, 3, 8, 8))
        macs_by_module(model, (2, 3, 8, 8))
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert (caplog.text, capfd.readouterr()) == ("", ("", ""))


# Latency and throughput


class Clocked(nn.Module):
    """Takes 2 ms and 1 ms a sample on a clock of its own; fits at most `room` samples."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int = 10**9) -> None:
        super().__init__()
        self.now, self.room = 0.0, room
        self.batches: list[int] = []
        self.modes: set[tuple[bool, bool]] = set()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.batches.append(len(x))
        self.modes.add((self.training, torch.is_inference_mode_enabled()))
        self.now += 0.002 + 0.001 * len(x)
        return x


def test_latency_at_batch_one_and_throughput_at_the_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(monkeypatch)
    measured = measure_inference(model, (1, 3, 4, 4), "cpu")
    assert measured.batch == 32
    assert measured.latency_ms == pytest.approx([3.0] * 20)
    assert measured.samples_per_s == pytest.approx([32 / 0.034] * 10)
    assert measured.infer_samples_per_s == pytest.approx(32 / 0.034)
    assert (measured.device, measured.precision) == (device_name("cpu"), "float32")


def test_every_sample_lasts_ten_milliseconds_after_ten_warm_up_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(monkeypatch)
    measure_inference(model, (1, 3, 4, 4), "cpu", samples=15)
    # 3 ms a call at batch 1: 4 calls a sample. 34 ms at batch 32: one. Each repeat is tried out once.
    # The model is warm then: a batch of another size has two calls more.
    largest = [1] * (10 + 4 + 15 * 4) + [32] * (2 + 1 + 10)
    assert model.batches[: len(largest)] == largest
    # The smaller batches of the list follow, with three samples each.
    assert model.batches[len(largest) :] == [8] * (2 + 1 + 3) + [1] * (2 + 4 + 3 * 4)


def test_a_batch_that_would_take_over_a_minute_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Clocked(monkeypatch)
    measured = measure_inference(model, (1, 3, 4, 4), "cpu", batches=[1, 1000, 2000])
    assert measured.batch == 1000  # 12 calls of 1,000 inputs of 3 ms are 36 s, of 2,000 are 72 s
    assert 2000 not in model.batches


def test_a_first_call_that_is_slow_does_not_shorten_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    class SlowStart(Clocked):
        def forward(self, x: Tensor) -> Tensor:
            self.now += 1.0 if len(self.batches) < 10 else 0.0
            return super().forward(x)

    model = SlowStart(monkeypatch)
    measured = measure_inference(model, (1, 3, 4, 4), "cpu", batches=[1])
    assert measured.latency_ms == pytest.approx([3.0] * 20)
    assert len(model.batches) >= (20 + 10) * 4


@pytest.mark.parametrize(("room", "fits"), [(32, 32), (31, 8), (7, 1)])
def test_out_of_memory_goes_on_with_the_next_smaller_batch(
    monkeypatch: pytest.MonkeyPatch, room: int, fits: int
) -> None:
    assert measure_inference(Clocked(monkeypatch, room), (1, 3, 4, 4), "cpu").batch == fits


def test_not_even_the_smallest_batch_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="out of memory at a batch of 4"):
        measure_inference(Clocked(monkeypatch, room=3), (1, 3, 4, 4), "cpu", batches=[4, 8])


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_inference(nn.Linear(3, 3), (1, 5), "cpu")


@pytest.mark.parametrize("training", [True, False])
def test_measured_in_evaluation_and_inference_mode(monkeypatch: pytest.MonkeyPatch, training: bool) -> None:
    model = Clocked(monkeypatch).train(training)
    measure_inference(model, (1, 3, 4, 4), "cpu")
    assert model.modes == {(False, True)}
    assert model.training == training


def test_percentiles_are_those_of_the_raw_samples() -> None:
    raw = tuple(float(i) for i in range(1, 22))
    measured = efficiency.Inference(
        raw, (1.0, 5.0, 3.0), batch=8, samples_per_s_by_batch={8: 3.0}, device="a", threads=1, precision="float32"
    )
    assert (measured.latency_ms_p50, measured.latency_ms_p95, measured.infer_samples_per_s) == (11.0, 20.0, 3.0)


def test_precision_is_that_of_the_matrix_products() -> None:
    seen = set()
    model = nn.Linear(4, 4)
    model.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    measure_inference(model, (1, 4), "cpu", "bfloat16", batches=[1], samples=1)
    assert seen == {torch.bfloat16}


def test_pictures_come_channels_last_when_asked() -> None:
    seen = set()
    model = nn.Identity()
    model.register_forward_pre_hook(
        lambda _module, inputs: seen.add(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    for channels_last in (False, True):
        measure_inference(model, (1, 3, 8, 8), "cpu", channels_last=channels_last, batches=[1], samples=1)
    assert seen == {False, True}


def test_a_small_model_is_measured_at_every_batch() -> None:
    torch.set_num_threads(1)
    measured = measure_inference(nn.Conv2d(3, 16, 3), (1, 3, 48, 48), "cpu", samples=2)
    assert min(measured.latency_ms) > 0
    assert list(measured.samples_per_s_by_batch) == [1, 8, 32]
    assert min(measured.samples_per_s_by_batch.values()) > 0


@needs_cuda
def test_a_gpu_is_waited_for() -> None:
    model = nn.Sequential(*(nn.Linear(4096, 4096) for _ in range(8))).cuda()
    measured = measure_inference(model, (1, 4096), "cuda")
    # 8 x 64 MiB of weights at 10 TB/s, faster than any GPU reads them.
    assert min(measured.latency_ms) > 0.05
    assert measured.batch == 256


# Memory


def touch_and_release(megabytes: int) -> None:
    """Occupy memory that goes back to the system at once, unlike that of malloc."""
    with mmap.mmap(-1, megabytes * 10**6) as block:
        for page in range(0, len(block), mmap.PAGESIZE):
            block[page] = 1


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux")
def test_peak_memory_is_that_of_the_block_alone() -> None:
    with peak_memory("cpu") as before:
        pass
    with peak_memory("cpu") as during:
        touch_and_release(200)
    with peak_memory("cpu") as after:
        pass
    assert during.mb - before.mb == pytest.approx(200, abs=20)
    assert during.mb - after.mb == pytest.approx(200, abs=20)


def test_where_the_mark_cannot_be_reset_the_peak_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    touch_and_release(200)
    monkeypatch.setattr(efficiency, "_reset_resident_peak", lambda: False)
    with peak_memory("cpu") as peak:
        pass
    assert peak.mb > 200


def test_peak_memory_is_known_after_an_error_too() -> None:
    with pytest.raises(ZeroDivisionError), peak_memory("cpu") as peak:
        raise ZeroDivisionError
    assert peak.mb > 0


@needs_cuda
def test_peak_memory_of_a_gpu_is_that_of_its_tensors() -> None:
    with peak_memory("cuda") as before:
        pass
    with peak_memory("cuda") as during:
        torch.empty(200 * 10**6, dtype=torch.uint8, device="cuda")
    assert during.mb - before.mb == pytest.approx(200, abs=20)


def test_the_processor_has_a_name() -> None:
    name = device_name("cpu")
    assert name == name.strip() != ""
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert f": {name}\n" in Path("/proc/cpuinfo").read_text()
