from __future__ import annotations

from torch import Tensor, nn

from models.architecture import Architecture, Size, Stage, Weights
from models.parts.residual_attention import AttentiveResNet, ResidualAttentionBackbone, attention_92, attention_tiny


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
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: ResidualAttention(classes, attention_tiny()),
            image_size=48,
            stages=(
                Stage(
                    epochs=8,
                    max_samples=12_000,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone.trunk"),),
            channels_last=True,
        ),
    },
)
