"""S2D: a frozen ViT for stills that sees landmarks by prompts, and time by adapters.

Paper: "From Static to Dynamic: Adapting Landmark-Aware Image Models for Facial Expression Recognition in Videos", Chen
et al. 2023 (arXiv 2312.05447); seed: github.com/MSA-LMC/S2D.

    frame (3,224,224) -> frozen ViT-B/16's patches (196,768)
                     -> at 112×112, frozen MobileFaceNet's maps (128,14,14) -> 1×1 convolution: the prompt (196,768)
    12 times, of a clip (B,T,196,768):
        prompt = out(focus(image(patches)) + landmarks(prompt)), 8 channels inside, both inputs normed
        patches + prompt + adapter(normed patches) -> frozen layer of the ViT
    -> class token of each frame -> layer norm -> mean over T -> dropout -> linear

    focus: each channel times its softmax over the places of a frame, of a learned sharpness
    adapter: 768-192, attention over the T patches at one place, 192-768 -> layer norm -> 768-192-768

The class token, the positions and those of time come in after the first prompt. The positions fix T, H and W when the
model is built. AdamW, 1e-5, weight decay .05, 100 epochs (2 of warm-up), batch 8 and label smoothing .1 are the seed's
for DFEW. Of its 12 norms before the prompts nothing calls the last, which is left out.
Deviations from the seed: no self-distillation from emotion anchors, no mixup, cutmix and erased squares. The layer norm
before the head stays frozen with the ViT: the head can do whatever its scale and shift could. One view of a clip is
scored; its published figures are the mean over two parts of a clip times two crops, of the epoch that is best on the
test part. It starts from a ViT for landmarks and expressions of AffectNet: give the file that is fine-tuned from it,
and MobileFaceNet's.
Tiny has a smaller ViT (64 channels, 3 layers), clips of 4 frames, and as landmarks the project's small MobileNetV3,
which was trained to find them: each of its 3×3 places stands for 2×2 patches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.mobilefacenet import MobileFaceNet
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_tiny
from ferbench.models.parts.vit import FasterAttention, ViT, vit_base, vit_tiny


class LandmarkMaps(MobileFaceNet):
    """MobileFaceNet's maps at an eighth of 112×112: (N,3,H,W) -> (N,128,14,14). What comes behind is left out."""

    channels = 128

    def __init__(self) -> None:
        super().__init__()
        del self.conv_45, self.conv_5, self.conv_6_sep

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        x = F.interpolate(x, (112, 112), mode="bilinear", align_corners=True)
        return self.conv_4(self.conv_34(self.conv_3(self.conv_23(self.conv2_dw(self.conv1(x))))))


class LandmarkMapsTiny(nn.Module):
    """The maps of a small MobileNetV3, each place twice along both sides: (N,3,48,48) -> (N,288,6,6)."""

    def __init__(self, backbone: MobileNetV3) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = backbone.width

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.backbone.features(x), scale_factor=2.0, mode="nearest")


