"""CNN: ResNet-50 as VGGFace2 trained it, one frame at a time.

Paper: "Spatial and Temporal Networks for Facial Expression Recognition in the Wild Videos", Mao et al. 2021 (arXiv
2107.05160), the static member of its ensemble; VGGFace2: arXiv 1710.08092; seed: github.com/xinqi-fan/ABAW2021
(Aff-Wild2), `Resnet50Vgg`.

    image (B,3,H,W) -> ResNet-50 (B,2048) -> linear

Works for every H and W. 3.86 G multiply-adds at 224×224: VGGFace2's ResNet-50 has a stage's stride in its first 1×1
convolution, as Caffe's; torchvision's, with it in the 3×3, has 4.09 G and the same parameters, and VGGFace2's weights
would be wrong in it. cnn_rnn, cnn_transformer and cnn_vit start from the backbone that is trained here.

SGD, 5e-4, weight decay 5e-4, batch 96, 10 epochs and a constant rate are the seed's.
Deviations from the seed: it crops at random from a fifth of the face upwards and normalises by CIFAR-100's statistics;
here faces are turned, shifted and relit, and normalised by ImageNet's. It keeps the running statistics of its batch
norms as they come; here they follow the data. Tiny has the project's small ResNet, from the geometry pretext's weights:
those of the identity pretext, which has VGGFace2's role, were worse on validation parts (docs/recipes.md).
Small has a wider and deeper ResNet of basic blocks, trained from random weights on pictures that are mixed in pairs;
batch, optimiser and rate are its own. It answers the mean of a picture and its mirror image.
"""

from __future__ import annotations

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.mirrored import Mirrored
from ferbench.models.parts.over_frames import FrameEncoder
from ferbench.models.parts.resnet import resnet_small, resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50


class CNN(nn.Module):
    """(B,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: FrameEncoder) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))


ARCHITECTURE = Architecture(
    name="cnn",
    title="CNN (ResNet-50)",
    view="image",
    source="arXiv 2107.05160; xinqi-fan/ABAW2021",
    lends=True,
    sizes={
        "full": Size(
            build=lambda classes: CNN(classes, VGGFace2ResNet50()),
            image_size=224,
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
            build=lambda classes: CNN(classes, resnet_tiny()),
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=10_000,
                    batch_size=16,
                    lr=2e-3,
                    weight_decay=0.00025,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=lambda classes: Mirrored(CNN(classes, resnet_small())),
            image_size=48,
            stages=(
                Stage(
                    epochs=40,
                    batch_size=64,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    mixup=0.2,
                ),
            ),
            precision=BFLOAT16,
            channels_last=True,
        ),
    },
)
