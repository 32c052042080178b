"""An answer to a picture that is the mean of those to it and to its mirror image."""

from __future__ import annotations

from torch import Tensor, nn


class Mirrored(nn.Module):
    """(B,3,H,W) -> (B,classes): in training the model as it is; else the mean of both sides' outputs.

    Both are counted in what an answer costs. An expression has no side, and the training shows either one.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.model(x)
        return outputs if self.training else (outputs + self.model(x.flip(-1))) / 2
