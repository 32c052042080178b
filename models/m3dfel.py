"""M3DFEL: a clip as a bag of short instances, each seen by a 3-D ResNet; what the bag says is weighed and mixed.

Paper: "Rethinking the Learning Paradigm for Dynamic Facial Expression Recognition", Wang et al. 2023 (CVPR, pages
17958-17968); seed: github.com/Tencent/TFace, `attribute/M3DFEL`.

    clip (B,16,3,112,112) -> 4 instances of 4 frames (B*4,3,4,112,112) -> R3D-18, mean over times and places (B,4,512)
    -> bidirectional LSTM of 2 layers, 512 each way (B,4,1024)
    -> times the sigmoid of: attention between instances (8 heads), then normalisation of instances and bag together
    -> convolution over features, from the 4 instances to 1 (B,1024) -> linear

The convolution fixes T when the model is built; H and W are free. Parameter names of the trunk are those of
torchvision's r3d_18, from whose Kinetics-400 weights the paper starts.

Multiply-adds are 43.19 G, and so are the seed's by the same counter. The paper's 1.66 G cannot be this network's: its
R3D-18 alone has 10.78 G for one instance.

Deviations from the seed: Kinetics' own normalisation is taken up by the first layer, where the seed gives that layer
brightness in 0..1; frames are the harness's, evenly spaced, there each is moved by up to 15 at random, at the test too;
clips shorter than T repeat frames in their place; the epoch is chosen on the validation part, there on the test part.
Tiny has 8 frames, so 2 instances. Its trunk is the project's small ResNet, whose weights are of a pretext on stills and
stay but for its last stage, with a convolution over time after each of its last two stages, as R(2+1)D parts an R3D's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torchvision.models.video.resnet import BasicBlock, BasicStem, Conv3DSimple, VideoResNet

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import resnet_tiny

INSTANCE = 4
"""Frames of an instance."""


class R3D18(VideoResNet):
    """(N,T,3,H,W) -> (N,512): torchvision's r3d_18 without its `fc`."""

    width = 512

    def __init__(self) -> None:
        super().__init__(BasicBlock, [Conv3DSimple] * 4, [2, 2, 2, 2], BasicStem, num_classes=1)
        self.fc = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.transpose(1, 2))  # (N,3,T,H,W)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3, 4))


class R3DTiny(nn.Module):
    """(N,T,3,H,W) -> (N,128): T is halved after the third stage and after the fourth."""

    width = 128

    def __init__(self) -> None:
        super().__init__()
        self.still = resnet_tiny()
        self.over_time = nn.ModuleList(_over_time(channels) for channels in self.still.channels[-2:])

    def forward(self, x: Tensor) -> Tensor:
        clips = len(x)
        maps = self.still.stages[:-2](self.still.stem(x.flatten(0, 1)))  # (N*T,32,h,w)
        for stage, over_time in zip(self.still.stages[-2:], self.over_time, strict=True):
            maps = stage(maps).unflatten(0, (clips, -1)).transpose(1, 2)  # (N,C,T,h,w)
            maps = over_time(maps).transpose(1, 2).flatten(0, 1)
        return maps.unflatten(0, (clips, -1)).mean(dim=(1, 3, 4))


def _over_time(channels: int) -> nn.Sequential:
    """Maps (N,C,T,h,w) -> (N,C,T/2,h,w); at first each channel's mean over three frames."""
    convolution = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0), bias=False)
    with torch.no_grad():
        convolution.weight.copy_(torch.eye(channels)[:, :, None, None, None] / 3)
    return nn.Sequential(convolution, nn.BatchNorm3d(channels), nn.ReLU())


class InstanceNormalization(nn.Module):
    """(B,N,F) -> (B,N,F), by learned shares of two statistics: a feature's over the bag, and those of all features.

    The paper's DMIN: switchable normalisation (arXiv 1806.10779) without the batch's statistics.
    """

    def __init__(self, features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.mean_weight = nn.Parameter(torch.ones(2))
        self.var_weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = x.mean(dim=1, keepdim=True), x.var(dim=1, keepdim=True)  # (B,1,F)
        mean_of_all = mean.mean(dim=2, keepdim=True)  # (B,1,1)
        variance_of_all = (variance + mean**2).mean(dim=2, keepdim=True) - mean_of_all**2
        a, b = self.mean_weight.softmax(dim=0)
        c, d = self.var_weight.softmax(dim=0)
        centred = x - (a * mean + b * mean_of_all)
        return centred * (c * variance + d * variance_of_all + self.eps).rsqrt() * self.weight + self.bias


class InstanceAggregation(nn.Module):
    """Features of a bag's instances (B,N,F) -> (B,2F): the paper's dynamic long-term instance aggregation."""

    def __init__(self, instances: int, features: int, heads: int) -> None:
        super().__init__()
        width = 2 * features
        self.heads = heads
        self.lstm = nn.LSTM(features, features, num_layers=2, batch_first=True, bidirectional=True)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.norm = InstanceNormalization(width)
        self.mix = nn.Conv1d(instances, 1, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.lstm(x)  # (B,N,2F)
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B,heads,N,2F/heads)
        gate = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.mix(x * self.norm(gate).sigmoid()).squeeze(1)


class M3DFEL(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, trunk: R3D18 | R3DTiny, frames: int, heads: int = 8) -> None:
        super().__init__()
        if frames % INSTANCE or frames < 2 * INSTANCE:
            raise ValueError(f"M3DFEL needs two or more instances of {INSTANCE} frames, not {frames} frames")
        self.frames = frames
        self.trunk = trunk
        self.aggregation = InstanceAggregation(frames // INSTANCE, trunk.width, heads)
        self.classifier = nn.Linear(2 * trunk.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.frames:
            raise ValueError(f"this M3DFEL needs clips of {self.frames} frames, not {x.shape[1]}")
        instances = x.unflatten(1, (-1, INSTANCE))  # (B,N,4,3,H,W)
        features = self.trunk(instances.flatten(0, 1)).unflatten(0, instances.shape[:2])  # (B,N,F)
        return self.classifier(self.aggregation(features))


ARCHITECTURE = Architecture(
    name="m3dfel",
    title="M3DFEL",
    view="clip",
    source="CVPR 2023, 17958-17968; Tencent/TFace attribute/M3DFEL",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: M3DFEL(classes, R3D18(), frames=16),
            image_size=112,
            frames=16,
            stages=(
                Stage(
                    epochs=300,
                    batch_size=256,
                    lr=5e-4,
                    weight_decay=0.05,
                    warmup=20 / 300,
                    label_smoothing=0.1,
                ),
            ),
            official=(Official("torchvision/r3d_18", "trunk"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: M3DFEL(classes, R3DTiny(), frames=8),
            image_size=48,
            frames=8,
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
                    frozen=tuple(f"trunk.still.{part}" for part in ("stem", "stages.0", "stages.1", "stages.2")),
                ),
            ),
            weights=(Weights("geometry-resnet", "trunk.still"),),
            channels_last=True,
        ),
    },
)
