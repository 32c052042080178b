"""CNN-ViT: a Vision Transformer whose patches are the frames, seen by a trained CNN.

Paper: "An Image is Worth 16x16 Words", Dosovitskiy et al. 2020 (arXiv 2010.11929), for the transformer; seed:
github.com/xinqi-fan/ABAW2021 (Aff-Wild2), `CnnVit`, which the study's paper (arXiv 2107.05160) leaves out.

    clip (B,T,3,H,W) -> frozen ResNet-50 of the trained `cnn` (B,T,2048) -> linear (B,T,768)
    -> layer norm over all of (T,768) -> class token before them, plus a position each (B,T+1,768)
    -> the 12 layers of ViT-B (12 heads, feed-forward 3072) -> layer norm -> linear of the class token

The layer norm and the positions fix T when the model is built; works for every H and W. The transformer's parameters
have timm's names, so those of ViT-B that do not depend on patches load, as in the seed. Dropout 0.5, windows of 9
frames, SGD, weight decay 5e-4 and batch 96 are the seed's.
Deviations from the seed: none in the structure. The backbone's features are computed once, mirrored at most. Tiny has
the project's small ResNet and 3 layers of 64 features, 4 heads and less dropout.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Trained
from ferbench.models.parts.over_frames import OverFrames, need_frames
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.token_vit import TokenViT
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class ViTHead(nn.Module):
    """(B,T,F) -> (B,classes), for the one T that it was built for."""

    def __init__(
        self, classes: int, inputs: int, width: int, depth: int, heads: int, dropout: float, frames: int = 9
    ) -> None:
        super().__init__()
        self.frames = frames
        self.projection = nn.Linear(inputs, width)
        self.norm = nn.LayerNorm((frames, width))
        self.vit = TokenViT(frames, width, depth, heads, dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        need_frames(x, self.frames, "CNN-ViT")
        return self.classifier(self.vit(self.norm(self.projection(x))))


ARCHITECTURE = Architecture(
    name="cnn_vit",
    title="CNN-ViT",
    view="clip",
    source="arXiv 2010.11929; xinqi-fan/ABAW2021",
    models_time=True,
    sizes={
        "full": Size(
            build=lambda classes: OverFrames(
                VGGFace2ResNet50(), ViTHead(classes, 2048, 768, depth=12, heads=12, dropout=0.5)
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
            build=lambda classes: OverFrames(resnet_tiny(), ViTHead(classes, 128, 64, depth=3, heads=4, dropout=0.1)),
            image_size=48,
            frames=9,
            stages=(
                Stage(
                    epochs=40,
                    max_samples=20_000,
                    batch_size=8,
                    lr=0.0045,
                    weight_decay=0.00046,
                    label_smoothing=0.2,
                    class_weights="none",
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
