"""CNN-Transformer: self-attention between the frames' features of a trained CNN.

Paper: "Spatial and Temporal Networks for Facial Expression Recognition in the Wild Videos", Mao et al. 2021 (arXiv
2107.05160); seed: github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnTransformer`.

    clip (B,T,3,H,W) -> frozen ResNet-50 of the trained `cnn` (B,T,2048) -> linear (B,T,768) -> plus sinusoids of time
    -> 2 encoder layers (12 heads, feed-forward 3072, GELU, norm first) -> layer norm -> linear at the middle frame

Works for every T, H and W. Dropout 0.5, windows of 9 frames, SGD, 1e-3, weight decay 5e-4, batch 96 are the seed's.
Deviations from the seed: its sinusoids follow a sample's place in the batch, not a frame's in the clip, so that a score
depends on the rest of the batch; here they follow time. It trains on the outputs of all frames; here the middle one is
trained on and read, because a clip has one label. It has a layer norm that nothing calls. Tiny has the project's small
ResNet, 96 features, 4 heads and less dropout. Small trains the ResNet that `cnn` has at small size itself, on single
frames, before it is frozen, and has 192 features and 6 heads.
"""

from __future__ import annotations

from timm.models.vision_transformer import Block
from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Trained
from ferbench.models.parts.over_frames import OverFrames
from ferbench.models.parts.resnet import resnet_small, resnet_tiny
from ferbench.models.parts.sinusoids import sinusoids
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class TransformerHead(nn.Module):
    """(B,T,F) -> (B,classes)."""

    def __init__(self, classes: int, inputs: int, width: int, heads: int, dropout: float, layers: int = 2) -> None:
        super().__init__()
        self.projection = nn.Linear(inputs, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.Sequential(*(Block(width, heads, qkv_bias=True, proj_drop=dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.projection(x)  # (B,T,width)
        tokens = self.layers(self.dropout(tokens + sinusoids(*tokens.shape[1:]).to(tokens)))
        return self.classifier(self.norm(tokens[:, x.shape[1] // 2]))


ARCHITECTURE = Architecture(
    name="cnn_transformer",
    title="CNN-Transformer",
    view="clip",
    source="arXiv 2107.05160; xinqi-fan/ABAW2021",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(
                VGGFace2ResNet50(), TransformerHead(classes, 2048, 768, heads=12, dropout=0.5)
            ),
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
            build=lambda classes: OverFrames(resnet_tiny(), TransformerHead(classes, 128, 96, heads=4, dropout=0.1)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=8,
                    lr=0.00062,
                    weight_decay=0.0012,
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
        "small": Size(
            build=lambda classes: OverFrames(resnet_small(), TransformerHead(classes, 256, 192, heads=6, dropout=0.1)),
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
