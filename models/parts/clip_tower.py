"""CLIP's image tower (arXiv 2103.00020): (N,3,S,S) -> (N,width), for the one S that it was built for.

Parameter names are those of OpenAI's `visual`. The convolution has a bias besides, which the published files lack: it
starts from zero, and takes up how CLIP's pictures were normalised (`models.official.Input`).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """The GELU that CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """(N,L,F) -> (N,L,F)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": QuickGELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor) -> Tensor:
        y = self.ln_1(x)
        x = x + self.attn(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.ln_2(x))


class CLIPTower(nn.Module):
    """The class token after the last layer, projected to where images and texts meet. By default ViT-B/32.

    87.85 M parameters, 4.41 G multiply-adds at 224×224.
    """

    def __init__(
        self, image_size: int = 224, patch: int = 32, inner: int = 768, depth: int = 12, heads: int = 12,
        width: int = 512,
    ) -> None:  # fmt: skip
        super().__init__()
        self.image_size = image_size
        self.width = width
        self.conv1 = nn.Conv2d(3, inner, patch, patch)
        self.class_embedding = nn.Parameter(torch.empty(inner))
        self.positional_embedding = nn.Parameter(torch.empty((image_size // patch) ** 2 + 1, inner))
        self.ln_pre = nn.LayerNorm(inner)
        self.transformer = nn.ModuleDict({"resblocks": nn.Sequential(*(Block(inner, heads) for _ in range(depth)))})
        self.ln_post = nn.LayerNorm(inner)
        self.proj = nn.Parameter(torch.empty(inner, width))
        nn.init.zeros_(self.conv1.bias)  # type: ignore[arg-type]
        for parameter in (self.class_embedding, self.positional_embedding, self.proj):
            nn.init.normal_(parameter, std=inner**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"this tower needs images of {self.image_size}x{self.image_size}, not {tuple(x.shape)}")
        patches = self.conv1(x).flatten(2).transpose(1, 2)  # (N,L,F)
        tokens = torch.cat((self.class_embedding.expand(len(x), 1, -1), patches), dim=1) + self.positional_embedding
        return self.ln_post(self.transformer["resblocks"](self.ln_pre(tokens))[:, 0]) @ self.proj
