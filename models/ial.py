"""GCA and IAL: a clip's frames tell a ResNet which channels count; the loss dwells on the class that comes nearest.

Paper: "Intensity-Aware Loss for Dynamic Facial Expression Recognition in the Wild", Li et al. 2023 (AAAI; arXiv
2208.10335); seed: github.com/muse1998/IAL-for-Facial-Expression-Recognition.

    clip (B,16,3,112,112) -> frames (B*16,3,112,112) -> ResNet of 1 block a stage as far as its third (B,16,256,7,7),
       in the second and third each channel times what a filter of the whole map says of it, in this frame and in all
    -> static: 15 frames, a convolution of stride 2, 16 places plus a position each, 2 encoder layers (B,15,256,4,4)
    -> dynamic: 15 differences between neighbours through a fourth stage of 3 blocks (B,15,256,4,4)
    -> their sum, flat (B,15,4096), plus a position each -> 2 encoder layers -> mean over time -> linear

An encoder layer has 4 heads of 32, layer norms come first, GELU is its tanh approximation. Filters and positions fix T,
H and W when the model is built.

The loss is the stage's own, 0.1 of the cross-entropy between the true class and the strongest wrong one (the paper's
intensity-aware loss), and 0.05 of the stage's own of what two layers make of the second stage's filters. A value has no
wrong classes: of it the middle part is left out.

18.80 M parameters; the seed's build has 0.29 M more that nothing reads or whose loss has a weight of 0. 5.62 G
multiply-adds, 5.94 G in the seed's code, which runs every encoder layer twice to see what attention looks at; the
paper says 9.63 G, without how it was counted.
Momentum SGD, 1e-3, weight decay 0.1 and batch 40 are the seed's; its rate is halved each 7 epochs, here it falls along
a cosine of the 70 in which it is halved ten times.
Deviations from the seed: images are normalised, there brightness is in 0..1; a clip is turned, shifted and relit as a
whole, there cut, and its brightness changed; frames are the harness's, evenly spaced, there of a training clip one
drawn from each of 16 parts, and clips of fewer than 16 are left out; the epoch is chosen on the validation part, there
on the test part.
Tiny has the project's small ResNet, 8 frames and 2 heads of 16, 1.41 M parameters and 11.0 M multiply-adds a frame; its
blocks before the fourth stage stay as they come from their pretext, the gates in them are trained.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from timm.layers.activations import GELUTanh
from timm.layers.mlp import Mlp
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, softplus
from torchvision.models.resnet import BasicBlock

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet

INTENSITY = 0.1
"""Weight of the intensity-aware loss."""
AUXILIARY = 0.05
"""Weight of the loss of the second stage's filters."""


def basic_block(inputs: int, outputs: int, stride: int) -> BasicBlock:
    """(N,inputs,H,W) -> (N,outputs,H/stride,W/stride)."""
    if stride == 1:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)


