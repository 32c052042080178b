"""What a model costs: parameters, multiply-adds, latency, throughput, memory. It knows no architecture by name.

Multiply-adds are counted once (a dot product of n terms costs n) and only where they matter: convolutions, matrix
products and attention. Normalisation, activation and pooling are left out.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import logging
import math
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ferbench.models.architecture import refuse_lazy_layers

Precision = Literal["float32", "bfloat16"]
Shape = Sequence[int]

BATCHES = {"cpu": (1, 8, 32), "cuda": (1, 8, 32, 64, 128, 256)}
"""Batch sizes that throughput is tried at, by device type; the largest that fits in memory and in time counts."""

WARM_UP = 10
"""Calls before anything is timed; a batch of another size has a few of its own."""
WARM_UP_AGAIN = 2

SAMPLES = 20
"""Timed samples of the latency."""
THROUGHPUT_SAMPLES = 10
"""Timed samples of the throughput at the batch that counts."""
FEW_SAMPLES = 3
"""Timed samples of the throughput at smaller batches."""

THROUGHPUT_SECONDS = 60.0
"""A batch whose samples would take longer, by the latency of one input, is not tried: it would tell nothing new."""

SAMPLE_SECONDS = 0.010
"""A timed sample repeats the call until it lasts at least this long."""


# Parameters and multiply-adds -----------------------------------------------------------------------------------------


def count_parameters(model: nn.Module) -> int:
    """Number of parameters, frozen ones too; a shared one counts once.

    Raises:
        ValueError: a lazy layer has no shape yet.
    """
    refuse_lazy_layers(model)
    return sum(p.numel() for p in model.parameters())


def without_data(build: Callable[[], nn.Module]) -> nn.Module:
    """A model that is only to be counted: on the device `meta`, which takes neither time nor memory, or on the CPU
    where it cannot be built there."""
    try:
        with torch.device("meta"):
            return build()
    except Exception:  # whatever a third party's code does with its numbers while it is built
        return build()


def count_macs(model: nn.Module, input_shape: Shape) -> int:
    """Multiply-adds of one forward pass in evaluation mode, for an input of this shape (its batch included).

    Counted on a copy without data (device `meta`), so it takes no memory for activations and is exact for recurrent
    layers and attention, which on a CPU run inside one operator that the counter does not see into. A model whose
    forward pass looks at its numbers is counted on a copy on the CPU, with such operators taken apart.

    Raises:
        ValueError: the forward pass fails there too.
    """
    try:
        return _macs(copy.deepcopy(model).to("meta"), torch.empty(tuple(input_shape), device="meta"))
    except Exception:  # `.item()`, a mask, a tensor made without a device: whatever needs numbers
        try:
            return _macs_with_numbers(model, input_shape)
        except Exception as error:
            raise ValueError(f"its multiply-adds cannot be counted: {type(error).__name__}: {error}") from error


def known_macs(model: nn.Module, input_shape: Shape) -> int | None:
    """Multiply-adds (`count_macs`), or None where they cannot be counted: a trained model is not lost for that."""
    try:
        return count_macs(model, input_shape)
    except ValueError:
        return None


def _macs(model: nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False, custom_mapping=_FLOPS) as counter, torch.no_grad():
        model.eval()(x)
    return int(counter.get_total_flops()) // 2


def _macs_with_numbers(model: nn.Module, input_shape: Shape) -> int:
    model = copy.deepcopy(model)
    model = model.to_empty(device="cpu") if any(p.is_meta for p in model.parameters()) else model.to("cpu")
    x = torch.rand(tuple(input_shape), generator=torch.Generator().manual_seed(0))
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore", UserWarning)  # of what the flag would mean on a GPU of Intel
            with torch.backends.mkldnn.flags(enabled=False):
                return _macs(model, x)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _product_flops(place: int) -> Callable[..., int]:
    """Of an operator that makes one product of each number of the factor at this place."""

    def flops(*shapes: Any, **_: Any) -> int:
        return 2 * math.prod(shapes[place])

    return flops


def _sum_of_products_flops(_bias: Shape, one: Shape, other: Shape, **_: Any) -> int:
    """Batches (B,N,M) and (B,M,P), whose products are summed."""
    return 2 * math.prod(one) * other[-1]


def _bilinear_flops(one: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """Factors (B,...) and weights (1,O,I,J), expanded to one another: every weight once an input."""
    return 2 * one[0] * math.prod(weight)


_FLOPS = {
    torch.ops.aten.mv: _product_flops(0),
    torch.ops.aten.addmv: _product_flops(1),
    torch.ops.aten.dot: _product_flops(0),
    torch.ops.aten.vdot: _product_flops(0),
    torch.ops.aten.addbmm: _sum_of_products_flops,
    torch.ops.aten._trilinear: _bilinear_flops,
}
"""What torch's counter passes over."""


