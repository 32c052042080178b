"""CNN + LSTM + attention.

Paper: the additive attention of arXiv 1409.0473, as the seed uses it over an LSTM's outputs;
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,H,W) -> MobileNetV3-Large features per frame (B,T,960) -> LSTM (B,T,960)
    -> weights over time: softmax(tanh(x W) u) -> weighted sum (B,960) -> linear

Works for every T, H and W.
Deviations from the seed: none in the structure. The seed's optimiser is not known, so the recipe is this project's.
Tiny has a narrower and shallower MobileNetV3, frozen as it comes from its pretext (docs/recipes.md says why); the LSTM
and the attention are as wide as its features, as in full.
"""

from __future__ import annotations

from torch import Tensor, nn

from models.architecture import Architecture, Size, Stage, Weights
from models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_tiny


class AdditiveAttention(nn.Module):
    """Weights over time: (B,T,F) -> (B,T,1), each sample's sum to 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.W = nn.Linear(width, width, bias=False)
        self.u = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.u(self.W(x).tanh()).softmax(dim=1)


class CNNLSTMAttention(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: MobileNetV3) -> None:
        super().__init__()
        self.backbone = backbone
        self.lstm = nn.LSTM(backbone.width, backbone.width, batch_first=True)
        self.attention = AdditiveAttention(backbone.width)
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes)."""
        hidden, _ = self.lstm(features)  # (B,T,F)
        return self.classifier((self.attention(hidden) * hidden).sum(dim=1))


ARCHITECTURE = Architecture(
    name="cnn_lstm_attention",
    title="CNN + LSTM + Attention",
    view="clip",
    source="arXiv 1409.0473; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: CNNLSTMAttention(classes, mobilenet_v3_large()),
            image_size=224,
            frames=8,
            stages=(Stage(epochs=50, batch_size=16, optimizer="adam", lr=1e-4),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: CNNLSTMAttention(classes, mobilenet_v3_tiny()),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=16_000,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.01,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "backbone"),),
            channels_last=True,
        ),
    },
)
