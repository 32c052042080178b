"""What an architecture file declares: what it is, how it is built, how it is trained.

A file in `models/` defines one module-level `ARCHITECTURE = Architecture(...)`. Nothing is registered by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # planning a run reads declarations alone and must not wait for torch
    import torch
    from torch import nn

View = Literal["image", "pair", "clip", "sequence"]
"""How an architecture sees a sample: `image` (B,3,H,W), `pair` (B,2,3,H,W: neutral, target), `clip` (B,T,3,H,W),
`sequence` (B,T,3,H,W with one label a frame)."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""How the pictures of every view are normalised, in shares of full brightness, RGB; a test holds `datasets` to it."""

Precision = Literal["float32", "bfloat16"]
BFLOAT16: Mapping[str, Precision] = {"cpu": "bfloat16", "cuda": "bfloat16"}
"""For sizes that it was measured to pay for on a CPU with avx512_bf16: a training step of R(2+1)D takes 0.39 times as
long as in float32, of ViT-B's layers 0.60, of ResNet-50 0.64; of MobileNetV3 1.06 (contiguous)."""


@dataclass(frozen=True)
class Stage:
    """One pass of the training loop. An architecture that trains in several lists them in order.

    The loop knows no architecture by name: what differs between two recipes is in these fields.
    """

    name: str = "train"
    epochs: int = 10
    max_samples: int | None = None
    """Most inputs that the stage trains on: a larger data set has as many fewer epochs. Where one epoch alone would be
    more, it is one of so many inputs, drawn at random."""
    batch_size: int = 32
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: float = 0.1
    """Share of the steps during which the learning rate rises linearly."""
    label_smoothing: float = 0.0
    class_weights: Literal["none", "sqrt_inverse"] = "none"
    """`sqrt_inverse` weighs a class by 1/sqrt(its count), scaled to a mean of 1 over the samples."""
    augmentation: Literal["none", "light", "heavy"] = "light"
    mixup: float = 0.0
    """Inputs of a batch are mixed in pairs, and so are their losses, in shares drawn from Beta(mixup, mixup); 0: not at
    all (arXiv 1710.09412)."""
    gradient_norm: float | None = None
    """Gradients are clipped to this norm."""
    frozen: tuple[str, ...] = ()
    """Submodules that this stage leaves as they are: no gradient, evaluation mode."""
    view: View | None = None
    """How this stage sees a sample; None: as the architecture does. A frame encoder is trained under `image`."""
    through: str = ""
    """Method of the model that the stage trains through; empty: the model itself, or `decode` of one that `reads`."""
    reads: str = ""
    """A frozen submodule that maps one frame (N,3,H,W) to one vector (N,F). Its output is computed once a corpus,
    not once an epoch; the stage then trains through `model.decode(features)`, where features is (B,F), (B,2,F) or
    (B,T,F) by the view. Empty: the stage reads frames and trains through `model(x)`.
    After a last stage that reads, the test part is predicted the same way, with the numbers that `model(x)` gives."""
    smoothing: float = 0.0
    """Weight of the truncated squared error between the log-probabilities of neighbouring frames (`sequence`)."""
    objective: str = ""
    """Method of the model that makes the training loss of a batch, `model.method(inputs, truth, loss) -> scalar`, where
    `loss(outputs, truth)` is the stage's own: for a loss that asks more of a model than its outputs (two views of an
    input, attention maps, distances to centres). Truths are classes, int64, or values, float32, as `Task.truth` gives
    them. Empty: the loss of the outputs alone."""
    selection: Literal["validation", "last"] = "validation"
    """Which epoch's weights the stage ends with: the best on the validation part, or the last."""

    def __post_init__(self) -> None:
        if self.mixup and self.objective:
            raise ValueError(f"stage {self.name!r}: inputs cannot be mixed where the model makes the loss itself")


def refuse_lazy_layers(model: nn.Module) -> None:
    """Raises ValueError where a layer's shape is not known before the model has been called once."""
    from torch.nn.parameter import is_lazy

    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ValueError(
                f"{name}: a lazy layer has no shape yet: give it its sizes, or call the model once in build"
            )


@dataclass(frozen=True)
class Weights:
    """Starting weights that the project ships for a submodule: `models/weights/<file>.safetensors`."""

    file: str
    into: str
    """Submodule that they are loaded into, by the name it has in the model."""


@dataclass(frozen=True)
class Official:
    """Weights that others have published, which a user may give in a file (`models.official`)."""

    source: str
    """Name of one of `models.official.LAYOUTS`, or `timm/<name>`, `torchvision/<name>` for a file that has the names of
    that library's model (`models.parts.library_model`)."""
    into: str = ""
    """Submodule that they are loaded into; empty: the model itself."""
    without: tuple[str, ...] = ()
    """Submodules of it that the file knows nothing of: they stay as they are built."""


@dataclass(frozen=True)
class Packaged:
    """Weights of others that a package of the registry carries: what a size starts from unless the user gives a file
    for the same part."""

    package: str
    """As it is imported; its name in the registry has hyphens for underscores."""
    file: str
    """Within it."""
    sha256: str
    source: str
    """Name of one of `models.official.LAYOUTS`."""
    into: str
    """Submodule that they are loaded into."""


