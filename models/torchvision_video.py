"""Family `torchvision:<name>`: any video classifier of torchvision, named in a suite without a file of its own.

    clip (B,T,3,S,S) -> the model, with a new head -> (B,classes)

`full` has 16 frames of the size of torchvision's official weights; `tiny` is the same model, no smaller, at 8 frames of
48×48. MViT takes 16 frames of 224×224 alone. What a model cannot take it refuses in words.

`@probe` leaves the model as it comes and trains a linear classifier on its features.

The recipe is one for all: nothing was tuned for any of them. They start from random weights; at `full` from
torchvision's own where these are given (`--weights imagenet`, or a file), and pictures are normalised as those were
trained. `tiny` shows that a model runs, not what it can do: 100 clips in about 6 s of a CPU core teach S3D, the
lightest of them, nothing (docs/recipes.md).
Deviation from the library: S3D pools over all positions; torchvision's pools 2×7×7, which is all of them at its own
16 frames of 224×224, and more than there are in smaller clips. Maxima over places and times are taken one after the
other (`models/parts/pooling.py`): the same values, with a gradient that a GPU gives again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from torch import nn
from torchvision import models as torchvision_models
from torchvision.models import video

from ferbench.models.architecture import BFLOAT16, Architecture, Family, Official, Size, Stage
from ferbench.models.parts.library_model import CLIP_PROBE, LibraryModel, probed
from ferbench.models.parts.pooling import separated

TINY = 48
TINY_FRAMES = 8
FULL_FRAMES = 16


@cache
def names() -> list[str]:
    """Every video model of torchvision."""
    return torchvision_models.list_models(module=video)


def build(name: str, frames: int, image_size: int, classes: int) -> nn.Module:
    """The model with random weights and a new head."""

    def create(classes: int) -> nn.Module:
        model = torchvision_models.get_model(name, weights=None, num_classes=classes)
        if isinstance(model, video.S3D):
            model.avgpool = nn.AdaptiveAvgPool3d(1)
        return separated(model)

    own, given = own_size(name), transforms(name)
    return LibraryModel(
        f"torchvision:{name}",
        create,
        classes,
        shape=(frames, 3, image_size, image_size),
        own=(FULL_FRAMES, 3, own, own),
        mean=tuple(given.mean),
        deviation=tuple(given.std),
    )


def own_size(name: str) -> int:
    """Pixels a side of torchvision's official weights."""
    size: int = transforms(name).crop_size[0]
    return size


def transforms(name: str) -> Any:
    """What torchvision does to a picture before its official weights see it."""
    return torchvision_models.get_model_weights(name).DEFAULT.transforms()


def make(name: str) -> Architecture:
    """The architecture of one of `names`."""
    sizes = {
        "full": Size(
            build=lambda classes: build(name, FULL_FRAMES, own_size(name), classes),
            image_size=own_size(name),
            frames=FULL_FRAMES,
            stages=(Stage(epochs=20, batch_size=8, lr=1e-4, weight_decay=0.05, gradient_norm=1.0),),
            official=(Official(f"torchvision/{name}", "model"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: build(name, TINY_FRAMES, TINY, classes),
            image_size=TINY,
            frames=TINY_FRAMES,
            stages=(
                Stage(
                    epochs=1,
                    max_samples=100,
                    batch_size=8,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.05,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                    gradient_norm=5.0,
                ),
            ),
        ),
    }
    return Architecture(
        name=f"torchvision:{name}",
        title=f"{name} (torchvision)",
        view="clip",
        source="pytorch/vision",
        models_time=True,
        sizes=sizes,
        variants={"probe": probed(sizes, CLIP_PROBE)},
    )


FAMILY = Family(prefix="torchvision", names=names, make=make)
