"""EAC: a ResNet-50 that is to look at a face and at its mirror image alike, while parts of both are missing.

Paper: "Learn From All: Erasing Attention Consistency for Noisy Label Facial Expression Recognition", Zhang et al. 2022
(arXiv 2207.10299); seed: github.com/zyh-uaiaaaa/Erasing-Attention-Consistency.

    image (B,3,H,W) -> ResNet-50 (B,2048,h,w) -> mean over places (B,2048) -> linear
    attention maps: the map, weighed by the linear layer's weights of each class (B,classes,h,w); only training asks

In training half of the images lose a rectangle. The loss is the stage's own of these images, and 5 times the mean
squared difference between their attention maps and the mirrored maps of their mirror images. The weights that make the
maps get no gradient from it, and the bias has no part in them. A mirror image goes through the net by itself, so that
batch norms count it by itself. Works for every H and W.

The structure, 23.52 M parameters and 3.86 G multiply-adds, is that of `cnn`: VGGFace2's ResNet-50. Adam, 1e-4, weight
decay 1e-4, batch 32 and 60 epochs are the seed's for RAF-DB.
Deviations from the seed: the rate falls along a cosine, there by a tenth each epoch; images are turned, shifted and
relit, there half of them get noise; they are normalised as VGGFace2 was, the seed's by ImageNet's statistics; the epoch
is chosen on the validation part, there on the test part. Tiny has the project's small ResNet, as `cnn` has.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ferbench.models.architecture import BFLOAT16, Architecture, Official, Size, Stage, Weights
from ferbench.models.parts.resnet import ResNet, resnet_tiny
from ferbench.models.parts.vggface2 import VGGFace2ResNet50

CONSISTENCY = 5.0
"""Weight of the difference between the maps."""
CHANCE = 0.5
"""Of an image, to lose a rectangle."""
AREA = (0.02, 0.25)
"""Shares of the image that a rectangle may have; all are as likely."""
RATIO = (0.3, 3.3)
"""Of a rectangle's height to its width; their logarithms are as likely. The tallest is 0.91 of the image's height."""


class ResNet50Maps(VGGFace2ResNet50):
    """ResNet-50 of VGGFace2 before its pooling."""

    def maps(self, x: Tensor) -> Tensor:
        """(N,3,H,W) -> (N,2048,H/32,W/32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def erased(images: Tensor) -> Tensor:
    """Images (B,3,H,W), of which about half have a rectangle of mean colour, each one its own."""
    height, width = images.shape[2:]
    chance, area, ratio, top, left = torch.rand(5, len(images), 1).to(images.device)  # on every device the same
    share = AREA[0] + (AREA[1] - AREA[0]) * area
    tallness = RATIO[0] * (RATIO[1] / RATIO[0]) ** ratio
    rows = _span((share * tallness).sqrt(), top, height)
    columns = _span((share / tallness).sqrt(), left, width)
    rectangle = rows[:, :, None] & columns[:, None, :] & (chance < CHANCE)[:, :, None]
    return images.masked_fill(rectangle[:, None], 0.0)


def _span(share: Tensor, place: Tensor, length: int) -> Tensor:
    """(B,length), whether a pixel is inside: so large a share of all, begun so far along the room that there is."""
    count = (share * length).round()
    begin = (place * (length - count + 1)).floor()
    pixel = torch.arange(length, device=share.device)
    return (pixel >= begin) & (pixel < begin + count)


class EAC(nn.Module):
    """(B,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, backbone: ResNet50Maps | ResNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.backbone(x))

    def attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B,3,H,W) -> logits (B,classes) and attention maps (B,classes,h,w)."""
        maps = self.backbone.maps(x)
        attention = torch.einsum("bchw,kc->bkhw", maps, self.classifier.weight.detach())
        return self.classifier(maps.mean(dim=(2, 3))), attention.float()

    def consistent(self, inputs: Tensor, truth: Tensor, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The paper's loss of a batch."""
        seen = erased(inputs)
        logits, attention = self.attend(seen)
        _, mirrored = self.attend(seen.flip(-1))
        return loss(logits, truth) + CONSISTENCY * mse_loss(attention, mirrored.flip(-1))


ARCHITECTURE = Architecture(
    name="eac",
    title="EAC",
    view="image",
    source="arXiv 2207.10299; zyh-uaiaaaa/Erasing-Attention-Consistency",
    sizes={
        "full": Size(
            build=lambda classes: EAC(classes, ResNet50Maps()),
            image_size=224,
            stages=(
                Stage(
                    epochs=60,
                    batch_size=32,
                    optimizer="adam",
                    lr=1e-4,
                    weight_decay=1e-4,
                    warmup=0.0,
                    objective="consistent",
                ),
            ),
            official=(Official("vggface2/resnet50", "backbone"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: EAC(classes, resnet_tiny()),
            image_size=48,
            stages=(
                Stage(
                    epochs=20,
                    max_samples=10_000,
                    batch_size=32,
                    lr=5e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    objective="consistent",
                ),
            ),
            weights=(Weights("geometry-resnet", "backbone"),),
            channels_last=True,
        ),
    },
)
