"""Vision Transformer (arXiv 2010.11929) whose tokens are not patches: frames of a clip, places of another net's map."""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn


class TokenViT(nn.Module):
    """ViT without patches, timm's names: (B,tokens,width) -> (B,width), the class token after the last layer norm."""

    def __init__(self, tokens: int, width: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens + 1, width))
        self.pos_drop = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True, proj_drop=dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for weight in (p for p in self.parameters() if p.ndim > 1):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        return self.norm(self.blocks(self.pos_drop(tokens + self.pos_embed))[:, 0])