class Trunk(nn.Module):
    """What the frames go through: a stem of two convolutions, three blocks and a stage for what changes."""

    channels = (64, 128, 256, 256)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        changes = nn.Sequential(basic_block(256, 256, 2), basic_block(256, 256, 1), basic_block(256, 256, 1))
        self.stages = nn.Sequential(basic_block(64, 64, 1), basic_block(64, 128, 2), basic_block(128, 256, 2), changes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class GlobalGate(nn.Module):
    """Maps of all frames (B*T,C,S,S) -> a factor for each channel (B*T,C,1,1), and what it was made of (B*T,C)."""

    def __init__(self, width: int, side: int, reduction: int = 16) -> None:
        super().__init__()
        self.whole = nn.Conv2d(width, width, side, groups=width, bias=False)
        self.narrow = nn.Linear(width, width // reduction, bias=False)
        self.widen = nn.Linear(width // reduction, width, bias=False)
        for weight in self.parameters():
            nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        seen = self.whole(x).flatten(1)
        own = 2 * self.widen(self.narrow(seen).relu()).sigmoid().unflatten(0, (-1, frames))  # (B,T,C)
        both = (own * own.mean(dim=1, keepdim=True) + 1e-5).sqrt()
        return both.flatten(0, 1)[:, :, None, None], seen


class Attention(nn.Module):
    """(N,L,width) -> the same; heads may be narrower than the tokens."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * heads * head_width, bias=False)
        self.proj = nn.Linear(heads * head_width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """(N,L,width) -> the same."""

    def __init__(self, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, head_width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden, act_layer=GELUTanh)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Encoder(nn.Module):
    """(N,length,width) -> the same: a position each, and two layers."""

    def __init__(self, length: int, width: int, heads: int, head_width: int, hidden: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(1, length, width))
        self.layers = nn.Sequential(*(EncoderLayer(width, heads, head_width, hidden) for _ in range(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x + self.position)


class IAL(nn.Module):
    """(B,T,3,S,S) -> (B,classes), for the one T and the one S that it was built for.

    Args:
        classes: number of classes.
        trunk: what the frames go through.
        frames: T.
        image_size: S.
        sides: of the maps after each stage but the first.
        heads: of attention.
        head_width: of one of them.
        hidden: widths of the feed-forward layers between places and between frames.
    """

    def __init__(
        self, classes: int, trunk: Trunk | ResNet, frames: int, image_size: int, sides: tuple[int, int, int],
        heads: int, head_width: int, hidden: tuple[int, int],
    ) -> None:  # fmt: skip
        super().__init__()
        _, middle, inner, outer = trunk.channels
        places, width = sides[2] ** 2, outer * sides[2] ** 2
        self.clip_shape = (frames, 3, image_size, image_size)
        self.trunk = trunk
        self.gates = nn.ModuleList([GlobalGate(middle, sides[0]), GlobalGate(inner, sides[1])])
        convolution = nn.Conv2d(inner, outer, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.patches = nn.Sequential(convolution, nn.BatchNorm2d(outer), nn.ReLU())
        self.places = Encoder(places, outer, heads, head_width, hidden[0])
        self.times = Encoder(frames - 1, width, heads, head_width, hidden[1])
        self.classifier = nn.Linear(width, classes)
        self.auxiliary = nn.Sequential(
            nn.Linear(middle, 2 * middle, bias=False), nn.Linear(2 * middle, classes, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x)[0]

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B,T,3,S,S) -> logits (B,classes), and what the second stage's filters see (B,T,C)."""
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this IAL needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        clip = x.shape[:2]
        first, second, third, changes = self.trunk.stages
        maps, seen = self.gated(second, 0, first(self.trunk.stem(x.flatten(0, 1))), clip[1])
        maps, _ = self.gated(third, 1, maps, clip[1])
        maps = maps.unflatten(0, clip)  # (B,T,C,h,w)
        static = self.patches(maps[:, :-1].flatten(0, 1))
        static = self.places(static.flatten(2).mT).mT.unflatten(2, static.shape[2:])
        dynamic = changes((maps[:, 1:] - maps[:, :-1]).flatten(0, 1))
        features = (static + dynamic).flatten(1).unflatten(0, (clip[0], -1))  # (B,T-1,F)
        return self.classifier(self.times(features).mean(dim=1)), seen.unflatten(0, clip)

    def gated(self, block: nn.Module, gate: int, x: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """A basic block with a gate before the sum, and what the gate has seen."""
        assert isinstance(block, BasicBlock)
        branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
        factor, seen = self.gates[gate](branch, frames)
        shortcut = x if block.downsample is None else block.downsample(x)
        return (branch * factor + shortcut).relu(), seen

    def intense(self, inputs: Tensor, truth: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The paper's loss of a batch."""
        logits, seen = self.look(inputs)
        total = loss(logits, truth) + AUXILIARY * loss(self.auxiliary(seen.mean(dim=1)), truth)
        return total if truth.is_floating_point() else total + INTENSITY * intensity_loss(logits.float(), truth)


def intensity_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """(B,classes) and (B,) -> cross-entropy where there are two classes only, the true one and the strongest other."""
    true = truth[:, None]
    strongest = logits.scatter(1, true, -torch.inf).amax(dim=1, keepdim=True)
    return softplus(strongest - logits.gather(1, true)).mean()


ARCHITECTURE = Architecture(
    name="ial",
    title="GCA+IAL",
    view="clip",
    source="arXiv 2208.10335; muse1998/IAL-for-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: IAL(
                classes, Trunk(), frames=16, image_size=112, sides=(14, 7, 4), heads=4, head_width=32, hidden=(256, 512)
            ),
            image_size=112,
            frames=16,
            stages=(
                Stage(
                    epochs=70,
                    batch_size=40,
                    optimizer="sgd",
                    lr=1e-3,
                    weight_decay=0.1,
                    warmup=0.0,
                    objective="intense",
                ),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: IAL(
                classes,
                ResNet((16, 32, 64, 128)),
                frames=8,
                image_size=48,
                sides=(12, 6, 3),
                heads=2,
                head_width=16,
                hidden=(128, 128),
            ),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=9,
                    max_samples=2_400,
                    batch_size=8,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=1.0,
                    frozen=("trunk.stem", "trunk.stages.0", "trunk.stages.1", "trunk.stages.2"),
                    objective="intense",
                ),
            ),
            weights=(Weights("geometry-resnet", "trunk"),),
            channels_last=True,
        ),
    },
)
