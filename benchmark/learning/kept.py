"""Trained weights beside a record, with what is needed to run them again. Nothing of such a file is ever executed.

They lie in safetensors; what they are stands in the file's own metadata as JSON, so that a file alone is enough.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.atomic import drafted
from ferbench.models.architecture import Architecture, Size
from ferbench.models.weights import compare

ABOUT = "ferbench"
"""The entry of the metadata."""


@dataclass(frozen=True)
class About:
    """What a file of weights is."""

    version: str
    """Of ferbench."""
    architecture: str
    size: str
    dataset: str
    """On the board."""
    classes: tuple[str, ...]
    value: bool
    """Whether it answers a value, not a class."""
    protocol: dict[str, Any]
    key: str
    """Of its cell."""
    score: float
    """Its headline measure on the test part."""
    temperature: float
    """What its logits are divided by to be calibrated, fitted on the validation part; 1 where none was fitted."""
    digest: str = ""
    """Of names, shapes and numbers."""


@dataclass(frozen=True)
class Kept:
    """A model that was trained here, ready to answer."""

    model: nn.Module
    about: About

    @property
    def architecture(self) -> Architecture:
        return architectures.get(self.about.architecture)

    @property
    def size(self) -> Size:
        return self.architecture.sizes[self.about.size]


def keep(file: Path, model: nn.Module, about: About) -> None:
    """Writes the weights of a model.

    Raises:
        OSError: it cannot be written; an earlier file stays.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    content = {**asdict(about), "digest": digest_of(tensors)}
    with drafted(file) as draft:
        save_file(tensors, draft, {ABOUT: json.dumps(content)})


def about_of(file: Path) -> About:
    """What a file says it is; its numbers are not read.

    Raises:
        RequestError: it cannot be read, or is not of this program.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            written = (opened.metadata() or {}).get(ABOUT)
    except (OSError, SafetensorError, ValueError) as error:
        raise _unreadable(file, error) from None
    if written is None:
        raise RequestError(f"{file}: weights without what they are: only those that `run --keep` or `weights` wrote "
                           "can be used here")  # fmt: skip
    try:
        return TypeAdapter(About).validate_json(written)
    except ValidationError as error:
        raise RequestError(f"{file}: what it says of itself cannot be read ({error.errors()[0]['msg']}): keep the "
                           "cell again") from None  # fmt: skip


def read_kept(file: Path) -> Kept:
    """The model of a file.

    Raises:
        RequestError: it cannot be read, is damaged, or is of an architecture that is not here, or not like that.
    """
    about = about_of(file)
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise _unreadable(file, error) from None
    if digest_of(tensors) != about.digest:
        raise RequestError(f"{file}: its numbers are not those that were written: it is damaged: keep the cell again")
    architecture = architectures.get(about.architecture)
    if about.size not in architecture.sizes:
        raise RequestError(f"{file}: {about.architecture} has no size {about.size!r} here (the file is of ferbench "
                           f"{about.version})")  # fmt: skip
    model = architecture.sizes[about.size].build(len(about.classes))
    report = compare(model, tensors)
    if not report.fits:
        raise RequestError(f"{file}: {about.architecture} is built otherwise here than in ferbench {about.version}, "
                           f"which wrote it: {report}")  # fmt: skip
    model.load_state_dict(tensors)
    return Kept(model.eval(), about)


def digest_of(tensors: dict[str, Tensor]) -> str:
    """Hash of names, types, shapes and numbers."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(np.ascontiguousarray(tensor.reshape(-1).view(torch.uint8).numpy()).data)
    return found.hexdigest()


def _unreadable(file: Path, error: Exception) -> RequestError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:120]
    return RequestError(f"{file}: weights cannot be read ({reason}): name a .safetensors file that `run --keep` wrote")
