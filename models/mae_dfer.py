"""MAE-DFER's LGI-Former: attention inside regions of a clip, and between the regions by messenger tokens.

Paper: "MAE-DFER: Efficient Masked Autoencoder for Self-supervised Dynamic Facial Expression Recognition", Sun et al.
2023 (arXiv 2307.02227); seed: github.com/sunlicai/MAE-DFER.

    clip (B,16,3,160,160) -> tubelets of 2×16×16 (B,800,512) plus sinusoids of their place in (time, height, width)
    -> 8 regions of 2×5×10 tubelets, before each a learned messenger (B,8,1+100,512) -> 16 layers
    -> mean over the messengers -> layer norm (B,512) -> linear

    a layer: attention inside each region, its messenger included
          -> messengers + attention among the messengers
          -> tubelets + attention of all tubelets to the messengers
          -> MLP (×4)

The tubelets of a region attend to 101 tokens in place of 800. The places fix T, H and W when the model is built. Of the
tokens that the seed can take the mean of, the messengers are what its scripts for DFEW, FERV39k and MAFW choose.

The last layer computes the messengers alone: nothing reads its tubelets. The seed computes them, and has 1.05 M
parameters there that no gradient reaches: without these and 2.6 G multiply-adds the logits are the same.

AdamW, weight decay .05, 100 epochs (5 of warm-up), stochastic depth .1, label smoothing .1 and three times 32 clips are
the seed's for DFEW; its 1e-3 is for 256 clips, hence 3.75e-4. It starts from its masked autoencoder of VoxCeleb2, which
is not trained here: give the file.
Deviations from the seed: no layer-wise decay of the learning rate (.75), no mixup, cutmix and erased squares. One view
of a clip is scored; its published figures are the mean over two parts of a clip times two crops. Its validation list is
its test list; here the epoch is chosen on a validation part. Tiny has 64 channels, 2 layers and 2 heads, clips of 8
frames and 2 regions of 2×3×3 tubelets of 2×16×16; for want of a pre-trained LGI-Former its tubelets are cut from the
maps of the project's small ResNet, frozen as it comes from its pretext, and not from pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from timm.layers.mlp import Mlp
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet, resnet_tiny
from ferbench.models.parts.sinusoids import sinusoids

Extent = tuple[int, int, int]
"""Over time, height and width."""


class Attention(nn.Module):
    """Tokens (N,L,F) attend to a context (N,M,F); its keys have no bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        kv = F.linear(context, self.kv.weight, F.pad(self.v_bias, (len(self.v_bias), 0)))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q(x), *kv.chunk(2, dim=-1)))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MessengerLayer(nn.Module):
    """What a layer does for the messengers: (B*R,1+S,F) -> (B,R,F)."""

    def __init__(self, width: int, heads: int, regions: int, drop_path: float) -> None:
        super().__init__()
        self.regions = regions
        self.first_attn_norm0 = _norm(width)
        self.first_attn = Attention(width, heads)
        self.second_attn_norm0 = _norm(width)
        self.second_attn = Attention(width, heads)
        self.norm2 = _norm(width)
        self.mlp = Mlp(width, 4 * width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        messengers = self.exchange(self.inside(x, x[:, :1])[:, 0])
        return messengers + self.drop_path(self.mlp(self.norm2(messengers)))

    def inside(self, x: Tensor, asking: Tensor) -> Tensor:
        """Attention inside each region, of some of its tokens: (B*R,L,F)."""
        context = self.first_attn_norm0(x)
        return asking + self.drop_path(self.first_attn(context[:, : asking.shape[1]], context))

    def exchange(self, messengers: Tensor) -> Tensor:
        """Attention among the messengers of a clip: (B*R,F) -> (B,R,F)."""
        messengers = messengers.unflatten(0, (-1, self.regions))
        normed = self.second_attn_norm0(messengers)
        return messengers + self.drop_path(self.second_attn(normed, normed))


class Layer(MessengerLayer):
    """A whole layer: (B*R,1+S,F) -> (B*R,1+S,F), the messenger first."""

    def __init__(self, width: int, heads: int, regions: int, drop_path: float) -> None:
        super().__init__(width, heads, regions, drop_path)
        self.third_attn_norm0 = _norm(width)
        self.third_attn_norm1 = _norm(width)
        self.third_attn = Attention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inside(x, x)
        messengers = self.exchange(x[:, 0])
        tubelets = x[:, 1:].unflatten(0, (-1, self.regions)).flatten(1, 2)  # (B,R*S,F)
        news = self.third_attn(self.third_attn_norm0(tubelets), self.third_attn_norm1(messengers))
        tubelets = tubelets + self.drop_path(news)
        x = torch.cat((messengers.view(-1, 1, x.shape[2]), tubelets.view(len(x), -1, x.shape[2])), dim=1)
        return x + self.drop_path(self.mlp(self.norm2(x)))


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


class Pixels(nn.Identity):
    """What the paper's tubelets are cut from."""

    channels, patch = 3, 1


class Maps(nn.Module):
    """A small ResNet's maps, one place for 16×16 pixels: (N,3,H,W) -> (N,F*H/16*W/16)."""

    patch = 16

    def __init__(self, backbone: ResNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.channels = backbone.width

    def forward(self, x: Tensor) -> Tensor:
        return self.backbone.maps(x).flatten(1)


class LGIFormer(nn.Module):
    """(B,T,3,S,S) -> (B,classes).

    Args:
        clip: frames, height, width.
        tubelet: the same of a token, in frames and pixels.
        region: the same of a region, in tubelets.
        stem: what each frame goes through before it is cut into tubelets.
    """

    position: Tensor
    """(1,R,S,F)."""

    def __init__(
        self,
        classes: int,
        stem: Pixels | Maps,
        clip: Extent,
        tubelet: Extent,
        region: Extent,
        width: int,
        depth: int,
        heads: int,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.clip_shape = (clip[0], 3, *clip[1:])
        self.region = region
        self.stem = stem
        self.maps = (stem.channels, clip[1] // stem.patch, clip[2] // stem.patch)
        kernel = (tubelet[0], tubelet[1] // stem.patch, tubelet[2] // stem.patch)
        self.patch_embed = nn.Conv3d(stem.channels, width, kernel, stride=kernel)
        grid = [whole // part for whole, part in zip(clip, tubelet, strict=True)]
        position = sinusoids(grid[0] * grid[1] * grid[2], width).T.unflatten(1, grid)
        self.register_buffer("position", into_regions(position[None], region), persistent=False)
        regions = self.position.shape[1]
        self.messengers = nn.Parameter(torch.empty(regions, width))
        chances = [drop_path * n / max(1, depth - 1) for n in range(depth)]
        self.blocks = nn.Sequential(
            *(Layer(width, heads, regions, chance) for chance in chances[:-1]),
            MessengerLayer(width, heads, regions, chances[-1]),
        )
        self.fc_norm = _norm(width)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.messengers, std=0.02)
        own = (module for part in (self.blocks, self.head) for module in part.modules())
        for linear in (module for module in own if isinstance(module, nn.Linear)):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this LGI-Former needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        return self.decode(self.stem(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """What the stem has made of a clip's frames (B,T,...) -> (B,classes)."""
        maps = features.flatten(2).unflatten(2, self.maps).transpose(1, 2)  # (B,C,T,H,W)
        tubelets = into_regions(self.patch_embed(maps), self.region) + self.position  # (B,R,S,F)
        messengers = self.messengers[:, None].expand(len(maps), -1, -1, -1)
        tokens = torch.cat((messengers, tubelets), dim=2).flatten(0, 1)  # (B*R,1+S,F)
        return self.head(self.fc_norm(self.blocks(tokens).mean(dim=1)))


def into_regions(x: Tensor, region: Sequence[int]) -> Tensor:
    """(B,F,T,H,W) -> (B,R,S,F): the S tubelets of each of the R regions, both in the order of time, height, width."""
    for axis, size in zip((2, 4, 6), region, strict=True):
        x = x.unflatten(axis, (-1, size))
    return x.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)


ARCHITECTURE = Architecture(
    name="mae_dfer",
    title="MAE-DFER (LGI-Former)",
    view="clip",
    source="arXiv 2307.02227; sunlicai/MAE-DFER",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: LGIFormer(
                classes, Pixels(), (16, 160, 160), (2, 16, 16), (2, 5, 10), width=512, depth=16, heads=8, drop_path=0.1
            ),
            image_size=160,
            frames=16,
            stages=(Stage(epochs=100, batch_size=96, lr=3.75e-4, weight_decay=0.05, warmup=0.05, label_smoothing=0.1),),
            official=(
                Official("mae_dfer/voxceleb2", without=("fc_norm", "head")),
                Official("mae_dfer/finetuned", without=("head",)),
            ),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: LGIFormer(
                classes,
                Maps(resnet_tiny()),
                (8, 48, 48),
                (2, 16, 16),
                (2, 3, 3),
                width=64,
                depth=2,
                heads=2,
                drop_path=0.1,
            ),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=8_000,
                    batch_size=16,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    gradient_norm=1.0,
                    frozen=("stem",),
                    reads="stem",
                ),
            ),
            weights=(Weights("geometry-resnet", "stem.backbone"),),
            channels_last=True,
        ),
    },
)
