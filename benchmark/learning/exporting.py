"""A trained model as an ONNX file, compared with torch on random inputs before it is handed out."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.learning.kept import Kept
from ferbench.benchmark.records.atomic import drafted
from ferbench.models.architecture import DEVIATION, MEAN

COMPARED = 64
"""Random inputs on which the file is compared."""
AT_ONCE = 8
MOST = 1e-3
"""Largest difference of an output that the order of sums explains."""


def as_onnx(kept: Kept, out: Path, batch: int) -> tuple[float, str]:
    """Writes a model that takes pictures normalised by ImageNet's statistics and gives logits.

    batch: 0 for any.

    Returns:
        The largest difference of an output from torch's, and which batch it takes: `any` or a number.

    Raises:
        RequestError: onnx is not installed; an operation has no counterpart; the file answers otherwise.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError:
        raise RequestError("onnx, onnxscript and onnxruntime are not installed: pip install 'ferbench[onnx]'") from None
    model = folded(kept.model).eval()
    shape = kept.architecture.input_shape(kept.about.size)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((COMPARED, *shape[1:]), generator=generator)
    example = x[: batch or 2]
    axes = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (example,), dynamo=True, dynamic_shapes=axes, input_names=["pictures"], output_names=["logits"],
                verbose=False,
            )  # fmt: skip
    except Exception as error:  # the exporter has many of its own
        raise RequestError(f"{kept.about.architecture}: cannot be exported: {_operation(error)}") from None
    assert program is not None
    with drafted(out) as draft:
        program.save(str(draft), external_data=False)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(draft), options, providers=["CPUExecutionProvider"])
        difference = 0.0
        with torch.inference_mode():
            for part in x.split(batch or AT_ONCE):
                if len(part) < batch:
                    continue
                (found,) = session.run(None, {session.get_inputs()[0].name: part.numpy()})
                difference = max(difference, float(np.abs(found - model(part).numpy()).max()))
        if not difference <= MOST:
            raise RequestError(f"{kept.about.architecture}: the exported file answers otherwise than torch, by up to "
                               f"{difference:.2g}: it is not handed out")  # fmt: skip
    return difference, str(batch) if batch else "any"


def card_of(kept: Kept) -> str:
    """The part `model` of a card for `evaluate`."""
    size = kept.size
    clip = kept.architecture.view != "image"
    model: dict[str, Any] = {
        "classes": list(kept.about.classes),
        "size": size.image_size,
        "colour": "RGB",
        "range": 1,
        "mean": list(MEAN),
        "deviation": list(DEVIATION),
        "layout": "NTCHW" if clip else "NCHW",
        **({"frames": size.frames} if clip else {}),
        "scores": "logits",
    }
    return f"# {kept.architecture.title}, trained by ferbench on {kept.about.dataset}\n" + yaml.safe_dump(
        {"model": model}, sort_keys=False
    )


def _operation(error: Exception) -> str:
    """Which operation an exporter's message names, or its first line."""
    text = f"{error} {error.__cause__ or ''}"
    if named := re.search(r"(?:aten|prims)[.:]+[\w.]+", text):
        return f"the operation {named[0]} has no counterpart"
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:200]
