"""ViViT, factorised encoder: a Vision Transformer for each frame, then a transformer over time.

Paper: "ViViT: A Video Vision Transformer", Arnab et al. 2021 (arXiv 2103.15691), model 2;
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,224,224) -> ViT-B/16 class token per frame (B,T,768) -> pooler: dense, tanh
    -> temporal class token before them, plus a position each (B,T+1,768)
    -> 3 encoder layers (8 heads, feed-forward 2048, GELU) -> the class token (B,768) -> 768-192-classes

The positions over time fix T when the model is built. The pooler belongs to the "pooled output" of the seed's ViT.

Deviations from the seed: it redraws its temporal token at every forward pass and reads frame 0; here the token is a
parameter and is what is read. Layer norms come first in a layer, as in the paper. The seed's optimiser is not known, so
the recipe is this project's.
Deviations from the paper: a token a frame, no tubelets. Tiny has a smaller ViT (64 channels, 3 layers), frozen as it
comes from its pretext; the rest narrows with its width, at 2 heads and feed-forward 128.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.vit import ViT, vit_base, vit_tiny


class TemporalEncoder(nn.Module):
    """(B,T,F) -> (B,F): what the temporal class token has gathered."""

    def __init__(self, frames: int, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.position = nn.Parameter(torch.empty(1, frames + 1, width))
        self.layers = nn.Sequential(
            *(Block(width, heads, mlp_ratio=hidden / width, qkv_bias=True) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(width)
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat((self.token.expand(len(x), -1, -1), x), dim=1) + self.position  # (B,T+1,F)
        return self.norm(self.layers(tokens)[:, 0])


class ViViT(nn.Module):
    """(B,T,3,S,S) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ViT, frames: int, heads: int = 8, hidden: int = 2048) -> None:
        super().__init__()
        width = backbone.width
        self.clip_shape = (frames, 3, *backbone.patch_embed.img_size)
        self.backbone = backbone
        self.pooler = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.temporal = TemporalEncoder(frames, width, layers=3, heads=heads, hidden=hidden)
        self.head = nn.Sequential(nn.Linear(width, width // 4), nn.GELU(), nn.Linear(width // 4, classes))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this ViViT needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Class tokens of a clip's frames (B,T,F) -> (B,classes)."""
        return self.head(self.temporal(self.pooler(features)))


ARCHITECTURE = Architecture(
    name="vivit",
    title="ViViT (factorised encoder)",
    view="clip",
    source="arXiv 2103.15691; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: ViViT(classes, vit_base(), frames=8),
            image_size=224,
            frames=8,
            stages=(Stage(epochs=30, batch_size=8, optimizer="adam", lr=2e-5),),
            official=(Official("timm/vit_base_patch16_224", "backbone"),),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: ViViT(classes, vit_tiny(), frames=8, heads=2, hidden=128),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=60,
                    max_samples=20_000,
                    batch_size=64,
                    lr=0.0039,
                    weight_decay=0.011,
                    label_smoothing=0.0,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    gradient_norm=1.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-vit", "backbone"),),
            searched=True,
        ),
    },
)
