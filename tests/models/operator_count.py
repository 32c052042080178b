"""How many operators a forward pass runs: a loop over frames shows as a number that grows with them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


class OperatorCount(TorchDispatchMode):
    """Counts the operators that a model dispatches, those inside recurrent layers left out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.count = 0
        self.inside_recurrent = False
        for layer in model.modules():
            if isinstance(layer, nn.RNNBase):
                layer.register_forward_pre_hook(lambda *_: self._enter(True))
                layer.register_forward_hook(lambda *_: self._enter(False))

    def _enter(self, inside: bool) -> None:
        self.inside_recurrent = inside

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not self.inside_recurrent
        return func(*args, **(kwargs or {}))

    @classmethod
    def of(cls, model: nn.Module, x: Tensor) -> int:
        """Operators of one forward pass of `x`."""
        with cls(model) as operators, torch.no_grad():
            model(x)
        return operators.count
