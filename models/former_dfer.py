"""Former-DFER: a transformer between the places of a frame inside a ResNet-18, then a transformer over the frames.

Paper: "Former-DFER: Dynamic Facial Expression Recognition Transformer", Zhao and Liu 2021 (ACM Multimedia, doi
10.1145/3474085.3475292); seed: github.com/zengqunzhao/Former-DFER.

    clip (B,16,3,112,112) -> frames (B*16,3,112,112) -> ResNet-18 as far as its third stage (B*16,256,7,7)
    -> 49 places, plus a position each -> 1 encoder layer (8 heads of 32, feed-forward 512) (B*16,256,7,7)
    -> fourth stage, mean over places (B,16,512)
    -> class token before them, plus 17 positions -> 3 encoder layers (8 heads of 64, feed-forward 1024)
    -> the class token (B,512) -> linear

Layer norms come first in an encoder layer, GELU is its tanh approximation, queries, keys and values have no bias, no
norm follows the last layer. The positions fix T, H and W when the model is built; `@frames=8` is built for such clips.

Multiply-adds are 8.30 G, and so are the seed's by the same counter; the paper says 9.1 G, without how it was counted.

The authors' checkpoints map one to one (`models.official`); they saw brightness in 0..1. Beside the weights they hold
an object of the script that trained them, which is not read here: save their `state_dict` alone.

Deviations from the seed: the learning rate falls along a cosine, there by ten each 40 epochs; frames are the harness's,
evenly spaced over the whole clip, a short clip's repeated in their place, there 2 neighbours from each of 8 parts, of a
clip of up to 8 frames the first two 8 times; the epoch is chosen on the validation part, there on the test part. Tiny
has the project's small ResNet, 8 frames, 36 places of 64 channels, 2 heads; what stands before the transformers stays
as it comes from its pretext.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.layers.activations import GELUTanh
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.models.resnet import ResNet as TorchvisionResNet

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet


class DividedResNet18(TorchvisionResNet):
    """ResNet-18 in two parts. Parameter names are those of torchvision's, which has an `fc` besides."""

    channels = (64, 128, 256, 512)
    stride = 16
    """Pixels between two places of the third stage."""

    def __init__(self) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=1)
        self.fc = nn.Identity()

    def before(self, x: Tensor) -> Tensor:
        """(N,3,H,W) -> (N,256,H/16,W/16)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer3(self.layer2(self.layer1(x)))

    def after(self, maps: Tensor) -> Tensor:
        """(N,256,h,w) -> (N,512)."""
        return self.layer4(maps).mean(dim=(2, 3))


class DividedResNetTiny(ResNet):
    """The project's small ResNet in two parts. Parameter names are those of `resnet_tiny`."""

    stride = 8

    def __init__(self) -> None:
        super().__init__((16, 32, 64, 128))

    def before(self, x: Tensor) -> Tensor:
        """(N,3,H,W) -> (N,64,H/8,W/8)."""
        return self.stages[:-1](self.stem(x))

    def after(self, maps: Tensor) -> Tensor:
        """(N,64,h,w) -> (N,128)."""
        return self.stages[-1](maps).mean(dim=(2, 3))


def encoder(width: int, layers: int, heads: int) -> nn.Sequential:
    """(N,L,width) -> (N,L,width)."""
    return nn.Sequential(
        *(Block(width, heads, mlp_ratio=2, act_layer=GELUTanh, norm_layer=nn.LayerNorm) for _ in range(layers))
    )


class SpatialTransformer(nn.Module):
    """Maps (N,C,h,w) -> (N,C,h,w): attention between the places of a frame."""

    def __init__(self, places: int, width: int, heads: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, places, width))
        self.layers = encoder(width, layers=1, heads=heads)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = self.layers(maps.flatten(2).transpose(1, 2) + self.position)  # (N,h*w,C)
        return tokens.transpose(1, 2).unflatten(2, maps.shape[2:])


class TemporalTransformer(nn.Module):
    """(B,T,F) -> (B,F): what the class token has gathered from the frames."""

    def __init__(self, frames: int, width: int, heads: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, frames + 1, width))
        self.layers = encoder(width, layers=3, heads=heads)

    def forward(self, x: Tensor) -> Tensor:
        tokens = torch.cat((self.token.expand(len(x), -1, -1), x), dim=1) + self.position  # (B,T+1,F)
        return self.layers(tokens)[:, 0]


class FormerDFER(nn.Module):
    """(B,T,3,S,S) -> (B,classes)."""

    def __init__(
        self, classes: int, backbone: DividedResNet18 | DividedResNetTiny, frames: int, image_size: int, heads: int = 8
    ) -> None:
        super().__init__()
        *_, inner, width = backbone.channels
        self.clip_shape = (frames, 3, image_size, image_size)
        self.backbone = backbone
        self.spatial = SpatialTransformer((image_size // backbone.stride) ** 2, inner, heads)
        self.temporal = TemporalTransformer(frames, width, heads)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this Former-DFER needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        maps = self.spatial(self.backbone.before(x.flatten(0, 1)))
        features = self.backbone.after(maps).unflatten(0, x.shape[:2])  # (B,T,F)
        return self.classifier(self.temporal(features))


def sizes(full: int, tiny: int) -> Mapping[str, Size]:
    """Both sizes, for clips of so many frames."""
    return {
        "full": Size(
            build=lambda classes: FormerDFER(classes, DividedResNet18(), full, image_size=112),
            image_size=112,
            frames=full,
            stages=(Stage(epochs=100, batch_size=32, optimizer="sgd", lr=0.01, weight_decay=1e-4, warmup=0.0),),
            official=(Official("former_dfer/dfew", without=("classifier",)),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: FormerDFER(classes, DividedResNetTiny(), tiny, image_size=48, heads=2),
            image_size=48,
            frames=tiny,
            stages=(
                Stage(
                    epochs=9,
                    max_samples=2_400,
                    batch_size=8,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=1.0,
                    frozen=("backbone.stem", "backbone.stages.0", "backbone.stages.1", "backbone.stages.2"),
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
        ),
    }


ARCHITECTURE = Architecture(
    name="former_dfer",
    title="Former-DFER",
    view="clip",
    source="doi 10.1145/3474085.3475292; zengqunzhao/Former-DFER",
    models_time=True,
    sizes=sizes(full=16, tiny=8),
    variants={"frames=8": sizes(full=8, tiny=8), "frames=4": sizes(full=4, tiny=4)},
)