class OnTokens(nn.Conv2d):
    """A 1×1 convolution of tokens (...,F) -> (...,G); its weight has the shape that it has in the official file."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, kernel_size=1)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.flatten(1), self.bias)


class Adapter(nn.Module):
    """Over time, then over channels: (B,T,N,F) -> (B,T,N,F)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        hidden = width // 4
        self.down = _linear(width, hidden)
        self.attn = FasterAttention(hidden, heads, qkv_bias=False)
        self.up = _linear(hidden, width)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(_linear(width, hidden), nn.GELU(), _linear(hidden, width))
        for linear in (self.attn.qkv, self.attn.proj):
            nn.init.trunc_normal_(linear.weight, std=0.02)
        nn.init.zeros_(self.attn.proj.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch = len(x)
        rows = F.gelu(self.down(x)).transpose(1, 2).flatten(0, 1)  # (B*N,T,F/4)
        return self.mlp(self.norm(self.up(self.attn(rows).unflatten(0, (batch, -1)).transpose(1, 2))))


class Prompt(nn.Module):
    """Patches and the prompt of the layer before, both normed, (B,T,N,F) -> this layer's prompt (B,T,N,F)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.image = OnTokens(width, hidden)
        self.landmarks = OnTokens(width, hidden)
        self.out = OnTokens(hidden, width)
        self.sharpness = nn.Parameter(torch.full((1,), 10.0))

    def forward(self, patches: Tensor, prompt: Tensor) -> Tensor:
        image = self.image(patches)
        focused = image * (image * self.sharpness).softmax(dim=2)
        return self.out(focused + self.landmarks(prompt))


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear


class AdaptedViT(nn.Module):
    """A clip (B,T,3,S,S) and its frames' landmark maps (B*T,C,H,W) -> (B,F)."""

    def __init__(self, backbone: ViT, channels: int, frames: int, heads: int, hidden: int = 8) -> None:
        super().__init__()
        width, depth = backbone.width, len(backbone.blocks)
        self.backbone = backbone
        self.landmark_embed = nn.Conv2d(channels, width, kernel_size=1)
        self.time_embed = nn.Parameter(torch.empty(1, frames, width))
        self.prompts = nn.ModuleList(Prompt(width, hidden) for _ in range(depth))
        self.adapters = nn.ModuleList(Adapter(width, heads) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-6) for _ in range(depth - 1))
        nn.init.trunc_normal_(self.time_embed, std=0.02)

    def forward(self, x: Tensor, maps: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        prompt = self.landmark_embed(maps).flatten(2).transpose(1, 2).unflatten(0, (batch, frames))  # (B,T,N,F)
        patches = self.backbone.patch_embed(x.flatten(0, 1)).unflatten(0, (batch, frames))  # (B,T,N,F)
        norms = (self.norms[0], *self.norms)
        layers = zip(self.backbone.blocks, norms, self.prompts, self.adapters, strict=True)
        token: Tensor | None = None
        for block, norm, prompts, adapter in cast(Iterable[tuple[Block, nn.Module, Prompt, Adapter]], layers):
            normed = norm(patches)
            prompt = prompts(normed, norms[0](prompt))
            patches = patches + adapter(normed) + prompt
            tokens = self.begun(patches) if token is None else torch.cat((token, patches), dim=2)
            tokens = block(tokens.flatten(0, 1)).unflatten(0, (batch, frames))  # (B,T,1+N,F)
            token, patches = tokens[:, :, :1], tokens[:, :, 1:]
        return self.backbone.norm(tokens[:, :, 0]).mean(dim=1)

    def begun(self, patches: Tensor) -> Tensor:
        """Patches (B,T,N,F) behind the class token, with the positions of space and time: (B,T,1+N,F)."""
        position, token = self.backbone.pos_embed, self.backbone.cls_token
        assert position is not None, "timm leaves it out of other ViTs"
        assert token is not None, "timm leaves it out of other ViTs"
        tokens = torch.cat((token.expand(*patches.shape[:2], -1, -1), patches), dim=2)
        return tokens + position + self.time_embed[:, :, None]


class S2D(nn.Module):
    """(B,T,3,S,S) -> (B,classes)."""

    def __init__(
        self,
        classes: int,
        backbone: ViT,
        landmarks: LandmarkMaps | LandmarkMapsTiny,
        frames: int,
        heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.clip_shape = (frames, 3, *backbone.patch_embed.img_size)
        self.landmarks = landmarks
        self.transformer = AdaptedViT(backbone, landmarks.channels, frames, heads)
        self.dropout = nn.Dropout(dropout)
        self.head = _linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this S2D needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        return self.head(self.dropout(self.transformer(x, self.landmarks(x.flatten(0, 1)))))


def sizes(full: int, tiny: int) -> Mapping[str, Size]:
    """Both sizes, for clips of so many frames."""
    return {
        "full": Size(
            build=lambda classes: S2D(classes, vit_base(), LandmarkMaps(), frames=full, heads=8, dropout=0.5),
            image_size=224,
            frames=full,
            stages=(
                Stage(
                    epochs=100,
                    batch_size=8,
                    lr=1e-5,
                    weight_decay=0.05,
                    warmup=0.02,
                    label_smoothing=0.1,
                    frozen=("transformer.backbone", "landmarks"),
                ),
            ),
            official=(Official("s2d/finetuned", "transformer"), Official("s2d/landmarks", "landmarks")),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: S2D(
                classes, vit_tiny(), LandmarkMapsTiny(mobilenet_v3_tiny()), frames=tiny, heads=2, dropout=0.1
            ),
            image_size=48,
            frames=tiny,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=4_000,
                    batch_size=8,
                    lr=4e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=1.0,
                    frozen=("transformer.backbone", "landmarks"),
                ),
            ),
            weights=(
                Weights("geometry-vit", "transformer.backbone"),
                Weights("geometry-mobilenet_v3", "landmarks.backbone"),
            ),
        ),
    }


ARCHITECTURE = Architecture(
    name="s2d",
    title="S2D",
    view="clip",
    source="arXiv 2312.05447; MSA-LMC/S2D",
    models_time=True,
    sizes=sizes(full=16, tiny=4),
    variants={"frames=4": sizes(4, 4)},
)
