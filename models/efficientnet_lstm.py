"""EfficientNet-B3 + LSTM: the second of the SENDv1 study's three comparisons.

Papers: arXiv 1905.11946 (EfficientNet); Hochreiter and Schmidhuber 1997 (LSTM);
seed: github.com/HonneLi/ENGN8602 (SENDv1).

    clip (B,T,3,H,W) -> EfficientNet-B3, frozen on ImageNet (B,T,1536) -> linear 128, dropout 0.5
    -> LSTM of 2 layers (B,T,128) -> linear per frame (B,T,classes) -> mean over T

The backbone has torchvision's parameter names, so its official weights load; 300×300 is the size they were made for.
Works for every T, H and W. The seed averages the logits of a window's frames before the loss, hence the view `clip`.

Deviations from the seed: it hands the LSTM a pair of features and logits, which fails; the features, whose 1536 its
next layer expects, are meant. The frozen norms use the statistics that they come with; logits where the seed gives the
softmax to a loss that takes it again. It states no widths and no recipe for this model: those here are the ones of its
training script for a TCN.
Tiny has the project's small MobileNetV3, made of the same inverted residuals with squeeze-and-excitation, and is
64 wide.
"""

from __future__ import annotations

from ferbench.models.architecture import Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.efficientnet import efficientnet_b3
from ferbench.models.parts.lstm import FeatureLSTM
from ferbench.models.parts.mobilenet import mobilenet_v3_tiny

ARCHITECTURE = Architecture(
    name="efficientnet_lstm",
    title="EfficientNet-B3 + LSTM",
    view="clip",
    source="arXiv 1905.11946; HonneLi/ENGN8602",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: FeatureLSTM(classes, efficientnet_b3(), widths=(1536, 128), hidden=128),
            image_size=300,
            frames=12,
            stages=(
                Stage(
                    epochs=30,
                    batch_size=8,
                    optimizer="adam",
                    lr=3e-5,
                    schedule="constant",
                    warmup=0.0,
                    augmentation="none",
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            official=(Official("torchvision/efficientnet_b3", "backbone"),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: FeatureLSTM(classes, mobilenet_v3_tiny(), widths=(288, 64), hidden=64),
            image_size=48,
            frames=12,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=32,
                    lr=0.024,
                    weight_decay=0.29,
                    label_smoothing=0.2,
                    class_weights="none",
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
    },
)
