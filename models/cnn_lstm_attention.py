"""CNN + LSTM + attention.

Paper: the additive attention of arXiv 1409.0473, as the seed uses it over an LSTM's outputs;
seed: github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,H,W) -> MobileNetV3-Large features per frame (B,T,960) -> LSTM (B,T,960)
    -> weights over time: softmax(tanh(x W) u) -> weighted sum (B,960) -> linear

Works for every T, H and W. Every clip has as many frames as the others, so there is no padding to keep out of the sum.
Variant: `@without_attention` reads the LSTM's last output alone.
Deviations from the seed: none in the structure. The seed's optimiser is not known, so the recipe is this project's.
Tiny has a narrower and shallower MobileNetV3, frozen as it comes from its pretext (docs/recipes.md says why); the LSTM
and the attention are as wide as its features, as in full.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_tiny


class AdditiveAttention(nn.Module):
    """Weights over time: (B,T,F) -> (B,T,1), each sample's sum to 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.W = nn.Linear(width, width, bias=False)
        self.u = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.u(self.W(x).tanh()).softmax(dim=1)


class LastFrameAttention(nn.Module):
    """No attention: all the weight on the last frame, where the LSTM has seen the whole clip. (B,T,F) -> (B,T,1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((torch.zeros_like(x[:, 1:, :1]), torch.ones_like(x[:, -1:, :1])), dim=1)


class CNNLSTMAttention(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: MobileNetV3, attention: bool = True) -> None:
        super().__init__()
        self.backbone = backbone
        self.lstm = nn.LSTM(backbone.width, backbone.width, batch_first=True)
        self.attention = AdditiveAttention(backbone.width) if attention else LastFrameAttention()
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes)."""
        hidden, _ = self.lstm(features)  # (B,T,F)
        return self.classifier((self.attention(hidden) * hidden).sum(dim=1))


def sizes(attention: bool = True) -> Mapping[str, Size]:
    """Both sizes, with attention over time or without."""
    return {
        "full": Size(
            build=lambda classes: CNNLSTMAttention(classes, mobilenet_v3_large(), attention),
            image_size=224,
            frames=8,
            stages=(Stage(epochs=50, batch_size=16, optimizer="adam", lr=1e-4),),
            official=(Official("torchvision/mobilenet_v3_large", "backbone"),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: CNNLSTMAttention(classes, mobilenet_v3_tiny(), attention),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=16_000,
                    batch_size=32,
                    lr=0.0097,
                    weight_decay=0.053,
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
            searched=True,
        ),
    }


ARCHITECTURE = Architecture(
    name="cnn_lstm_attention",
    title="CNN + LSTM + Attention",
    view="clip",
    source="arXiv 1409.0473; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes=sizes(),
    variants={"without_attention": sizes(attention=False)},
)