def macs_by_module(model: nn.Module, input_shape: Shape) -> dict[str, int]:
    """Multiply-adds of each submodule by name, "" for the whole: fvcore's count, on a copy on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # fvcore compiles a loss with torch.jit.script when imported
        from fvcore.nn import FlopCountAnalysis

    model = copy.deepcopy(model).to("cpu").eval()
    with torch.no_grad(), _quiet("fvcore"):
        analysis = FlopCountAnalysis(model, torch.zeros(tuple(input_shape)))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        analysis.set_op_handle(**_FVCORE_HANDLES)
        return {name: int(macs) for name, macs in analysis.by_module().items()}


def _sizes(value: Any) -> list[int]:
    """Shape of a tensor value in a traced graph."""
    return list(value.type().sizes())


def _attention(inputs: list[Any], _outputs: list[Any]) -> int:
    """Query (...,Q,d), key (...,K,d), value (...,K,v): Q·K·d for the weights, Q·K·v for their use."""
    query, key, value = (_sizes(i) for i in inputs[:3])
    return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]


def _recurrent(inputs: list[Any], _outputs: list[Any]) -> int:
    """LSTM or GRU on (B,T,F) or (T,B,F): every weight matrix once a step."""
    steps = math.prod(_sizes(inputs[0])[:2])
    lists = [list(i.node().inputs()) for i in inputs if i.node().kind() == "prim::ListConstruct"]
    weights = [_sizes(parameter) for parameter in lists[-1]]
    return steps * sum(math.prod(w) for w in weights if len(w) == 2)


def _native_attention(inputs: list[Any], _outputs: list[Any]) -> int:
    """The fast path of nn.MultiheadAttention: projections of query, key, value and output, then attention."""
    (batch, queries, width), keys = _sizes(inputs[0]), _sizes(inputs[1])[1]
    return batch * (2 * queries * width**2 + 2 * keys * width**2 + 2 * queries * keys * width)


def _nothing(_inputs: list[Any], _outputs: list[Any]) -> int:
    return 0  # fvcore keeps a default handle that is set to None


_FVCORE_HANDLES: dict[str, Callable[[list[Any], list[Any]], int]] = {
    "aten::scaled_dot_product_attention": _attention,
    "aten::lstm": _recurrent,
    "aten::gru": _recurrent,
    "aten::_native_multi_head_attention": _native_attention,
    **dict.fromkeys(("aten::batch_norm", "aten::layer_norm", "aten::group_norm", "aten::instance_norm"), _nothing),
    **dict.fromkeys(("aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d", "aten::adaptive_avg_pool3d"), _nothing),
}


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


# Latency and throughput -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inference:
    """Raw samples of one model on one device at one precision."""

    latency_ms: tuple[float, ...]
    """Time of one call at batch 1, its mean over each timed sample."""
    samples_per_s: tuple[float, ...]
    """Throughput at `batch`, over each timed sample."""
    batch: int
    """The largest of the fixed list that fits."""
    samples_per_s_by_batch: dict[int, float]
    """Median throughput at each batch of the fixed list that fits."""
    device: str
    threads: int
    precision: Precision

    @property
    def latency_ms_p50(self) -> float:
        return float(np.percentile(self.latency_ms, 50))

    @property
    def latency_ms_p95(self) -> float:
        return float(np.percentile(self.latency_ms, 95))

    @property
    def infer_samples_per_s(self) -> float:
        return float(np.median(self.samples_per_s))

    @property
    def figures(self) -> dict[str, Any]:
        """As they stand in a record's cost."""
        return {
            "infer_samples_per_s": self.infer_samples_per_s,
            "infer_batch": self.batch,
            "throughput_by_batch": self.samples_per_s_by_batch,
            "latency_ms_p50": self.latency_ms_p50,
            "latency_ms_p95": self.latency_ms_p95,
            "latency_ms_samples": [round(ms, 4) for ms in self.latency_ms],
        }


