"""CNN with embedding average: each frame is averaged to one number.

Seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnEmbedAvg`, which the study's paper (arXiv 2107.05160) leaves out.

    clip (B,T,3,H,W) -> ResNet-50 (B,T,2048) -> linear, layer norm (B,T,768) -> mean over the 768 (B,T)
    -> linear from T to classes

The average is over a frame's embedding, not over the frames: the classifier sees T numbers, so expect little of it. The
linear layer fixes T when the model is built; works for every H and W. All of it is trained, from VGGFace2's weights;
SGD, 5e-4, weight decay 5e-4, windows of 9 frames are the seed's.
Deviations from the seed: the gains of its layer norm start at one, where the mean of what was just normalised is zero
whatever the image; here they start as normal random numbers, so that the average is a random projection from the first
step. Batch norms, augmentation and normalisation are those of `cnn`. Tiny has the project's small ResNet as `cnn`
leaves it, frozen, and 96 features: training on 9 frames a sample is beyond its budget.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Trained
from ferbench.models.parts.over_frames import OverFrames, need_frames
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class EmbeddingAverage(nn.Module):
    """(B,T,F) -> (B,classes), for the one T that it was built for."""

    def __init__(self, classes: int, inputs: int, width: int, frames: int = 9) -> None:
        super().__init__()
        self.frames = frames
        self.projection = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(frames, classes)
        nn.init.normal_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        need_frames(x, self.frames, "embedding average")
        return self.classifier(self.norm(self.projection(x)).mean(dim=2))


ARCHITECTURE = Architecture(
    name="cnn_embedding_average",
    title="CNN, embedding average",
    view="clip",
    source="xinqi-fan/ABAW2021",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(VGGFace2ResNet50(), EmbeddingAverage(classes, 2048, 768)),
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
            build=lambda classes: OverFrames(resnet_tiny(), EmbeddingAverage(classes, 128, 96)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=64,
                    lr=0.014,
                    weight_decay=0.0005,
                    label_smoothing=0.0,
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
