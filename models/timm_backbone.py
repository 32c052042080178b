"""Family `timm:<name>`: any image classifier of timm, named in a suite without a file of its own.

    image (B,3,S,S) -> the model, with a new head -> (B,classes)

Of a video it sees images; the harness averages its scores over the frames that the protocol shows. `full` has the input
size that timm states for the model; `tiny` is the same model, no smaller, at 48×48. Transformers of a fixed input are
built for that size. What a model cannot take it refuses in words.

`@probe` leaves the model as it comes and trains a linear classifier on its features, which are read once: it shows what
official weights know of expressions, and without them what chance does.

The recipe is one for all: nothing was tuned for any of them. They start from random weights; at `full` from timm's own
where these are given (`--weights imagenet`, or a file), and pictures are normalised as those were trained.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import timm
from timm.models import get_pretrained_cfg
from torch import nn

from ferbench.models.architecture import Architecture, Family, Official, Size, Stage
from ferbench.models.parts.library_model import IMAGE_PROBE, LibraryModel, probed

TINY = 48


@cache
def names() -> list[str]:
    """Every model of timm, and every set of official weights as `<model>.<tag>`."""
    return [*timm.list_models(), *timm.list_models(pretrained=True)]


def build(name: str, image_size: int, classes: int) -> nn.Module:
    """The model with random weights and a new head."""
    config = get_pretrained_cfg(name, allow_unregistered=True)
    fixed: dict[str, Any] = {"img_size": image_size} if config is not None and config.fixed_input_size else {}
    normalised: dict[str, Any] = {} if config is None else {"mean": config.mean, "deviation": config.std}
    return LibraryModel(
        f"timm:{name}",
        lambda classes: timm.create_model(name, pretrained=False, num_classes=classes, **fixed),
        classes,
        shape=(3, image_size, image_size),
        own=(3, own_size(name), own_size(name)),
        **normalised,
    )


def own_size(name: str) -> int:
    """Pixels a side that timm states for the model."""
    config = get_pretrained_cfg(name, allow_unregistered=True)
    return 224 if config is None else config.input_size[-1]


def make(name: str) -> Architecture:
    """The architecture of one of `names`."""
    sizes = {
        "full": Size(
            build=lambda classes: build(name, own_size(name), classes),
            image_size=own_size(name),
            stages=(Stage(epochs=20, batch_size=32, lr=1e-4, weight_decay=0.05, gradient_norm=1.0),),
            official=(Official(f"timm/{name}", "model"),),
            channels_last=True,
        ),
        "tiny": Size(
            build=lambda classes: build(name, TINY, classes),
            image_size=TINY,
            stages=(
                Stage(
                    epochs=12,
                    max_samples=8_000,
                    batch_size=8,
                    lr=0.00048,
                    weight_decay=0.0065,
                    label_smoothing=0.05,
                    class_weights="none",
                    augmentation="none",
                    gradient_norm=5.0,
                ),
            ),
            channels_last=True,
            searched=name == "test_resnet",  # on which the recipe of all of them was chosen
        ),
    }
    return Architecture(
        name=f"timm:{name}",
        title=f"{name} (timm)",
        view="image",
        source="huggingface/pytorch-image-models",
        sizes=sizes,
        variants={"probe": probed(sizes, IMAGE_PROBE)},
    )


FAMILY = Family(prefix="timm", names=names, make=make)
