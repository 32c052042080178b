"""POSTER++ (POSTER V2): what a landmark net sees asks, what a face recognition net sees answers, at three scales.

Paper: "POSTER++: A simpler and stronger facial expression recognition network", Mao et al. 2023 (arXiv 2301.12149);
seed: github.com/Talented-Q/POSTER_V2.

    image (B,3,224,224) -> every second pixel (B,3,112,112)
    -> IR-50, each map through a convolution of stride 2: (B,64,28,28), (B,128,14,14), (B,256,7,7)
    -> frozen MobileFaceNet: (B,64,28,28), (B,128,14,14), (B,512,7,7) -> 3×3 convolution (B,256,7,7)
    at each scale: the maps of the landmarks are the queries, those of the image keys and values of one window that is
    the whole map, with a bias for each relative position; feed-forward
    -> convolutions to 3 × (B,768,7,7), as 147 tokens -> class token before them, positions, 2 transformer layers
    -> gate 768-768-768 -> linear

43.75 M parameters, 8.59 G multiply-adds. The paper's 43.7 M leave out what the seed builds and never calls (its file
has 58.3 M); its 8.4 G leave out the products of attention, 0.16 G.
Adam, 3.5e-5, batch 144 and 200 epochs are the seed's for RAF-DB. The landmark net is frozen: without a file of its
weights it stays as it was drawn.
Deviations from the seed: no sharpness-aware step around Adam; the rate falls along a cosine, not by 2% an epoch. The
frozen net is in evaluation mode (the seed's batch norms move on). Both nets see pictures normalised as their weights
were trained (the seed: by ImageNet's statistics).
Tiny has the project's small ResNet and its small MobileNet, trained on landmarks, which see every pixel of 40×40 and
whose maps need no stride, so 1×1 convolutions lead from them; 10×10, 5×5 and 3×3 places, 48 features for 768.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from timm.layers.drop import DropPath
from timm.layers.layer_scale import LayerScale
from timm.layers.mlp import Mlp
from timm.layers.pos_embed_rel import RelPosBias
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.ir50 import IR50
from ferbench.models.parts.mobilefacenet import MobileFaceNet
from ferbench.models.parts.pyramid import MobileNetPyramid, ResNetPyramid
from ferbench.models.parts.squeeze_excitation import SqueezeExcitation
from ferbench.models.parts.token_vit import TokenViT

DROP_PATH = (0.0, 0.125, 0.25)
"""Each scale's chance to leave a sample out of a residual branch in training."""


