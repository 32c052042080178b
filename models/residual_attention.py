"""Residual Attention Network: a ResNet whose features are weighed, place by place, by masks that it learns.

Paper: "Residual Attention Network for Image Classification", Wang et al. 2017 (arXiv 1704.06904), Attention-92;
seed: github.com/HonneLi/ENGN8602 (SENDv1), the frame classifier whose features its MS-TCN reads.

    image (B,3,224,224) -> 7x7 convolution and max-pool (B,64,56,56)
    -> unit and 1 attention module (B,256,56,56) -> unit and 2 modules (B,512,28,28)
    -> unit and 3 modules (B,1024,14,14) -> 3 units (B,2048,7,7) -> mean over places (B,2048) -> linear (B,classes)

An attention module gives (1 + M(x)) T(x), between two units: see models/parts/residual_attention.py. Works for every H
and W: masks are brought back to the size of what they multiply.

Which network this is: the one that the authors published (github.com/fwang91/residual-attention-network), with 1,000
classes 52.47 M parameters and 10.53 G multiply-adds; with 9 classes 50.44 M and 10.53 G. The paper's table has 51.3 M
(2.3% fewer) and 10.43 G (1.0% fewer), which neither the authors' definition nor the seed's gives. The seed builds the
same network and beside it a shortcut convolution in each of the units that never use one: with 9 classes 83.20 M
parameters, of which 32.77 M no forward pass reads, and the same 10.53 G. They are left out here: they would train
nothing and weigh on the board.

Deviations from the authors' definition, all of them the seed's: each level of the mask also has a plain shortcut beside
its unit, the trunk's output is added before the mask's last convolutions, and max-pools pad both sides. Deviations
from the seed: the unused shortcuts; the epoch is chosen on a validation part, where the seed has its training images;
images are turned by 8 degrees at most (the seed: 25) and mirrored, in training only.
Tiny is the project's small ResNet, with its weights, and an attention module after its second and its third stage. The
paper's own blocks, narrowed to 3 M multiply-adds and trained from scratch as in the seed, overfit in the time that
there is (docs/recipes.md). Small is the same around the ResNet of `cnn` at small size, from random weights.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Weights
from ferbench.models.parts.residual_attention import (
    AttentiveResNet,
    ResidualAttentionBackbone,
    attention_92,
    attention_small,
    attention_tiny,
)


class ResidualAttention(nn.Module):
    """(B,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ResidualAttentionBackbone | AttentiveResNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))


ARCHITECTURE = Architecture(
    name="residual_attention",
    title="Residual Attention Network",
    view="image",
    source="arXiv 1704.06904; HonneLi/ENGN8602",
    lends=True,
    sizes={
        "full": Size(
            build=lambda classes: ResidualAttention(classes, attention_92()),
            image_size=224,
            stages=(Stage(epochs=100, batch_size=16, optimizer="adam", lr=1e-3),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: ResidualAttention(classes, attention_tiny()),
            image_size=48,
            stages=(
                Stage(
                    epochs=4,
                    max_samples=4_500,
                    batch_size=8,
                    lr=0.0028,
                    weight_decay=0.00013,
                    label_smoothing=0.05,
                    class_weights="none",
                    augmentation="none",
                    frozen=("backbone.trunk.stem", "backbone.trunk.stages.0"),
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone.trunk"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: ResidualAttention(classes, attention_small()),
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
