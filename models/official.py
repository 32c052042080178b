"""Official weights: from a file as their authors published it into a submodule, all of it or nothing.

Each layout (`official_layouts`) says how to tell a file of its kind, what its names are here, which of them are a head
for other classes, and how its images were normalised. Images here are normalised by ImageNet's statistics whatever the
weights; a layout that was trained under others (or on BGR, or on 0..255) has the difference folded into its first
layer, so that an image gives what it gives in the authors' own code. The fold is exact but for the frame that a
convolution's zero padding touches, where zero is another colour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights, get_weight

from ferbench.models.architecture import DEVIATION, MEAN, Architecture, Official
from ferbench.models.official_files import WeightsError, read_tensors
from ferbench.models.official_layouts import LAYOUTS, Input, Layout
from ferbench.models.parts.library_model import LibraryModel, library_model_of
from ferbench.models.weights import LoadReport, compare

COUNTER = ".num_batches_tracked"
"""A counter of batch norms that files from Caffe and from old versions of torch lack; nothing here reads it."""


_SAID = {layout.source: layout.said for layout in LAYOUTS}


def said(source: str) -> str:
    """A source as the board says it."""
    return _SAID.get(source) or source.replace("/", " ")


def layouts_of(model: nn.Module, official: tuple[Official, ...]) -> tuple[Layout, ...]:
    """All layouts that a file for a model may have."""
    library = library_model_of(model)
    return LAYOUTS if library is None else _layouts(library, library.head, official)


def _layouts(model: LibraryModel, head: tuple[str, ...], official: tuple[Official, ...]) -> tuple[Layout, ...]:
    """All layouts that a file for a library's model may have: the library's own before those above."""
    body = [n for n in model.model.state_dict() if n not in head and not n.endswith(COUNTER)]
    ends = dict.fromkeys((body[0], body[-1]))
    return (*(Layout(entry.source, said(entry.source), ends, head=head) for entry in official), *LAYOUTS)


FETCHED = {
    "torchvision/r2plus1d_18": "R2Plus1D_18_Weights.KINETICS400_V1",
    "torchvision/r3d_18": "R3D_18_Weights.KINETICS400_V1",
    "torchvision/resnet18": "ResNet18_Weights.IMAGENET1K_V1",
    "torchvision/resnet50": "ResNet50_Weights.IMAGENET1K_V1",
    "torchvision/resnet152": "ResNet152_Weights.IMAGENET1K_V1",
    "torchvision/mobilenet_v3_large": "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
    "torchvision/efficientnet_b3": "EfficientNet_B3_Weights.IMAGENET1K_V1",
    "timm/vit_base_patch16_224": "vit_base_patch16_224",
    "timm/tf_efficientnet_b0": "tf_efficientnet_b0.ns_jft_in1k",
}
"""What is fetched by name: torchvision's first weights, from which the originals started, and timm's default. Of the
models of a family it is what their library calls the default."""


def load_official(
    model: nn.Module, official: tuple[Official, ...], name: str, file: Path
) -> tuple[Official, LoadReport]:
    """Loads a file into the submodule of `model`, an architecture called `name`, that takes it.

    Returns:
        Which of `official` the file is, and what matched and what was dropped; nothing is ever missing.

    Raises:
        WeightsError: the file cannot be read, is of another architecture, or does not fit; the model is unchanged.
    """
    tensors = read_tensors(file)
    layouts: tuple[Layout, ...] = LAYOUTS
    head: tuple[str, ...] = ()
    library = library_model_of(model)
    if library is not None:
        tensors, foreign = library.published(tensors)
        head = (*library.head, *foreign)  # asked for once: the library builds the model twice to tell
        layouts = _layouts(library, head, official)
    layout, entry = _recognised(tensors, layouts, official, name, file)
    kept = {n: t for n, t in tensors.items() if not n.startswith((*layout.head, *layout.unused))}
    renamed = renamed_by(layout, layout.prepared(kept))
    module = model.get_submodule(entry.into)
    as_built = (*(f"{part}." for part in entry.without), *layout.apart, *head)
    for own, value in module.state_dict().items():
        if own.startswith(as_built) or own.endswith(COUNTER):
            renamed.setdefault(own, value)
    report = replace(compare(module, renamed), dropped=tuple(n for n in tensors if n not in kept))
    if not report.fits:
        raise WeightsError(f"{file}: {layout.said} that does not fit {name}: {report}")
    stayed = {own for own in report.matched if own.startswith(as_built)}
    counters = {own for own in report.matched if own.endswith(COUNTER) and own not in map(layout.rename, kept)}
    report = replace(report, matched=tuple(n for n in report.matched if n not in stayed | counters))
    module.load_state_dict(renamed if layout.input is None else fold_input(renamed, layout.input))
    return entry, report


def renamed_by(layout: Layout, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file under the names here; those that get one name are one tensor, in the order of their own."""
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name in sorted(tensors):
        parts[layout.rename(name)].append(tensors[name])
    return {n: t[0] if len(t) == 1 or t[0].ndim == 0 else torch.cat(t) for n, t in parts.items()}