class CrossFusion(nn.Module):
    """Image and landmarks, both (B,C,S,S), -> (B,C,S,S): an image's place is asked about by that of the landmarks."""

    def __init__(self, width: int, heads: int, side: int, drop_path: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.kv = nn.Linear(width, 2 * width)
        self.bias = RelPosBias((side, side), heads)
        self.proj = nn.Linear(width, width)
        self.scale1 = LayerScale(width, init_values=1e-5)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.scale2 = LayerScale(width, init_values=1e-5)
        self.drop_path = DropPath(drop_path)

    def forward(self, image: Tensor, landmarks: Tensor) -> Tensor:
        x = self.norm(image.flatten(2).mT)  # (B,N,C); the shortcut is normalised too
        query = landmarks.flatten(2).mT.unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.kv(x).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = scaled_dot_product_attention(query, key, value, attn_mask=self.bias.get_bias())
        x = x + self.drop_path(self.scale1(self.proj(found.transpose(1, 2).flatten(2))))
        x = x + self.drop_path(self.scale2(self.mlp(self.norm2(x))))
        return x.mT.unflatten(2, image.shape[2:])


class PosterV2(nn.Module):
    """(B,3,S,S) -> (B,classes), for the one S that it was built for.

    Args:
        classes: number of classes.
        faces: gives the image's maps, the finest first.
        landmarks: gives maps of the same places.
        image_size: S.
        every: the backbones see each pixel of so many, along both axes.
        kernel: of the convolutions behind the backbones' maps.
        stride: of those behind the image's.
        widths: of the three scales.
        heads: of their attention.
        sides: of their maps.
        width: of a token.
        token_heads: of the transformer's attention.
    """

    def __init__(
        self, classes: int, faces: IR50 | ResNetPyramid, landmarks: MobileFaceNet | MobileNetPyramid, image_size: int,
        every: int, kernel: int, stride: int, widths: Sequence[int], heads: Sequence[int], sides: Sequence[int],
        width: int, token_heads: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.image_size = image_size
        self.every = every
        self.faces = faces
        self.landmarks = landmarks
        self.narrow = nn.ModuleList(
            nn.Conv2d(i, o, kernel, stride, padding=kernel // 2) for i, o in zip(faces.widths, widths, strict=True)
        )
        self.last = nn.Conv2d(landmarks.widths[-1], widths[-1], kernel, padding=kernel // 2)
        self.fusions = nn.ModuleList(map(CrossFusion, widths, heads, sides, DROP_PATH))
        self.embeddings = nn.ModuleList(embedding(w, width, halvings=2 - n) for n, w in enumerate(widths))
        self.transformer = TokenViT(len(widths) * sides[-1] ** 2, width, depth=2, heads=token_heads, dropout=0.0)
        self.excitation = SqueezeExcitation(width, reduction=1)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(f"this POSTER++ needs images of side {self.image_size}, not {tuple(x.shape[-2:])}")
        x = x[..., :: self.every, :: self.every]
        images = [narrow(map_) for narrow, map_ in zip(self.narrow, self.faces(x), strict=True)]
        *finer, coarsest = self.landmarks(x)
        tokens = [
            embed(fuse(image, landmarks)).flatten(2).mT
            for embed, fuse, image, landmarks in zip(
                self.embeddings, self.fusions, images, (*finer, self.last(coarsest)), strict=True
            )
        ]
        return self.classifier(self.excitation(self.transformer(torch.cat(tokens, dim=1))))


def embedding(inputs: int, outputs: int, halvings: int) -> nn.Module:
    """(B,inputs,H,W) -> (B,outputs,H',W'), halved so often."""
    if not halvings:
        return nn.Conv2d(inputs, outputs, 1)
    widths = (inputs, *[outputs] * halvings)
    return nn.Sequential(*(nn.Conv2d(i, outputs, 3, stride=2, padding=1) for i in widths[:-1]))


def poster_v2(classes: int) -> PosterV2:
    """The paper's."""
    return PosterV2(
        classes, IR50(), MobileFaceNet(), image_size=224, every=2, kernel=3, stride=2, widths=(64, 128, 256),
        heads=(2, 4, 8), sides=(28, 14, 7), width=768, token_heads=8,
    )  # fmt: skip


def poster_v2_tiny(classes: int) -> PosterV2:
    """0.56 M parameters, 11.6 M multiply-adds."""
    return PosterV2(
        classes, ResNetPyramid(), MobileNetPyramid(), image_size=40, every=1, kernel=1, stride=1, widths=(16, 32, 64),
        heads=(2, 4, 8), sides=(10, 5, 3), width=48, token_heads=4,
    )  # fmt: skip


ARCHITECTURE = Architecture(
    name="poster_v2",
    title="POSTER++",
    view="image",
    source="arXiv 2301.12149; Talented-Q/POSTER_V2",
    sizes={
        "full": Size(
            build=poster_v2,
            image_size=224,
            stages=(Stage(epochs=200, batch_size=144, optimizer="adam", lr=3.5e-5, warmup=0.0, frozen=("landmarks",)),),
            official=(
                Official("ir50/ms1m", "faces"),
                Official("mobilefacenet/landmarks", "landmarks"),
                Official("poster_v2", without=("classifier",)),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=poster_v2_tiny,
            image_size=40,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=5_000,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    frozen=("landmarks",),
                ),
            ),
            weights=(Weights("geometry-resnet", "faces"), Weights("geometry-mobilenet_v3", "landmarks.net")),
            channels_last=True,
        ),
    },
)
