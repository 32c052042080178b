"""Residual attention network + encoder-decoder TCN: as with MS-TCN, but its stages halve time and bring it back.

Papers: arXiv 1704.06904; "Temporal Convolutional Networks for Action Segmentation and Detection", Lea et al. 2017
(arXiv 1611.05267); seed: github.com/HonneLi/ENGN8602 (SENDv1).

    sequence (B,T,3,H,W) -> residual attention network, trained before and frozen (B,T,2048)
    -> 4 encoder-decoder stages of 128 and 160 channels, each on the probabilities of the one before
    -> (B,T,classes), in training those of every stage (4,B,T,classes)

A stage: convolution over 25 frames (15 after the first stage), normalised ReLU and max-pool, twice; then repeating each
frame, convolution and normalised ReLU, twice. Works for every T from 4, every H and W. The network is the one
that `residual_attention` ends with on the same training part.

Deviations from the seed: those of `residual_attention_ms_tcn`. The seed lets any stage be of either kind and trains
with dilated ones; here all four are encoder-decoders, so that the row shows what they do.
Tiny has the small residual attention network and two stages of 64 and 80 channels over 5 frames.
"""

from __future__ import annotations

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Trained
from ferbench.models.parts.ms_tcn import EncoderDecoderStage, RefinedFrames
from ferbench.models.parts.residual_attention import attention_92, attention_tiny


def full(classes: int) -> RefinedFrames:
    """Attention-92 and four stages."""
    backbone = attention_92()
    first = EncoderDecoderStage(backbone.width, classes, kernel=25, channels=(128, 160))
    others = [EncoderDecoderStage(classes, classes, kernel=15, channels=(128, 160)) for _ in range(3)]
    return RefinedFrames(backbone, [first, *others])


def tiny(classes: int) -> RefinedFrames:
    """The small network and two stages."""
    backbone = attention_tiny()
    stages = [EncoderDecoderStage(i, classes, kernel=5, channels=(64, 80)) for i in (backbone.width, classes)]
    return RefinedFrames(backbone, stages)


ARCHITECTURE = Architecture(
    name="residual_attention_ed_tcn",
    title="Residual Attention + ED-TCN",
    view="sequence",
    source="arXiv 1704.06904; arXiv 1611.05267; HonneLi/ENGN8602",
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
                    batch_size=16,
                    lr=0.0018,
                    weight_decay=0.0032,
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
