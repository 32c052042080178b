"""A library's model under this project's views, with words for what it cannot take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from ferbench.models.architecture import DEVIATION, MEAN, Size, Stage

Triple = tuple[float, float, float]


class LibraryModel(nn.Module):
    """(B,3,H,W) or (B,T,3,H,W) -> (B,classes), by the library's own forward pass.

    Pictures are normalised anew, from ImageNet's statistics to those that the library's weights were trained under.

    Raises:
        ValueError: the library's model cannot take the shape that it is built for, or one that it is given later.
    """

    scale: Tensor
    """(3,1,1), and so is `offset`: how a picture is normalised anew."""
    offset: Tensor

    def __init__(
        self, name: str, create: Callable[[int], nn.Module], classes: int, shape: tuple[int, ...], own: tuple[int, ...],
        mean: Triple = MEAN, deviation: Triple = DEVIATION,
    ) -> None:  # fmt: skip
        """`shape` is that of one sample, without the batch; `own` the one that the library made the model for; `mean`
        and `deviation` the library's, RGB in shares of full brightness."""
        super().__init__()
        self.name = name
        self.create = create
        self.shape = shape
        self.as_it_comes = (tuple(mean), tuple(deviation)) == (MEAN, DEVIATION)
        ours, spread, theirs, wanted = (torch.tensor(t).view(3, 1, 1) for t in (MEAN, DEVIATION, mean, deviation))
        self.register_buffer("scale", spread / wanted, persistent=False)
        self.register_buffer("offset", (ours - theirs) / wanted, persistent=False)
        with torch.device("meta"), torch.no_grad():  # no weights, no arithmetic: the shapes alone
            try:
                self.run(create(classes).eval(), torch.empty(2, *shape))
            except (RuntimeError, ValueError, AssertionError) as error:
                raise ValueError(
                    f"{name} cannot take {words(shape)}, it is made for {words(own)} ({first_line(error)})"
                ) from None
        self.model = create(classes)

    @property
    def head(self) -> tuple[str, ...]:
        """Names of the library's tensors that depend on the number of classes."""
        with torch.device("meta"):
            two, three = (self.create(classes).state_dict() for classes in (2, 3))
        return tuple(name for name, value in two.items() if value.shape != three[name].shape)

    def published(self, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """A published file's tensors under the names of `model`, and which of them are of no part of it.

        As they are, unless the library itself renames what it loads.
        """
        return tensors, ()

    def without_head(self) -> int:
        """Takes the head away; returns the F of what is left, (B,3,H,W) or (B,T,3,H,W) -> (B,F).

        Raises:
            ValueError: what the library's model gives to its head is no vector.
        """
        heads = {name.rpartition(".")[0] for name in self.head}
        with torch.device("meta"), torch.no_grad():
            bare = self.create(2).eval()
            for model in (bare, self.model):
                for head in heads:
                    model.set_submodule(head, nn.Identity())
            features = self.run(bare, torch.empty(2, *self.shape))
        if features.ndim != 2:
            raise ValueError(f"{self.name} cannot be probed: its head is given {tuple(features.shape[1:])}, no vector")
        return features.shape[1]

    @staticmethod
    def run(model: nn.Module, x: Tensor) -> Tensor:
        """Libraries have a clip's channels before its frames."""
        return model(x if x.ndim == 4 else x.transpose(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.run(self.model, x if self.as_it_comes else x * self.scale + self.offset)
        except (RuntimeError, ValueError, AssertionError) as error:
            if x.shape[1:] == self.shape:
                raise  # it can take this shape: the fault is another one
            asked = words(tuple(x.shape[1:]))
            raise ValueError(
                f"{self.name} is built for {words(self.shape)} and cannot take {asked} ({first_line(error)})"
            ) from error


class Probe(nn.Module):
    """(B,3,H,W) or (B,T,3,H,W) -> (B,classes): a library's model without its head, and a linear classifier.

    Before it each feature is normalised over the batch, without parameters, as MAE is probed (arXiv 2111.06377): one
    rate then suits features of any size, and what answers is a linear function of them.
    """

    def __init__(self, backbone: LibraryModel, classes: int) -> None:
        super().__init__()
        width = backbone.without_head()
        self.backbone = backbone
        self.norm = nn.BatchNorm1d(width, affine=False)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x))

    def decode(self, features: Tensor) -> Tensor:
        """(B,F) -> (B,classes)."""
        return self.classifier(self.norm(features))


def library_model_of(model: nn.Module) -> LibraryModel | None:
    """The library's model that an architecture is, or probes."""
    return next((part for part in (model, getattr(model, "backbone", None)) if isinstance(part, LibraryModel)), None)


def probed(sizes: Mapping[str, Size], stages: Mapping[str, Stage]) -> dict[str, Size]:
    """The sizes with a library's model as it comes under a linear classifier; what is trained of it, by size."""

    def of(size: Size, stage: Stage) -> Size:
        return replace(
            size,
            build=lambda classes: Probe(cast(LibraryModel, size.build(classes)), classes),
            stages=(replace(stage, name="probe", frozen=("backbone",)),),
            official=tuple(replace(entry, into=f"backbone.{entry.into}") for entry in size.official),
            searched=False,
        )

    return {name: of(size, stages[name]) for name, size in sizes.items()}


IMAGE_PROBE = {
    "full": Stage(epochs=90, batch_size=256, lr=1e-3, reads="backbone"),
    "tiny": Stage(epochs=40, max_samples=20_000, lr=2e-3, class_weights="sqrt_inverse", reads="backbone"),
}
"""A probe's recipe over images, whose features are read once."""

CLIP_PROBE = {
    "full": Stage(epochs=20, batch_size=8, lr=1e-3),
    "tiny": Stage(epochs=2, max_samples=300, batch_size=16, lr=1e-2, class_weights="sqrt_inverse", augmentation="none"),
}
"""Over clips, which are seen anew in every epoch: only what reads single frames is read once."""


def words(shape: tuple[int, ...]) -> str:
    """A sample's shape as people say it."""
    frames = f"clips of {shape[0]} frames" if len(shape) == 4 else "images"
    return f"{frames} of {shape[-2]}x{shape[-1]}"


def first_line(error: Exception) -> str:
    """What a library says of its fault, without what follows."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