def _recognised(
    tensors: Mapping[str, Tensor], layouts: tuple[Layout, ...], official: tuple[Official, ...], name: str, file: Path
) -> tuple[Layout, Official]:
    """Which layout the tensors have, and the architecture's entry for it."""
    takes = " or ".join(said(entry.source) for entry in official)
    of_kind = [layout for layout in layouts if layout.is_of(tensors)]
    if not of_kind:
        first = ", ".join(list(tensors)[:2])
        raise WeightsError(f"{file}: no official weights that are known here (it begins {first}); {name} takes {takes}")
    for layout in of_kind:  # S2D's names hold all of a ViT's; two architectures may want other layers of one file
        for entry in official:
            if entry.source == layout.source:
                return layout, entry
    raise WeightsError(f"{file}: these are {of_kind[0].said} weights; {name} takes {takes}")


def fold_input(tensors: Mapping[str, Tensor], given: Input) -> dict[str, Tensor]:
    """The tensors with a first layer that sees images normalised as they are here.

    The authors' network sees y = (p - M) / S of brightness p, here it is given x = (p - m) / s, so y = x * s/S +
    (m - M)/S: the weights take the factor, and the constant goes into the bias, or out of the running mean.
    """
    weight = tensors[given.weight].double()
    if given.bgr:
        weight = weight.flip(1)
    theirs, spread = torch.tensor(given.mean).double(), torch.tensor(given.deviation).double()
    ours, own_spread = torch.tensor(MEAN).double(), torch.tensor(DEVIATION).double()
    per_channel = (1, 3, *(1 for _ in weight.shape[2:]))
    constant = (weight * ((ours - theirs) / spread).view(per_channel)).flatten(1).sum(1)
    folded = {given.weight: (weight * (own_spread / spread).view(per_channel)).float()}
    if given.bias:
        folded[given.bias] = (tensors[given.bias].double() + constant).float()
    else:
        folded[given.running_mean] = (tensors[given.running_mean].double() - constant).float()
    return {**tensors, **folded}


def fetch(source: str) -> Path:
    """The file of a torchvision, timm or transformers source, fetched or out of its library's cache.

    Raises:
        WeightsError: it is not there and cannot be fetched.
    """
    library, _, model = source.partition("/")
    try:
        if library == "timm":
            return _fetch_timm(FETCHED.get(source, model))
        if library == "transformers":
            return _fetch_from_hub(model)
        known = get_weight(FETCHED[source]) if source in FETCHED else get_model_weights(model).DEFAULT
        return _fetch_torchvision(known.url)
    except Exception as error:  # each library, and what lies below it, has errors of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(
            f"{library} {model} cannot be fetched ({reason}): get the file elsewhere and name it: --weights NAME=FILE"
        ) from error


def _fetch_torchvision(url: str) -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    file = folder / url.rpartition("/")[2]
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.rpartition("-")[2], progress=False)
    return file


def _fetch_timm(name: str) -> Path:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(name)
    if config is None or config.hf_hub_id is None:
        raise LookupError("this timm knows no weights of that name")
    return _fetch_from_hub(config.hf_hub_id)


def _fetch_from_hub(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, "model.safetensors"))


def fetchable(architecture: Architecture, size: str) -> tuple[Official, ...]:
    """What of an architecture's official weights can be fetched by name."""
    official = architecture.sizes[size].official
    return tuple(entry for entry in official if entry.source in FETCHED or entry.source not in _SAID)
