"""CNN with frame average: the mean of the frames' embeddings.

Seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnFrameAvg`, which the study's paper (arXiv 2107.05160) leaves out.

    clip (B,T,3,H,W) -> ResNet-50 (B,T,2048) -> linear, layer norm (B,T,768) -> mean over T -> linear

A mean and a linear layer change places, so the score of a clip is the mean of its frames' scores. Works for every T, H
and W. All of it is trained, from VGGFace2's weights; SGD, 5e-4, weight decay 5e-4, windows of 9 frames are the seed's.
Deviations from the seed: it keeps the running statistics of its batch norms as they come; here they follow the data,
and augmentation and normalisation are those of `cnn`. Tiny has the project's small ResNet as `cnn` leaves it, frozen,
and 96 features: training on 9 frames a sample is beyond its budget.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Trained
from ferbench.models.parts.over_frames import OverFrames
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class FrameAverage(nn.Module):
    """(B,T,F) -> (B,classes)."""

    def __init__(self, classes: int, inputs: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.norm(self.projection(x)).mean(dim=1))


ARCHITECTURE = Architecture(
    name="cnn_frame_average",
    title="CNN, frame average",
    view="clip",
    source="xinqi-fan/ABAW2021",
    models_time=False,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(VGGFace2ResNet50(), FrameAverage(classes, 2048, 768)),
            image_size=224,
            frames=9,
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
            official=(Official("vggface2/resnet50", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: OverFrames(resnet_tiny(), FrameAverage(classes, 128, 96)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=16,
                    lr=0.0046,
                    weight_decay=0.022,
                    label_smoothing=0.2,
                    class_weights="sqrt_inverse",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            trained=(Trained("cnn", "backbone", "backbone"),),
            channels_last=True,
            searched=True,
        ),
    },
)
