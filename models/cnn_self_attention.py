"""CNN with self-attention: the frames look at each other, then stand side by side.

Seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnSelfAtt`, which the study's paper (arXiv 2107.05160) leaves out.

    clip (B,T,3,H,W) -> ResNet-50 (B,T,2048) -> linear, layer norm (B,T,768)
    -> twice: self-attention between the frames (4 heads), layer norm, dropout 0.2; no shortcut around it
    -> concatenated (B,T*768) -> linear

The linear layer fixes T when the model is built, and alone tells frames apart: there are no positions. With the initial
weights it hardly can: attention without a shortcut makes the frames of a clip all but equal (arXiv 2103.03404), until
it is trained. Works for every H and W. All of it is trained, from VGGFace2's weights; SGD, 5e-4, weight decay 5e-4,
windows of 9 frames are the seed's.
Deviations from the seed: it keeps the running statistics of its batch norms as they come; here they follow the data,
and augmentation and normalisation are those of `cnn`. Tiny has the project's small ResNet as `cnn` leaves it, frozen,
and 96 features: training on 9 frames a sample is beyond its budget.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Trained
from ferbench.models.parts.attention_over_frames import AttentionOverFrames
from ferbench.models.parts.over_frames import OverFrames, need_frames
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class ConcatenatedFrames(nn.Module):
    """(B,T,F) -> (B,classes), for the one T that it was built for."""

    def __init__(self, classes: int, inputs: int, width: int, frames: int = 9) -> None:
        super().__init__()
        self.frames = frames
        self.attention = AttentionOverFrames(inputs, width)
        self.classifier = nn.Linear(frames * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        need_frames(x, self.frames, "self-attention")
        return self.classifier(self.attention(x).flatten(1))


ARCHITECTURE = Architecture(
    name="cnn_self_attention",
    title="CNN, self-attention",
    view="clip",
    source="xinqi-fan/ABAW2021",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(VGGFace2ResNet50(), ConcatenatedFrames(classes, 2048, 768)),
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
            build=lambda classes: OverFrames(resnet_tiny(), ConcatenatedFrames(classes, 128, 96)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=8,
                    lr=0.0016,
                    weight_decay=0.00011,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
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
