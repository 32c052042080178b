"""`profile`: what each architecture costs, measured alone."""

from __future__ import annotations

from typing import Any

from ferbench.benchmark.commands.run import choose_device
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.official import given_weights, load_given
from ferbench.benchmark.planning.registry import architectures

CLASSES = 8


def profile_rows(
    names: list[str], size: str, device_asked: str, weights: list[str] | None = None
) -> list[dict[str, Any]]:
    """One row an architecture: parameters, GMACs, throughput, latency and memory on this machine; of those that
    start from official weights (`--weights`), which ones.

    Raises:
        RequestError: an unknown architecture, size or device; a file of weights that cannot be used.
    """
    if size not in ("full", "tiny"):
        raise RequestError(f"unknown size {size!r}: use full or tiny")
    chosen = [architectures.get(name) for name in names or architectures.names()]
    device_type = choose_device(device_asked)
    given, _ = given_weights(weights or [], [architecture.name for architecture in chosen], size)
    import torch

    from ferbench.benchmark.learning.folding import folded
    from ferbench.benchmark.measures.efficiency import (
        count_macs,
        count_parameters,
        device_name,
        measure_inference,
        peak_memory,
    )

    device = torch.device(device_type)
    rows = []
    for architecture in chosen:
        build = architecture.sizes[size]
        shape = architecture.input_shape(size)
        model = build.build(CLASSES)
        official = load_given(model, architecture, size, given)
        params, macs = count_parameters(model), count_macs(model, shape)
        model = folded(build.placed(model, device))
        with peak_memory(device) as peak:
            speed = measure_inference(
                model, shape, device, build.precision_on(device_type), channels_last=build.channels_last
            )
        rows.append(
            {
                "architecture": architecture.name,
                "input": "x".join(map(str, shape[1:])),
                "params_m": params / 1e6,
                "gmacs": macs / 1e9,
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
        )
    return rows
