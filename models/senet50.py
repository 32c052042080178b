"""SENet-50: the ResNet-50 of VGGFace2 with squeeze-and-excitation in each block, one frame at a time.

Paper: "Squeeze-and-Excitation Networks", Hu et al. 2018 (arXiv 1709.01507), trained by VGGFace2 (arXiv 1710.08092);
seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `Senet50Vgg`.

    image (B,3,H,W) -> SE-ResNet-50, each block: shortcut + branch * gate(mean over positions of branch) (B,2048)
    -> linear

Works for every H and W. The build is timm's `legacy_seresnet50`, which follows Caffe as VGGFace2's weights do.
Optimiser, rate, decay, batch and epochs are the seed's.
Deviations from the seed: those of `cnn`. Tiny has the project's small ResNet with a gate for each block. Its weights
were got without gates, so these start nearly open, at 0.95. Small has such gates in the ResNet that `cnn` has at small
size, from random weights.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet, resnet_small, resnet_tiny
from ferbench.models.parts.squeeze_excitation import SqueezeExcitation
from ferbench.models.parts.vggface2 import VGGFace2SEResNet50


class SEResNet(nn.Module):
    """(N,3,H,W) -> (N,width): `resnet`, which keeps its parameters and their names, and a gate for each block."""

    def __init__(self, resnet: ResNet) -> None:
        super().__init__()
        self.resnet = resnet
        self.width = self.resnet.width
        self.gates = nn.ModuleList(nearly_open_gate(width) for width in self.resnet.channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resnet.stem(x)
        for block, gate in zip(self.resnet.stages, self.gates, strict=True):
            x = gated_block(block, x, gate)
        return x.mean(dim=(2, 3))


def nearly_open_gate(width: int) -> SqueezeExcitation:
    """A gate that leaves about 0.95 of each channel, whatever the image, until it is trained."""
    gate = SqueezeExcitation(width, reduction=width // 16)  # 16 between the layers, as in the paper's first stage
    last = gate.gate[2]
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(last.bias, 3.0)
    return gate


def gated_block(block: BasicBlock, x: Tensor, gate: nn.Module) -> Tensor:
    """What torchvision's basic block computes, with a gate at the end of its residual branch."""
    shortcut = x if block.downsample is None else block.downsample(x)
    branch = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
    return block.relu(gate(branch) + shortcut)


class SENet50(nn.Module):
    """(B,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: VGGFace2SEResNet50 | SEResNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))


ARCHITECTURE = Architecture(
    name="senet50",
    title="SENet-50",
    view="image",
    source="arXiv 1709.01507; xinqi-fan/ABAW2021",
    sizes={
        "full": Size(
            build=lambda classes: SENet50(classes, VGGFace2SEResNet50()),
            image_size=224,
            stages=(
                Stage(
                    epochs=10,
                    batch_size=96,
                    optimizer="sgd",
                    lr=5e-4,
                    weight_decay=5e-4,
                    schedule="constant",
                    warmup=0.0,
                    augmentation="heavy",
                ),
            ),
            official=(Official("vggface2/senet50", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: SENet50(classes, SEResNet(resnet_tiny())),
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=10_000,
                    batch_size=8,
                    lr=0.0014,
                    weight_decay=0.012,
                    label_smoothing=0.0,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone.resnet"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: SENet50(classes, SEResNet(resnet_small())),
            image_size=48,
            stages=(
                Stage(
                    epochs=60,
                    batch_size=64,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="heavy",
                ),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
    },
)
