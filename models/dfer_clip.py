"""DFER-CLIP, image side: CLIP's image tower over frames, a transformer over time, scores by cosine with class texts.

Paper: "Prompting Visual-Language Models for Dynamic Facial Expression Recognition", Zhao and Patras 2023 (arXiv
2308.13382); seed: github.com/zengqunzhao/DFER-CLIP (DFEW, FERV39k, MAFW).

    clip (B,T,3,224,224) -> CLIP ViT-B/32, projected (B,T,512) -> class token before them, plus a position each
    -> 1 encoder layer (8 heads, feed-forward 1024, norms first, tanh GELU) -> the class token (B,512)
    -> cosine with each class text (C,512) / 0.01

The seed makes the class texts with CLIP's text tower, from a description of each expression behind 8 learned tokens of
its own. A description needs the classes' names, and a build here knows their number alone: the texts are parameters,
random directions at first, that are learned as the seed's tokens are, but without the tower that would hold them to
what language can say. Nothing of this row knows language, and no zero-shot scores come out of it. A checkpoint in this
project's names (`predict`, `evaluate`) may bring the texts of a trained DFER-CLIP, or CLIP's of any sentences, as
`texts` (C,512), a row a class in the data set's order; only its direction counts.

With a text tower 7 texts cost 20.8 G multiply-adds more: 91.4 G together, the paper's 92. CLIP's own weights go into
`backbone`, from OpenAI's state dict or from transformers' file.

Deviations from the seed: its loader gives 0..1 where CLIP saw normalised pictures; here they are. It trains at once, at
rates of 1e-2 (over time), 1e-3 (tokens) and 1e-5 (tower); here a stage has one rate, so all but the tower comes first,
and then everything at the tower's. It chooses the epoch on the test part.
Tiny has the project's small ViT (64 channels) in the place of CLIP's tower, frozen as it comes from its pretext, and
clips of 8 frames; the layer over time has 2 heads.
"""

from __future__ import annotations

import torch
from timm.layers.activations import GELUTanh
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.clip_tower import CLIPTower
from ferbench.models.parts.over_frames import need_frames
from ferbench.models.parts.vit import ViT, vit_tiny

TEMPERATURE = 0.01


class TemporalTransformer(nn.Module):
    """(B,T,F) -> (B,F): what the class token has gathered in one layer."""

    def __init__(self, frames: int, width: int, heads: int) -> None:
        super().__init__()
        self.frames = frames
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, frames + 1, width))
        self.layer = Block(width, heads, mlp_ratio=2, act_layer=GELUTanh, norm_layer=nn.LayerNorm)

    def forward(self, x: Tensor) -> Tensor:
        need_frames(x, self.frames, "DFER-CLIP")
        tokens = torch.cat((self.token.expand(len(x), -1, -1), x), dim=1) + self.position  # (B,T+1,F)
        return self.layer(tokens)[:, 0]


class DFERCLIP(nn.Module):
    """(B,T,3,S,S) -> (B,classes)."""

    def __init__(self, classes: int, backbone: CLIPTower | ViT, frames: int, heads: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.temporal = TemporalTransformer(frames, backbone.width, heads)
        self.texts = nn.Parameter(torch.randn(classes, backbone.width))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes)."""
        video, texts = normalize(self.temporal(features), dim=-1), normalize(self.texts, dim=-1)
        return linear(video, texts) / TEMPERATURE


ARCHITECTURE = Architecture(
    name="dfer_clip",
    title="DFER-CLIP (image side)",
    view="clip",
    source="arXiv 2308.13382; zengqunzhao/DFER-CLIP",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: DFERCLIP(classes, CLIPTower(), frames=16, heads=8),
            image_size=224,
            frames=16,
            stages=(
                Stage(
                    name="temporal",
                    epochs=30,
                    batch_size=48,
                    optimizer="sgd",
                    lr=1e-2,
                    weight_decay=1e-4,
                    frozen=("backbone",),
                    reads="backbone",
                ),
                Stage(name="all", epochs=20, batch_size=48, optimizer="sgd", lr=1e-5, weight_decay=1e-4),
            ),
            official=(Official("clip/vit_b32", "backbone"),),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: DFERCLIP(classes, vit_tiny(), frames=8, heads=2),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=60,
                    max_samples=20_000,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    gradient_norm=1.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-vit", "backbone"),),
        ),
    },
)
