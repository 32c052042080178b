"""ViT_SE: a Vision Transformer with a squeeze-and-excitation gate.

Paper: "Learning Vision Transformer with Squeeze and Excitation for Facial Expression Recognition", Aouayeb et al. 2021
(arXiv 2107.03107); seed: github.com/jerry940100/Facial-Expression-Recognition (AffectNet small, CTBC).

    image (B,3,224,224) -> ViT-B/16 class token (B,768) -> pooler: dense, tanh (B,768)
    -> gate 768-192-768: x * sigmoid(W2 relu(W1 x)) -> linear

The pooler belongs to the "pooled output" of the ViT that the seed starts from; with it the count is the seed's 86.69 M.
Adam, batch 32 and 30 epochs are the seed's; its learning rate is not known.
Deviations from the seed: its code calls a layer that it never defines; here the gate feeds the linear classifier.
Tiny has 36 patches of 8×8 and a smaller transformer (64 channels, 3 layers); the gate narrows by 4 as in full. Small
has 64 patches of 6×6, 128 channels and 6 layers, from random weights.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.squeeze_excitation import SqueezeExcitation
from ferbench.models.parts.vit import ViT, vit_base, vit_small, vit_tiny


class ViTSE(nn.Module):
    """(B,3,S,S) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ViT) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooler = nn.Sequential(nn.Linear(backbone.width, backbone.width), nn.Tanh())
        self.excitation = SqueezeExcitation(backbone.width)
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.excitation(self.pooler(self.backbone(x))))


ARCHITECTURE = Architecture(
    name="vit_se",
    title="ViT_SE",
    view="image",
    source="arXiv 2107.03107; jerry940100/Facial-Expression-Recognition",
    sizes={
        "full": Size(
            build=lambda classes: ViTSE(classes, vit_base()),
            image_size=224,
            stages=(Stage(epochs=30, batch_size=32, optimizer="adam", lr=2e-5),),
            official=(Official("timm/vit_base_patch16_224", "backbone"),),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: ViTSE(classes, vit_tiny()),
            image_size=48,
            stages=(
                Stage(
                    epochs=14,
                    max_samples=20_000,
                    batch_size=32,
                    lr=0.0015,
                    warmup=0.05,
                    weight_decay=0.0017,
                    label_smoothing=0.0,
                    class_weights="none",
                    augmentation="none",
                ),
            ),
            weights=(Weights("geometry-vit", "backbone"),),
            searched=True,
        ),
        "small": Size(
            build=lambda classes: ViTSE(classes, vit_small()),
            image_size=48,
            stages=(
                Stage(
                    epochs=60,
                    batch_size=64,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="heavy",
                    gradient_norm=1.0,
                ),
            ),
            precision=BFLOAT16,
        ),
    },
)
