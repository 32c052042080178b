"""CNN-RNN: a recurrent network over the features of a trained CNN.

Paper: "Spatial and Temporal Networks for Facial Expression Recognition in the Wild Videos", Mao et al. 2021 (arXiv
2107.05160); seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnRnn`.

    clip (B,T,3,H,W) -> frozen ResNet-50 of the trained `cnn` (B,T,2048) -> linear, ReLU (B,T,768)
    -> bidirectional GRU, 384 each way (B,T,768) -> ReLU -> linear at the middle frame

Works for every T, H and W. Windows of 9 frames, SGD, 1e-3, weight decay 5e-4, batch 96 are the seed's.
Deviations from the seed: it trains on the outputs of all frames and reads the middle one; here the middle one is
trained on as well, because a clip has one label. The backbone's features are computed once, mirrored at most. Tiny has
the project's small ResNet, 96 features and 48 each way. Small trains the ResNet that `cnn` has at small size itself,
on single frames, before it is frozen, and has 192 features, 96 each way.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Trained
from ferbench.models.parts.over_frames import OverFrames
from ferbench.models.parts.resnet import resnet_small, resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class RecurrentHead(nn.Module):
    """(B,T,F) -> (B,classes)."""

    def __init__(self, classes: int, inputs: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, width)
        self.gru = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.gru(self.projection(x).relu())  # (B,T,width)
        return self.classifier(hidden[:, x.shape[1] // 2].relu())


ARCHITECTURE = Architecture(
    name="cnn_rnn",
    title="CNN-RNN",
    view="clip",
    source="arXiv 2107.05160; xinqi-fan/ABAW2021",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(VGGFace2ResNet50(), RecurrentHead(classes, 2048, 768)),
            image_size=224,
            frames=9,
            stages=(
                Stage(
                    epochs=10,
                    batch_size=96,
                    optimizer="sgd",
                    lr=1e-3,
                    weight_decay=5e-4,
                    schedule="constant",
                    warmup=0.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            trained=(Trained("cnn", "backbone", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: OverFrames(resnet_tiny(), RecurrentHead(classes, 128, 96)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=16,
                    lr=0.007,
                    weight_decay=0.00024,
                    label_smoothing=0.2,
                    class_weights="none",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            trained=(Trained("cnn", "backbone", "backbone"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: OverFrames(resnet_small(), RecurrentHead(classes, 256, 192)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    name="frames",
                    epochs=40,
                    batch_size=64,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="heavy",
                    view="image",
                    through="still",
                ),
                Stage(
                    name="clips",
                    epochs=40,
                    batch_size=32,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    gradient_norm=5.0,
                    frozen=("backbone",),
                    reads="backbone",
                ),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
    },
)
