"""Vision Transformer (arXiv 2010.11929), timm's: (N,3,S,S) -> (N,width), for the one S that it was built for."""

from __future__ import annotations

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import VisionTransformer


class FasterAttention(Attention):
    """timm's attention, with the fused kernel wherever that is the faster one.

    On a CPU in bfloat16 its backward pass is not: a training step of TimeSformer takes 1.3 to 1.4 times as long with it
    (50 and 197 tokens), while inference, and both in float32, are as fast or faster.
    """

    @property  # type: ignore[misc]
    def fused_attn(self) -> bool:
        return not (self.training and torch.is_autocast_enabled("cpu"))

    @fused_attn.setter
    def fused_attn(self, value: bool) -> None:
        """What timm sets once for all."""


class ViT(VisionTransformer):
    """timm's Vision Transformer without a head: the class token after the last layer norm.

    Parameter names are timm's, so its official weights load into it.
    """

    def __init__(
        self,
        image_size: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__(
            img_size=image_size,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=mlp_ratio,
            num_classes=0,
            drop_path_rate=drop_path,
        )
        for block in self.blocks.children():  # not every version of timm lets one name the class beforehand
            block.get_submodule("attn").__class__ = FasterAttention
        self.width = width
        self.heads = heads
        self.drop_paths = [drop_path * layer / max(1, depth - 1) for layer in range(depth)]
        """Each layer's chance to leave a sample out of a residual branch."""


def vit_base(image_size: int = 224, drop_path: float = 0.0) -> ViT:
    """ViT-B/16: 85.80 M parameters, 17.56 G multiply-adds at 224×224.

    `drop_path` is the last layer's chance to leave a sample out of a residual branch in training; it rises from 0.
    """
    return ViT(image_size, patch=16, width=768, depth=12, heads=12, drop_path=drop_path)


def vit_tiny(image_size: int = 48) -> ViT:
    """The same blocks for 48×48 on one CPU core: 36 patches of 8×8, 64 channels, 3 layers, 4.6 M multiply-adds."""
    return ViT(image_size, patch=8, width=64, depth=3, heads=2, mlp_ratio=2.0)


def vit_small(image_size: int = 48) -> ViT:
    """For real faces on a CPU: 64 patches of 6×6, 128 channels, 6 layers, 1.2 M parameters, 84 M multiply-adds."""
    return ViT(image_size, patch=6, width=128, depth=6, heads=4, drop_path=0.1)
