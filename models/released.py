"""A released checkpoint into a model of one's own, its head included: nothing is trained, so all of it must fit.

Two ways to write one are known: the names of the model here (what a cell keeps, what `state_dict` gives), and the
layouts of `models.official` with a head for other classes than those the layout was first published with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official
from ferbench.models.official import COUNTER, fold_input, layouts_of, renamed_by
from ferbench.models.official_files import WeightsError, read_tensors
from ferbench.models.official_layouts import Layout
from ferbench.models.weights import compare

MOST_CLASSES = 1000


def load_released(architecture: Architecture, size: str, file: Path) -> tuple[nn.Module, int, str]:
    """A model with every weight of a file.

    Returns:
        The model, the number of its classes, and what the file is in words.

    Raises:
        WeightsError: it cannot be read, is of another architecture, lacks its head, or does not fit.
    """
    tensors = read_tensors(file)
    build, official = architecture.sizes[size].build, architecture.sizes[size].official
    heads = _heads(build)
    own = _built(build, 2).state_dict()
    if all(name in tensors or name.endswith(COUNTER) for name in own):
        return *_loaded(build, heads, tensors, None, architecture.name, file), "weights in the names of this project"
    layout, entry = _recognised(build, tensors, official, architecture.name, file)
    prefix = f"{entry.into}." if entry.into else ""
    tensors = {n: t for n, t in tensors.items() if not n.startswith(layout.unused)}
    body = {n: t for n, t in tensors.items() if not n.startswith(layout.head)}
    head = {n: t for n, t in tensors.items() if n.startswith(layout.head)}
    renamed = {f"{prefix}{n}": t for n, t in renamed_by(layout, layout.prepared(body)).items()}
    named = {f"{prefix}{layout.rename(n)}": t for n, t in head.items()}
    heads = {n: axis for n, axis in heads.items() if not n.startswith(layout.apart)}
    if {n for n in named if not n.endswith(COUNTER)} != heads.keys():
        named = _paired(heads, head, layout, architecture.name, file)
    renamed |= {n: _as_shown(t, own[n].ndim) for n, t in named.items()}
    return *_loaded(build, heads, renamed, (layout, prefix), architecture.name, file), f"{layout.said} with its head"


def _built(build: Callable[[int], nn.Module], num_classes: int) -> nn.Module:
    """The model without data."""
    with torch.device("meta"):
        return build(num_classes)


def _heads(build: Callable[[int], nn.Module]) -> dict[str, int]:
    """Tensors whose shape depends on the number of classes, and the axis that does."""
    one, other = _built(build, 2).state_dict(), _built(build, 3).state_dict()
    return {
        name: next(axis for axis, (a, b) in enumerate(zip(tensor.shape, other[name].shape, strict=True)) if a != b)
        for name, tensor in one.items()
        if tensor.shape != other[name].shape
    }


def _recognised(
    build: Callable[[int], nn.Module],
    tensors: Mapping[str, Tensor],
    official: tuple[Official, ...],
    name: str,
    file: Path,
) -> tuple[Layout, Official]:
    layouts = layouts_of(_built(build, 2), official)
    sources = {entry.source: entry for entry in official}
    layout = next((x for x in layouts if x.source in sources and x.is_of(tensors, any_head=True)), None)
    if layout is None:
        first = ", ".join(list(tensors)[:2])
        known = " or ".join(["the names of this project", *(x.said for x in layouts if x.source in sources)])
        raise WeightsError(f"{file}: no checkpoint of {name} (it begins {first}): its names must be those of {known}")
    return layout, sources[layout.source]


def _paired(
    heads: Mapping[str, int],
    given: Mapping[str, Tensor],
    layout: Layout,
    name: str,
    file: Path,
) -> dict[str, Tensor]:
    """The head of a file under the names that it has here: weight to weight, bias to bias."""
    ends = {n.rpartition(".")[2]: n for n in given}
    if not given:
        raise WeightsError(f"{file}: it has no head ({', '.join(layout.head)}): only weights that answer can be "
                           "evaluated; `run --weights` starts a training from others")  # fmt: skip
    if len(ends) != len(given) or set(ends) != {n.rpartition(".")[2] for n in heads} or len(ends) != len(heads):
        raise WeightsError(f"{file}: its head ({', '.join(given)}) is not built as that of {name} "
                           f"({', '.join(heads)}): export it as an ONNX file")  # fmt: skip
    return {mine: given[ends[mine.rpartition(".")[2]]] for mine in heads}


def _as_shown(tensor: Tensor, axes: int) -> Tensor:
    """Without the axes of one place that a convolution has where a linear layer does the same."""
    return tensor.reshape(tensor.shape[:axes]) if set(tensor.shape[axes:]) <= {1} else tensor


def _loaded(
    build: Callable[[int], nn.Module],
    heads: Mapping[str, int],
    tensors: Mapping[str, Tensor],
    under: tuple[Layout, str] | None,
    name: str,
    file: Path,
) -> tuple[nn.Module, int]:
    """The model and its number of classes."""
    counts = {tensors[n].shape[axis] for n, axis in heads.items() if tensors[n].ndim > axis}
    if len(counts) != 1 or not 1 <= (num_classes := counts.pop()) <= MOST_CLASSES:
        raise WeightsError(f"{file}: the shapes of its head ({', '.join(heads)}) do not tell one number of classes")
    model = build(num_classes)
    filled = dict(tensors)
    for own, value in model.state_dict().items():
        if own.endswith(COUNTER) or (under is not None and own.startswith(under[0].apart)):
            filled.setdefault(own, value)
    report = compare(model, filled)
    if not report.fits:
        raise WeightsError(f"{file}: it does not fit {name}: {report}")
    if under is not None and (seen := under[0].input) is not None:
        prefix = under[1]
        inside = {n.removeprefix(prefix): t for n, t in filled.items() if n.startswith(prefix)}
        filled |= {f"{prefix}{n}": t for n, t in fold_input(inside, seen).items()}
    model.load_state_dict(filled)
    return model, num_classes
