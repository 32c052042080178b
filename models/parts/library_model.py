"""A library's model under this project's views, with words for what it cannot take."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ferbench.models.architecture import DEVIATION, MEAN

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


def words(shape: tuple[int, ...]) -> str:
    """A sample's shape as people say it."""
    frames = f"clips of {shape[0]} frames" if len(shape) == 4 else "images"
    return f"{frames} of {shape[-2]}x{shape[-1]}"


def first_line(error: Exception) -> str:
    """What a library says of its fault, without what follows."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
