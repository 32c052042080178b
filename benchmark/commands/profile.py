"""`profile`: what each architecture costs, measured alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from ferbench.benchmark.commands.run import choose_device
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.official import GivenWeights, given_weights, load_given
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.planning.suite import SizeName

if TYPE_CHECKING:
    from ferbench.models.architecture import Architecture

CLASSES = 8


def profile_rows(
    names: list[str],
    size: str,
    device_asked: str,
    weights: list[str] | None = None,
    counts: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """One row an architecture: parameters, GMACs, throughput, latency and memory on this machine; of those that
    start from official weights (`--weights`), which ones.

    Args:
        names: all that have this size when there is none.
        counts: parameters and GMACs alone; no weights are made then.
        report: is told which architecture is at work.

    Raises:
        RequestError: an unknown architecture, size or device; one that has no such size; a file of weights that cannot
            be used.
    """
    if counts and weights:
        raise RequestError("--counts makes no weights: leave --weights out")
    chosen = _chosen(names, size)
    device_type = choose_device(device_asked)
    given, _ = given_weights(weights or [], [architecture.name for architecture in chosen], size)
    rows = []
    for place, architecture in enumerate(chosen, 1):
        report(f"{place} of {len(chosen)}: {architecture.name}")
        rows.append(_counted(architecture, size) if counts else _measured(architecture, size, device_type, given))
    return rows


def utilisation_rows(
    names: list[str],
    size: str,
    device_asked: str,
    compiled: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> Iterator[dict[str, Any]]:
    """Rows of how much of the device each architecture's inference and training use, with `compiled` also compiled.

    Raises:
        RequestError: as `profile_rows`.
    """
    chosen = _chosen(names, size)
    device_type = choose_device(device_asked)
    import torch

    from ferbench.benchmark.measures.efficiency import Precision, device_name
    from ferbench.benchmark.measures.utilisation import matrix_product_rate, utilisations

    device = torch.device(device_type)
    peaks: dict[Precision, float] = {}
    for place, architecture in enumerate(chosen, 1):
        report(f"{place} of {len(chosen)}: {architecture.name}")
        build = architecture.sizes[size]
        precision = build.precision_on(device_type)
        if precision not in peaks:
            peaks[precision] = matrix_product_rate(device, precision)
        with device:  # random weights are drawn there, which is faster than to bring them
            model = build.build(CLASSES)
        for found in utilisations(
            build.placed(model, device),
            architecture.input_shape(size),
            device,
            precision,
            peaks[precision],
            channels_last=build.channels_last,
            compiled=compiled,
        ):
            yield {
                "architecture": architecture.name,
                "part": found.part,
                "compiled": found.compiled,
                "batch": found.batch,
                "samples_per_s": found.samples_per_s,
                "tflops": found.flops_per_s / 1e12,
                "share": found.share,
                "peak_tflops": peaks[precision] / 1e12,
                "precision": precision,
                "threads": torch.get_num_threads(),
                "device": device_name(device),
            }


def _chosen(names: list[str], size: str) -> list[Architecture]:
    """The architectures of these names, or all that have the size; RequestError where a name or the size is wrong."""
    if size not in get_args(SizeName):
        raise RequestError(f"unknown size {size!r}: use {', '.join(get_args(SizeName))}")
    chosen = [architectures.get(name) for name in names or architectures.names()]
    if names and (without := next((a.name for a in chosen if size not in a.sizes), None)):
        raise RequestError(f"architecture {without!r} has no size {size!r}: leave it out")
    return [architecture for architecture in chosen if size in architecture.sizes]


@contextmanager
def told_on_standard_error() -> Iterator[Callable[[str], None]]:
    """What says what is at work: in one line that is written over on a terminal, in plain lines elsewhere."""
    before, after = ("\r\033[K", "") if sys.stderr.isatty() else ("", "\n")
    try:
        yield lambda text: print(f"{before}{text}", end=after, file=sys.stderr, flush=True)
    finally:
        print(before, end="", file=sys.stderr, flush=True)


def _counted(architecture: Architecture, size: str) -> dict[str, Any]:
    """A row of counts, from the model without data (device `meta`)."""
    from ferbench.benchmark.measures.efficiency import count_parameters, known_macs, without_data

    shape = architecture.input_shape(size)
    model = without_data(lambda: architecture.sizes[size].build(CLASSES))
    macs = known_macs(model, shape)
    return {
        "architecture": architecture.name,
        "input": "x".join(map(str, shape[1:])),
        "params_m": count_parameters(model) / 1e6,
        "gmacs": None if macs is None else macs / 1e9,
    }


def _measured(
    architecture: Architecture, size: str, device_type: str, given: tuple[GivenWeights, ...]
) -> dict[str, Any]:
    """A row of counts, and of what the model takes on this machine."""
    import torch

    from ferbench.benchmark.learning.folding import folded
    from ferbench.benchmark.measures.efficiency import device_name, measure_inference, peak_memory

    counts, device, build = _counted(architecture, size), torch.device(device_type), architecture.sizes[size]
    model = build.build(CLASSES)
    official = load_given(model, architecture, size, given)
    model = folded(build.placed(model, device))
    with peak_memory(device) as peak:
        speed = measure_inference(
            model,
            architecture.input_shape(size),
            device,
            build.precision_on(device_type),
            channels_last=build.channels_last,
        )
    return {
        **counts,
        "samples_per_s": speed.infer_samples_per_s,
        "batch": speed.batch,
        "latency_ms_p50": speed.latency_ms_p50,
        "latency_ms_p95": speed.latency_ms_p95,
        "memory_mb": peak.mb,
        "precision": speed.precision,
        "threads": speed.threads,
        "device": device_name(device),
        **({"started_from": ", ".join(map(str, official)) or "none"} if given else {}),
    }
