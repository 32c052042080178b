"""APViT: a transformer over the places of a face recognition net's map that drops those which matter least.

Paper: "Vision Transformer with Attentive Pooling for Robust Facial Expression Recognition", Xue et al. 2022 (arXiv
2212.05463); seed: github.com/youqingxiaozhua/APViT.

    image (B,3,112,112) -> IR-50 to its third stage (B,256,14,14) -> 1×1 convolution, 196 tokens (B,196,768), positions
    -> attentive patch pooling: the 160 tokens of the largest sum of absolute values over channels
    -> class token before them -> 4 transformer layers -> 4 with attentive token pooling: between attention and feed-
       forward, those 9 of 10 stay whose scores from the class token, before the softmax, are largest in sum over heads
       (144, 129, 116, 104) -> layer norm -> linear of the class token

65.21 M parameters, as many as the seed's build has, and 12.65 G multiply-adds. Pooling has no parameters, and no
gradient of its own; tokens need no order, their positions are in them.
Momentum SGD, 1e-3, weight decay 5e-4, batch 128, 40 epochs, a cosine and gradients clipped to 10 are the seed's.
Deviations from the seed: classes are weighed, not oversampled; positions decay as all else does.
Tiny has the project's small ResNet: 9 tokens of 64 channels, 7 after patch pooling; 4 layers of 4 heads.
"""

from __future__ import annotations

import torch
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.ir50 import IR50
from ferbench.models.parts.pyramid import ResNetPyramid


def strongest(tokens: Tensor, strength: Tensor, count: int) -> Tensor:
    """Of tokens (B,N,C) with a strength each (B,N), the `count` strongest (B,count,C), in any order."""
    found = strength.detach().topk(count, dim=1, sorted=False).indices
    return tokens[torch.arange(len(tokens), device=tokens.device)[:, None], found]


class Attention(nn.Module):
    """(B,1+N,C) -> the same, and what the class token's heads think of the other N, before the softmax: (B,N).

    A sum over heads of products is the product of all channels.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        query, key, value = self.qkv(x).chunk(3, dim=2)
        heads = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in (query, key, value))
        found = scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        return self.proj(found), (key[:, 1:] @ query[:, 0, :, None]).squeeze(2)


class PoolingBlock(nn.Module):
    """(B,1+N,C) -> (B,1+M,C), M the share `keep` of N, rounded down."""

    def __init__(self, width: int, heads: int, keep: float) -> None:
        super().__init__()
        self.keep = keep
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 3 * width)

    def forward(self, x: Tensor) -> Tensor:
        attended, scores = self.attn(self.norm1(x))
        x = x + attended
        if self.keep < 1:
            x = torch.cat((x[:, :1], strongest(x[:, 1:], scores, int(self.keep * scores.shape[1]))), dim=1)
        return x + self.mlp(self.norm2(x))


class PoolingViT(nn.Module):
    """Tokens (B,N,C) -> (B,C): timm's names, so the parameters of its ViT that patches have no share in load."""

    def __init__(self, tokens: int, kept: int, width: int, heads: int, keep: tuple[float, ...]) -> None:
        super().__init__()
        self.kept = kept
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + tokens, width))
        self.blocks = nn.Sequential(*(PoolingBlock(width, heads, share) for share in keep))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for weight in (p for p in self.parameters() if p.ndim > 1):
            nn.init.trunc_normal_(weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = strongest(x + self.pos_embed[:, 1:], x.abs().sum(2), self.kept)
        start = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        return self.norm(self.blocks(torch.cat((start, x), dim=1))[:, 0])


class APViT(nn.Module):
    """(B,3,S,S) -> (B,classes), for the one S that it was built for; `backbone` gives maps, of which it takes the last
    one."""

    def __init__(self, classes: int, backbone: IR50 | ResNetPyramid, transformer: PoolingViT, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.backbone = backbone
        width = transformer.cls_token.shape[2]
        self.projection = nn.Conv2d(backbone.widths[-1], width, 1)
        self.transformer = transformer
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"this APViT needs images of side {self.image_size}, not {tuple(x.shape[-2:])}")
        return self.classifier(self.transformer(self.projection(self.backbone(x)[-1]).flatten(2).mT))


ARCHITECTURE = Architecture(
    name="apvit",
    title="APViT",
    view="image",
    source="arXiv 2212.05463; youqingxiaozhua/APViT",
    sizes={
        "full": Size(
            build=lambda classes: APViT(
                classes, IR50(), PoolingViT(196, kept=160, width=768, heads=8, keep=(1.0,) * 4 + (0.9,) * 4), 112
            ),
            image_size=112,
            stages=(
                Stage(
                    epochs=40,
                    batch_size=128,
                    optimizer="sgd",
                    lr=1e-3,
                    weight_decay=5e-4,
                    warmup=0.0,
                    class_weights="sqrt_inverse",
                    augmentation="heavy",
                    gradient_norm=10.0,
                ),
            ),
            official=(
                Official("ir50/ms1m", "backbone"),
                Official("timm/vit_small_p16_224", "transformer"),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: APViT(
                classes, ResNetPyramid(), PoolingViT(9, kept=7, width=64, heads=4, keep=(1.0, 1.0, 0.9, 0.9)), 48
            ),
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=10_000,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
        ),
    },
)
