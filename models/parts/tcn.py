"""Causal temporal convolutions with weight normalisation (TCN, arXiv 1803.01271)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.parametrizations import weight_norm


class CausalConv(nn.Module):
    """(B,I,T) -> (B,O,T), weight-normalised; frame t reads t, t - dilation, ... and zeros before the first."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))
        self.past = (kernel - 1) * dilation

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(pad(x, (self.past, 0)))


class TemporalBlock(nn.Module):
    """(B,I,T) -> (B,O,T): two causal convolutions, ReLU and dropout after each, and a shortcut; then ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            CausalConv(inputs, outputs, kernel, dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
            CausalConv(outputs, outputs, kernel, dilation),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return (self.residual(x) + self.shortcut(x)).relu()


class TCN(nn.Sequential):
    """(B,channels[0],T) -> (B,channels[-1],T) for every T; the dilation doubles from block to block, from 1."""

    def __init__(self, channels: Sequence[int], kernel: int, dropout: float) -> None:
        super().__init__(
            *(
                TemporalBlock(inputs, outputs, kernel, 2**level, dropout)
                for level, (inputs, outputs) in enumerate(pairwise(channels))
            )
        )