def measure_inference(
    model: nn.Module,
    input_shape: Shape,
    device: torch.device | str,
    precision: Precision = "float32",
    *,
    channels_last: bool = False,
    batches: Sequence[int] | None = None,
    samples: int = SAMPLES,
    sample_seconds: float = SAMPLE_SECONDS,
) -> Inference:
    """Latency at batch 1 and throughput at the largest batch of a fixed list that fits.

    The latency's calls warm the model up; a larger batch has a few calls of its own, for its memory. On a CPU, where a
    batch takes nearly as many times as long as it has inputs, a batch whose samples would take over a minute is left
    out.

    Inputs are on the device beforehand. On a GPU a call of the latency is waited for by itself; the calls of a
    throughput sample follow each other, and only the last is waited for.

    Args:
        model: on `device` already; its training mode is restored afterwards.
        input_shape: of a batch; its first number is replaced.
        channels_last: whether an input of four dimensions has this memory format.
        batches: tried from the largest; `BATCHES` of the device type by default.
        samples: of the latency, and the most of the throughput.

    Raises:
        RuntimeError: not even the smallest batch fits.
    """
    device = torch.device(device)
    batches = sorted(batches or BATCHES.get(device.type, BATCHES["cpu"]), reverse=True)
    clock = Clock(device, sample_seconds)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast(device, precision):

            def call_at(batch: int) -> Callable[[], Tensor]:
                x = random_input((batch, *input_shape[1:]), device, channels_last)
                return lambda: model(x)

            def throughput(batch: int, samples: int) -> list[float]:
                return clock.seconds_per_call(call_at(batch), samples, WARM_UP_AGAIN, wait_each_call=False)

            latency = clock.seconds_per_call(call_at(1), samples, WARM_UP, wait_each_call=True)
            counted = min(samples, THROUGHPUT_SAMPLES)
            longest = THROUGHPUT_SECONDS / (float(np.median(latency)) * (counted + WARM_UP_AGAIN))
            batches = [b for b in batches if b <= longest] or batches[-1:]
            batch, seconds = _largest_that_fits(batches, lambda batch: throughput(batch, counted))
            few = min(samples, FEW_SAMPLES)
            smaller = {b: b / float(np.median(throughput(b, few))) for b in batches if b < batch}
    finally:
        model.train(was_training)
    return Inference(
        latency_ms=tuple(1e3 * s for s in latency),
        samples_per_s=tuple(batch / s for s in seconds),
        batch=batch,
        samples_per_s_by_batch=dict(sorted({**smaller, batch: batch / float(np.median(seconds))}.items())),
        device=device_name(device),
        threads=torch.get_num_threads(),
        precision=precision,
    )


@dataclass(frozen=True)
class Clock:
    """Times calls on a device."""

    device: torch.device
    sample_seconds: float
    """What a timed sample lasts at least."""

    def seconds_per_call(
        self, call: Callable[[], object], samples: int, warm_up: int, *, wait_each_call: bool
    ) -> list[float]:
        """Mean seconds of a call in each of `samples` samples, after a warm-up of at least two calls."""

        def run(repeats: int) -> float:
            """Seconds for `repeats` calls."""
            self.wait()
            start = time.perf_counter()
            for _ in range(repeats):
                call()
                if wait_each_call:
                    self.wait()
            self.wait()
            return time.perf_counter() - start

        run(warm_up // 2)
        repeats = math.ceil(self.sample_seconds / (run(warm_up - warm_up // 2) / (warm_up - warm_up // 2)))
        while (seconds := run(repeats)) < self.sample_seconds:  # a warm call is faster than the warm-up's
            repeats = math.ceil(repeats * max(1.2 * self.sample_seconds / seconds, 1.2))
        return [run(repeats) / repeats for _ in range(samples)]

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    return nullcontext() if precision == "float32" else torch.autocast(device.type, torch.bfloat16)


def random_input(shape: tuple[int, ...], device: torch.device, channels_last: bool) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    return x.contiguous(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else x


def _largest_that_fits(batches: Sequence[int], measure: Callable[[int], list[float]]) -> tuple[int, list[float]]:
    """First of `batches` that does not run out of memory, and its measure."""
    for batch in batches:
        try:
            return batch, measure(batch)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
        torch.cuda.empty_cache()
    raise RuntimeError(f"out of memory at a batch of {batches[-1]}: use a device with more memory")


def out_of_memory(error: RuntimeError) -> bool:
    # On a CPU the allocator raises a plain RuntimeError. Linux may instead end the process: see BATCHES.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


# Memory ---------------------------------------------------------------------------------------------------------------


@dataclass
class PeakMemory:
    """Filled when the block of `peak_memory` ends."""

    mb: float = math.nan
    """Millions of bytes."""


@contextmanager
def peak_memory(device: torch.device | str) -> Iterator[PeakMemory]:
    """Most memory in use at one time inside the block.

    On a GPU: what tensors occupied on `device`, those from before the block included; not the allocator's cache nor the
    CUDA context. On a CPU: the resident memory of the whole process, with the interpreter, the libraries and the pages
    of mapped files that were touched. Where Linux does not let the mark be reset, and on other systems, it is the most
    since the process began.
    """
    device = torch.device(device)
    peak = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    was_reset = device.type == "cpu" and _reset_resident_peak()
    try:
        yield peak
    finally:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            peak.mb = torch.cuda.max_memory_allocated(device) / 1e6
        else:
            peak.mb = (_resident_peak() if was_reset else _resident_peak_since_start()) / 1e6


def _reset_resident_peak() -> bool:
    """Set the peak of the resident memory back to its present value. False where that cannot be done.

    What earlier work has freed goes back to the system first, so that the peak is not theirs.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident_peak() -> int:
    """Bytes."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _resident_peak_since_start() -> int:
    """Bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


# Environment ----------------------------------------------------------------------------------------------------------


def device_name(device: torch.device | str) -> str:
    """Name of the GPU or of the processor. How many threads ran is told apart from it."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
