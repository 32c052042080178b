"""MA-Net: a face seen as a whole at several scales, and by its quarters under attention.

Paper: "Learning Deep Global Multi-scale and Local Attention Features for Facial Expression Recognition in the Wild",
Zhao et al., IEEE Transactions on Image Processing 2021; seed: github.com/zengqunzhao/MA-Net (RAF-DB).

    image (B,3,224,224) -> ResNet-18 to its second stage (B,128,28,28)
    local:  four quarters (B,4·128,14,14) -> 4 attentive blocks (B,4·512,7,7) -> mean (B,512) -> linear
    global: 4 multi-scale blocks (B,512,7,7) -> mean (B,512) -> linear
    answer: 0.6 of the local logits and 0.4 of the global ones

An attentive block is ResNet's basic block with CBAM before the sum; a multi-scale block has, for the second
convolution, two cascades over four slices of the channels. Each quarter has weights of its own: the four are groups of
the same convolutions, so all quarters are one batched call. Works for every H and W: the middle row or column of an odd
map is in both halves.

The paper's loss is 0.6 of the local head's and 0.4 of the global one's, and the loop sums the losses of heads: in
training the logits hand their gradient on with these weights, which gives the gradient of the paper's loss exactly; the
loss that is logged is the plain sum.

Deviations from the seed: a cosine instead of a tenth of the rate each 15 epochs; faces are turned, shifted and relit
where it crops at random; the epoch is chosen on a validation part, where the seed chooses on the test part. Images are
normalised by ImageNet's statistics, the seed's are not; where its weights are given the difference is folded in.
Tiny has one block a stage and 16 to 80 channels; its quarters are 6×6. From random weights it learns next to nothing in
the time that there is, so its trunk is that of the trained `cnn`, frozen: the part that MS-Celeb-1M has at full size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import conv3x3

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Trained
from ferbench.models.parts.cbam import CBAM
from ferbench.models.parts.resnet import ResNet
from ferbench.models.parts.resnet18 import resnet18_trunk

QUARTERS = 4
SLICES = 4


class AttentiveBlock(nn.Module):
    """(B,G·inputs,H,W) -> (B,G·outputs,H/stride,W/stride): a basic block and CBAM for each of G groups."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, groups: int = QUARTERS) -> None:
        super().__init__()
        width = groups * outputs
        self.conv1 = conv3x3(groups * inputs, width, stride, groups)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv3x3(width, width, groups=groups)
        self.bn2 = nn.BatchNorm2d(width)
        self.cbam = CBAM(outputs, groups)
        self.downsample = shortcut(inputs, outputs, stride, groups)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (self.cbam(branch) + self.downsample(x)).relu()


class Cascade(nn.Module):
    """Slices of channels, each convolved after what was made of the one before it is added to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Sequential(conv3x3(width, width), nn.BatchNorm2d(width)) for _ in range(SLICES))

    def forward(self, slices: Sequence[Tensor]) -> list[Tensor]:
        made = [self.steps[0](slices[0])]
        for step, part in zip(self.steps[1:], slices[1:], strict=True):
            made.append(step(made[-1].relu() + part))
        return made


class MultiScaleBlock(nn.Module):
    """(B,inputs,H,W) -> (B,outputs,H/stride,W/stride): a basic block whose second convolution is two cascades.

    One goes up through the slices and one down; a slice's two results are added.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.width = outputs // SLICES
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.up = Cascade(self.width)
        self.down = Cascade(self.width)
        self.downsample = shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.bn1(self.conv1(x)).relu()
        slices = [maps.narrow(1, n * self.width, self.width) for n in range(SLICES)]
        up, down = self.up(slices), self.down(slices[::-1])[::-1]
        return (torch.cat(up, dim=1) + torch.cat(down, dim=1) + self.downsample(x)).relu()


def shortcut(inputs: int, outputs: int, stride: int, groups: int = 1) -> nn.Module:
    """What a block's input goes through before it is added to the branch."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    width = groups * outputs
    convolution = nn.Conv2d(groups * inputs, width, 1, stride=stride, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


def stage(
    block: Callable[[int, int, int], nn.Module], inputs: int, outputs: int, stride: int, blocks: int
) -> nn.Module:
    """Blocks in a row, the first of which narrows the map."""
    return nn.Sequential(block(inputs, outputs, stride), *(block(outputs, outputs, 1) for _ in range(blocks - 1)))


def quarters(x: Tensor) -> Tensor:
    """(B,C,H,W) -> (B,4·C,H/2,W/2): upper left, upper right, lower left, lower right; rounded up."""
    height, width = (x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2
    halves = x[:, :, :height], x[:, :, -height:]
    return torch.cat([part for half in halves for part in (half[..., :width], half[..., -width:])], dim=1)


class MANet(nn.Module):
    """(B,3,H,W) -> (B,classes); in training (2,B,classes), the local head and the global one."""

    shares: Tensor

    def __init__(
        self, classes: int, trunk: nn.Module, channels: tuple[int, int, int], blocks: int, share: float = 0.6
    ) -> None:
        """`channels` of the trunk and of the two stages of each branch; `share` of the local head."""
        super().__init__()
        first, middle, last = channels
        self.trunk = trunk
        self.local = nn.Sequential(
            stage(AttentiveBlock, first, middle, stride=2, blocks=blocks),
            stage(AttentiveBlock, middle, last, stride=1, blocks=blocks),
        )
        self.whole = nn.Sequential(
            stage(MultiScaleBlock, first, middle, stride=2, blocks=blocks),
            stage(MultiScaleBlock, middle, last, stride=2, blocks=blocks),
        )
        self.local_head = nn.Linear(last, classes)
        self.whole_head = nn.Linear(last, classes)
        self.register_buffer("shares", torch.tensor([share, 1 - share]).view(2, 1, 1), persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        maps = self.trunk(x)
        local = self.local(quarters(maps)).mean(dim=(2, 3)).unflatten(1, (QUARTERS, -1)).mean(dim=1)
        whole = self.whole(maps).mean(dim=(2, 3))
        logits = torch.stack([self.local_head(local), self.whole_head(whole)]).float()
        if self.training:
            return torch.lerp(logits.detach(), logits, self.shares)  # the same numbers, a share of the gradient
        return (self.shares * logits).sum(dim=0)


def trunk_tiny() -> nn.Module:
    """(N,3,48,48) -> (N,32,12,12)."""
    resnet = ResNet((16, 32))
    return nn.Sequential(resnet.stem, resnet.stages)


ARCHITECTURE = Architecture(
    name="ma_net",
    title="MA-Net",
    view="image",
    source="10.1109/TIP.2021.3093397; zengqunzhao/MA-Net",
    sizes={
        "full": Size(
            build=lambda classes: MANet(classes, resnet18_trunk(2), channels=(128, 256, 512), blocks=2),
            image_size=224,
            stages=(
                Stage(
                    epochs=100,
                    batch_size=128,
                    optimizer="sgd",
                    lr=0.01,
                    weight_decay=1e-4,
                    warmup=0.0,
                    augmentation="light",
                ),
            ),
            official=(Official("ma_net/msceleb", without=("local_head", "whole_head")),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: MANet(classes, trunk_tiny(), channels=(32, 48, 80), blocks=1),
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=5_000,
                    batch_size=16,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    frozen=("trunk",),
                ),
            ),
            trained=(
                Trained("cnn", "backbone.stem", "trunk.0"),
                Trained("cnn", "backbone.stages.0", "trunk.1.0"),
                Trained("cnn", "backbone.stages.1", "trunk.1.1"),
            ),
            channels_last=True,
        ),
    },
)
