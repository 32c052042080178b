"""Evaluation with each batch normalisation folded into the convolution before it.

In evaluation mode a batch normalisation scales and shifts each channel by fixed numbers, which the weights of the
convolution before it can do as well: the answers are the same but for rounding, without a pass over every map.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

FOLLOWS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
}
"""Which normalisation can be folded into which convolution."""


def folded(model: nn.Module) -> nn.Module:
    """A copy of a model in evaluation mode, its batch normalisations folded away; it is not for training.

    A model without any is no copy: it is put into evaluation mode.
    """
    if not has_norms(model):
        return model.eval()
    model = copy.deepcopy(model).eval()
    for convolution, norm in list(pairs(model)):
        both = model.get_submodule(convolution), model.get_submodule(norm)
        model.set_submodule(convolution, fuse_conv_bn_eval(*both))  # type: ignore[type-var,arg-type]
        model.set_submodule(norm, nn.Identity().eval())
    return model


def pairs(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names of each convolution whose output goes through a batch normalisation and nowhere else, and of the latter.

    Found by tracing; of a part that cannot be traced, since what it does depends on its input, the parts of it are.
    """
    if not has_norms(model):
        return
    try:
        graph = fx.Tracer().trace(model)
    except Exception:  # tracing runs the model's own code on stand-ins, which may fail in any way
        for name, child in model.named_children():
            yield from pairs(child, f"{prefix}{name}.")
        return
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        if calls[before.target] != 1 or calls[node.target] != 1:  # used in two places, with or without the other
            continue
        norm = model.get_submodule(str(node.target))
        if type(norm) is FOLLOWS.get(type(model.get_submodule(str(before.target)))) and norm.running_mean is not None:
            yield f"{prefix}{before.target}", f"{prefix}{node.target}"


def has_norms(model: nn.Module) -> bool:
    """Whether a model has batch normalisations that might be folded away."""
    return any(type(module) in FOLLOWS.values() for module in model.modules())
