"""Two layers of self-attention between the frames of a clip, as github.com/xinqi-fan/ABAW2021 stacks them."""

from __future__ import annotations

from torch import Tensor, nn


class AttentionOverFrames(nn.Module):
    """(B,T,F) -> (B,T,width): linear, layer norm, then twice attention, layer norm, dropout; no shortcuts."""

    def __init__(self, inputs: int, width: int, heads: int = 4, dropout: float = 0.2) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.projection(x))
        for attention, norm in zip(self.layers, self.norms, strict=True):
            x, _ = attention(x, x, x, need_weights=False)
            x = self.dropout(norm(x))
        return x
