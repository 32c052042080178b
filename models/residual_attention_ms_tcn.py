"""Residual attention network + MS-TCN: features of frames, then stages that refine one another's predictions.

Papers: "Residual Attention Network for Image Classification", Wang et al. 2017 (arXiv 1704.06904); "MS-TCN: Multi-Stage
Temporal Convolutional Network for Action Segmentation", Abu Farha and Gall 2019 (arXiv 1903.01945);
seed: github.com/HonneLi/ENGN8602 (SENDv1), whose main system this is.

    sequence (B,T,3,H,W) -> residual attention network, trained before and frozen (B,T,2048)
    -> 4 stages of 10 dilated residual layers with 64 channels, each stage on the probabilities of the one before
    -> (B,T,classes), in training those of every stage (4,B,T,classes)

The network is the one that `residual_attention` ends with on the same training part. Every stage's output has
a cross-entropy and 0.15 of a truncated squared error between neighbouring frames. Works for every T, H and W.

Deviations from the seed: features are pooled, as its MS-TCN needs them (its extraction stores the maps, turned at
random); the scores of a window's frames are averaged, where the seed takes the majority of their classes; the epoch is
chosen on a validation part, not on the test part. It normalises with ImageNet's statistics, as here.
The smoothing is the paper's: over log-probabilities of classes (the seed's softmax runs over a window's frames), and no
gradient reaches the earlier frame.
A value (one class) is passed from stage to stage as it is: the softmax of one number would say nothing.
Tiny has the small residual attention network and stages of 4 layers with 32 channels: a dilation beyond the 12 frames
of a window reads zeros only.
"""

from __future__ import annotations

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Trained
from ferbench.models.parts.ms_tcn import DilatedStage, RefinedFrames
from ferbench.models.parts.residual_attention import attention_92, attention_tiny


def dilated_stages(features: int, classes: int, layers: int, channels: int) -> list[DilatedStage]:
    """The four stages: the first reads features, the others the predictions before them."""
    return [DilatedStage(inputs, classes, layers, channels) for inputs in (features, *(classes,) * 3)]


def full(classes: int) -> RefinedFrames:
    """Attention-92 and stages of 10 layers with 64 channels."""
    backbone = attention_92()
    return RefinedFrames(backbone, dilated_stages(backbone.width, classes, layers=10, channels=64))


def tiny(classes: int) -> RefinedFrames:
    """The small network and stages of 4 layers with 32 channels."""
    backbone = attention_tiny()
    return RefinedFrames(backbone, dilated_stages(backbone.width, classes, layers=4, channels=32))


ARCHITECTURE = Architecture(
    name="residual_attention_ms_tcn",
    title="Residual Attention + MS-TCN",
    view="sequence",
    source="arXiv 1704.06904; arXiv 1903.01945; HonneLi/ENGN8602",
    models_time=True,
    sizes={
        "full": Size(
            build=full,
            image_size=224,
            frames=12,
            stages=(
                Stage(
                    epochs=100,
                    batch_size=16,
                    optimizer="adam",
                    lr=3e-5,
                    schedule="constant",
                    warmup=0.0,
                    augmentation="none",
                    frozen=("backbone",),
                    reads="backbone",
                    smoothing=0.15,
                ),
            ),
            trained=(Trained("residual_attention", "backbone", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=tiny,
            image_size=48,
            frames=12,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=12_000,
                    batch_size=64,
                    lr=0.016,
                    weight_decay=0.0013,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                    smoothing=0.15,
                ),
            ),
            trained=(Trained("residual_attention", "backbone", "backbone"),),
            channels_last=True,
            searched=True,
        ),
    },
)
