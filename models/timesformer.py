"""TimeSformer: a Vision Transformer whose layers attend over time first, then over space (divided attention).

Paper: "Is Space-Time Attention All You Need for Video Understanding?", Bertasius et al. 2021 (arXiv 2102.05095);
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA), on the official Kinetics-400 model.

    clip (B,T,3,224,224) -> 16×16 patches of every frame, each plus its place's and its frame's position (B,196*T,768)
    -> before them one class token for the whole clip -> 12 layers -> layer norm -> the class token (B,768) -> linear

    a layer: patches + fc(attention over the T patches at the same place)
          -> tokens + attention over the 196 patches of the same frame and the class token
          -> tokens + MLP

The class token has no part in the attention over time; in that over space every frame sees it, and the mean of its T
outcomes goes on. The positions fix T, H and W when the model is built; `@frames=4` and `@frames=8` are built for clips
of that length.

Everything that a still image needs is a ViT with timm's parameter names (`backbone`), so that an image's weights load
into it, as in the paper; what layer n has for time is `temporal.n`. The official checkpoint's names map one to one:
`model.blocks.n.temporal_X` is `temporal.n.X`, `model.time_embed` is `time_embed`, `model.head` is `head`, any other
`model.X` is `backbone.X`. As there, the positions over time and each `fc` after the attention over time start from
zero: at the start the model is the ViT, averaged over frames.

Deviations from the seed: its `require_grad` typo freezes nothing, so nothing is frozen here either. The seed's
optimiser is not known, so the recipe is this project's. Tiny has a smaller ViT (64 channels, 3 layers), frozen as it
comes from its pretext, and clips of 4 frames; what it has for time is trained in all three layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from timm.layers.drop import DropPath
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.vit import FasterAttention, ViT, vit_base, vit_tiny


class TemporalAttention(nn.Module):
    """What one layer has for time: (B*N,T,F) -> (B*N,T,F), the patches at one place of the picture in a row."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = FasterAttention(width, heads, qkv_bias=True)
        self.drop_path = DropPath(drop_path)
        self.fc = nn.Linear(width, width)
        for linear in (self.attn.qkv, self.attn.proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop_path(self.attn(self.norm1(x))))


def divided_attention(block: Block, temporal: TemporalAttention, x: Tensor, frames: int) -> Tensor:
    """One layer of divided space-time attention, from timm's block and what stands before it.

    Args:
        x: (B,1+N*T,F), the class token, then the patches: the T frames of the first place, of the second, ...
    """
    places = x[:, 1:].unflatten(1, (-1, frames))  # (B,N,T,F)
    places = places + temporal(places.flatten(0, 1)).view(places.shape)
    token = x[:, :1]
    shared = token.unsqueeze(1).expand(-1, frames, -1, -1)  # (B,T,1,F)
    still = torch.cat((shared, places.transpose(1, 2)), dim=2)  # (B,T,1+N,F)
    change = block.drop_path1(block.attn(block.norm1(still.flatten(0, 1)))).view(still.shape)
    token = token + change[:, :, 0].mean(dim=1, keepdim=True)
    places = places + change[:, :, 1:].transpose(1, 2)
    x = torch.cat((token, places.flatten(1, 2)), dim=1)
    return x + block.drop_path2(block.mlp(block.norm2(x)))


class TimeSformer(nn.Module):
    """(B,T,3,S,S) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ViT, frames: int) -> None:
        super().__init__()
        width = backbone.width
        self.clip_shape = (frames, 3, *backbone.patch_embed.img_size)
        self.backbone = backbone
        self.time_embed = nn.Parameter(torch.zeros(1, frames, width))
        self.temporal = nn.ModuleList(
            TemporalAttention(width, backbone.heads, drop_path) for drop_path in backbone.drop_paths
        )
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this TimeSformer needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        batch, frames = x.shape[:2]
        position, token = self.backbone.pos_embed, self.backbone.cls_token
        assert position is not None, "timm leaves it out of other ViTs"
        assert token is not None, "timm leaves it out of other ViTs"
        patches = self.backbone.patch_embed(x.flatten(0, 1)) + position[:, 1:]  # (B*T,N,F)
        patches = patches.unflatten(0, (batch, frames)).transpose(1, 2) + self.time_embed  # (B,N,T,F)
        tokens = torch.cat(
            ((token + position[:, :1]).expand(batch, -1, -1), patches.flatten(1, 2)), dim=1
        )  # (B,1+N*T,F)
        layers = cast(Iterable[tuple[Block, TemporalAttention]], zip(self.backbone.blocks, self.temporal, strict=True))
        for block, temporal in layers:
            tokens = divided_attention(block, temporal, tokens, frames)
        return self.head(self.backbone.norm(tokens[:, 0]))


def sizes(full: int, tiny: int) -> Mapping[str, Size]:
    """Both sizes, for clips of so many frames."""
    return {
        "full": Size(
            build=lambda classes: TimeSformer(classes, vit_base(drop_path=0.1), full),
            image_size=224,
            frames=full,
            stages=(Stage(epochs=30, batch_size=8, optimizer="adam", lr=2e-5),),
            official=(
                Official("timesformer/k400", without=("head",)),
                Official("timm/vit_base_patch16_224", "backbone"),
            ),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: TimeSformer(classes, vit_tiny(), tiny),
            image_size=48,
            frames=tiny,
            stages=(
                Stage(
                    epochs=9,
                    max_samples=2_900,
                    batch_size=16,
                    lr=0.0032,
                    weight_decay=0.0003,
                    label_smoothing=0.2,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=1.0,
                    frozen=("backbone",),
                ),
            ),
            weights=(Weights("geometry-vit", "backbone"),),
            searched=True,
        ),
    }


ARCHITECTURE = Architecture(
    name="timesformer",
    title="TimeSformer",
    view="clip",
    source="arXiv 2102.05095; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes=sizes(full=8, tiny=4),
    variants={f"frames={frames}": sizes(frames, frames) for frames in (4, 8)},
)
