"""Squeeze-and-excitation (arXiv 1709.01507): channels are scaled by what all of them say."""

from __future__ import annotations

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Gates each channel by all of them, of vectors (B,F) or of maps (B,F,H,W): x * sigmoid(W2 relu(W1 mean(x)))."""

    def __init__(self, width: int, reduction: int = 4) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(width, width // reduction), nn.ReLU(), nn.Linear(width // reduction, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 2:
            return x * self.gate(x)
        return x * self.gate(x.mean(dim=(2, 3)))[:, :, None, None]