@dataclass(frozen=True)
class Trained:
    """Weights with which another architecture ends on the same training part: same size, data, seed and fold.

    The harness trains that one first, or takes what its training left.
    """

    architecture: str
    part: str
    """Submodule there."""
    into: str
    """Submodule here; every name and shape must fit."""


@dataclass(frozen=True)
class Size:
    """One build of an architecture: `full` (the paper's), `tiny` (the same structure, made for seconds on a CPU) or
    `small` (between them, for real data and minutes or hours on a CPU)."""

    build: Callable[[int], nn.Module]
    """Takes the number of classes; the random state of torch decides the initial weights.

    The model maps a batch of its view to (B,C), or (B,T,C) of a sequence. In training mode it may return the
    predictions of several heads, stacked in front, (S,B,C) or (S,B,T,C): the loss is their sum."""
    image_size: int
    stages: tuple[Stage, ...]
    """In order; none at all where `trained` brings everything."""
    frames: int = 1
    """T of a clip or a sequence; 1 for an image, 2 for a pair."""
    weights: tuple[Weights, ...] = ()
    trained: tuple[Trained, ...] = ()
    packaged: tuple[Packaged, ...] = ()
    official: tuple[Official, ...] = ()
    """What it can start from instead of random weights, or of `weights`, where the user gives the file."""
    precision: Mapping[str, Precision] = field(default_factory=lambda: {"cpu": "float32", "cuda": "bfloat16"})
    """Autocast type a device type, chosen by measurement."""
    channels_last: bool = False
    """Memory format of convolutions, of two and of three dimensions, and of pictures: the channels of a place together.
    """
    shuffle_frames: bool = False
    """Whether a clip's frames come in a random order, each sample's its own: what is left without time."""
    searched: bool = False
    """Whether the stages' recipe is the one that the search of docs/recipes.md chose, the same for all such rows; else
    it is by hand."""

    def precision_on(self, device_type: str) -> Precision:
        """The autocast type there; a CPU without instructions for bfloat16 stays at float32, which it is faster at."""
        import torch

        chosen = self.precision[device_type]
        return chosen if device_type != "cpu" or torch.cpu._is_avx512_bf16_supported() else "float32"

    def placed(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model on a device, its parameters in the memory format of this size."""
        import torch

        model = model.to(device)
        if self.channels_last:  # Module.to takes one format for all of them
            formats = {4: torch.channels_last, 5: torch.channels_last_3d}
            for parameter in model.parameters():
                if parameter.ndim in formats:
                    parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
        return model


@dataclass(frozen=True)
class Architecture:
    """An architecture and its recipe. `name` is the file's name."""

    name: str
    title: str
    view: View
    source: str
    """Paper and seed, as they are cited on the board."""
    sizes: Mapping[str, Size]
    models_time: bool = False
    """Whether the order of a clip's frames can change the prediction; a test holds it to that."""
    lends: bool = False
    """Whether others start from what its training leaves (`Trained`): it is kept for them."""
    variants: Mapping[str, Mapping[str, Size]] = field(default_factory=dict)
    """Other sizes by the variant's name, for an ablation: a suite runs one as `name@variant`."""

    def variant(self, variant: str) -> Architecture:
        """The architecture under one of its variants, called `name@variant`.

        Every one also has its recipe changed (`frames=16+lr=0.002`: `models/recipe_changes.py`), and a clip or sequence
        has `shuffled` (frames in a random order).

        Raises:
            KeyError: it has no such variant.
            ValueError: its recipe cannot be changed so.
        """
        sizes = self.variants.get(variant)
        said = re.sub(r"^frames=(\d+)$", r"\1 frames", variant.replace("_", " "))
        if sizes is None and "=" in variant:
            from ferbench.models.recipe_changes import changed

            return changed(self, variant)
        if sizes is None and variant == "shuffled" and self.view in ("clip", "sequence"):
            sizes = {name: replace(size, shuffle_frames=True) for name, size in self.sizes.items()}
            said = "frames shuffled"
        if sizes is None:
            raise KeyError(variant)
        return replace(self, name=f"{self.name}@{variant}", title=f"{self.title} ({said})", sizes=sizes, variants={})

    def input_shape(self, size: str, batch: int = 1) -> tuple[int, ...]:
        """Shape of a batch of `batch` samples at this size."""
        s = self.sizes[size]
        image = (3, s.image_size, s.image_size)
        return (batch, *image) if self.view == "image" else (batch, s.frames, *image)


@dataclass(frozen=True)
class Family:
    """The models of a library as architectures `<prefix>:<name>`, without a file for each.

    A file that defines `FAMILY = Family(...)` is found by being here; its name begins with the prefix.
    """

    prefix: str
    names: Callable[[], list[str]]
    """What there is, without the prefix."""
    make: Callable[[str], Architecture]
    """Takes one of the names."""


@dataclass(frozen=True)
class Ensemble:
    """A weighted mean of other architectures' scores. `name` is the file's name, which defines it as `ENSEMBLE`."""

    name: str
    title: str
    source: str
    members: tuple[str, ...]
