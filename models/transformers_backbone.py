"""Family `transformers:<name>`: image and video backbones of Hugging Face's transformers, by the name of a checkpoint.

    image (B,3,S,S) or clip (B,T,3,S,S) -> the library's model -> one vector (B,F) -> linear (B,classes)

A name is the checkpoint's on the hub without its owner: `transformers:dinov2-base`, `transformers:videomae-base`. All
are built from the table below, without a network: it holds what the `config.json` of each checkpoint states beside the
library's defaults, and pictures are normalised as its `preprocessor_config.json` says. V-JEPA 2 has no position table
and gets 16 frames; ViViT is given -1..1, as its authors do and as its conversion was checked. The library itself is
optional (`pip install 'ferbench[transformers]'`).

The vector is the class token (ViT, DINOv3, ViViT, TimeSformer), with the patches' mean beside it (DINOv2), the tower's
own pooled output (Swin, CLIP before its projection, SigLIP), or the mean over all tokens (VideoMAE, V-JEPA 2). It is
what the library's classifiers read, except for CLIP's and SigLIP's, which leave parts of the tower out, and V-JEPA 2's
attentive pooler, which its pre-trained files lack. VideoMAE's last norm has no weights: the linear layer takes them up.

`full` is the checkpoint's model; official weights come from a file in the names of the library, old or new, of the
tower alone or with a head, a decoder or a text tower beside it, which are dropped. DINOv2's positions, published for
518×518, are resampled to 224×224 by the library once, when they are loaded. `tiny` is the same architecture with 3
layers of 64 channels on 48×48 (Swin: two stages of 2), clips of 8 frames; there all names of an architecture are one.
`@probe` leaves the model as it comes and trains a linear classifier; features of images are read once.

One recipe for all images and one for all clips: nothing was tuned for any of them. `tiny` starts from random
weights and shows that a model runs, not what it can do: in its few seconds a transformer learns no expression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from ferbench.models.architecture import BFLOAT16, DEVIATION, MEAN, Architecture, Family, Official, Size, Stage, View
from ferbench.models.parts.library_model import CLIP_PROBE, IMAGE_PROBE, LibraryModel, Triple, probed

try:
    import transformers
except ImportError:
    raise ImportError("transformers is not installed: pip install 'ferbench[transformers]'") from None

transformers.logging.set_verbosity_error()  # of loading it says in tables what the project says in a line
transformers.logging.disable_progress_bar()

TINY = 48
TINY_FRAMES = 8
HALF: Triple = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Kind:
    """An architecture of the library."""

    title: str
    config: str
    """Name of its class, and so is `model`."""
    model: str
    vector: Callable[[Any], Tensor]
    """What the model returns -> (B,F)."""
    tiny: Mapping[str, Any]
    mean: Triple = MEAN
    deviation: Triple = DEVIATION
    view: View = "image"
    side: str = "image_size"
    """What its config calls the pixels a side, and so does `frames`."""
    frames: str = "num_frames"
    always: Mapping[str, Any] = field(default_factory=dict)
    """Of every config, besides the checkpoint's own: the training of the checkpoint is over."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's class."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's forward pass."""
    without: tuple[str, ...] = ()
    """What only its pre-training needs: no forward pass here reaches it."""


def token(out: Any) -> Tensor:
    return out.last_hidden_state[:, 0]


def pooled(out: Any) -> Tensor:
    return out.pooler_output


def mean(out: Any) -> Tensor:
    return out.last_hidden_state.mean(1)


def normalised_mean(out: Any) -> Tensor:
    x = mean(out)
    return layer_norm(x, x.shape[-1:])


def token_and_mean(out: Any) -> Tensor:
    """Of a model without register tokens."""
    return torch.cat((token(out), out.last_hidden_state[:, 1:].mean(1)), dim=1)


THIN = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 8}
SMALL = {**THIN, "intermediate_size": 128}
BARE = {"add_pooling_layer": False}
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

KINDS = {
    "vit": Kind("ViT", "ViTConfig", "ViTModel", token, SMALL, HALF, HALF, options=BARE),
    "swin": Kind(
        "Swin", "SwinConfig", "SwinModel", pooled,
        {"embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "window_size": 6},
    ),
    "dinov2": Kind(
        "DINOv2", "Dinov2Config", "Dinov2Model", token_and_mean, {**THIN, "mlp_ratio": 2},
        always={"use_mask_token": False},
    ),
    "dinov3": Kind(
        "DINOv3", "DINOv3ViTConfig", "DINOv3ViTModel", pooled, SMALL,
        always={"num_register_tokens": 4}, without=("embeddings.mask_token",),
    ),
    "clip": Kind("CLIP", "CLIPVisionConfig", "CLIPVisionModel", pooled, SMALL, CLIP_MEAN, CLIP_DEVIATION),
    "siglip": Kind("SigLIP", "SiglipVisionConfig", "SiglipVisionModel", pooled, SMALL, HALF, HALF),
    "videomae": Kind("VideoMAE", "VideoMAEConfig", "VideoMAEModel", normalised_mean, SMALL, view="clip"),
    "vjepa2": Kind(
        "V-JEPA 2", "VJEPA2Config", "VJEPA2Model", mean, {**THIN, "mlp_ratio": 2.0}, view="clip",
        side="crop_size", frames="frames_per_clip", call={"skip_predictor": True}, without=("predictor",),
    ),
    "vivit": Kind(
        "ViViT", "VivitConfig", "VivitModel", token, {**SMALL, "tubelet_size": [2, 8, 8]}, HALF, HALF, "clip",
        options=BARE,
    ),
    "timesformer": Kind(
        "TimeSformer", "TimesformerConfig", "TimesformerModel", token, SMALL, (0.45,) * 3, (0.225,) * 3, "clip"
    ),
}  # fmt: skip

SMALLER = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
HUGE = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
SWIN_BASE = {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]}


@dataclass(frozen=True)
class Checkpoint:
    """A published set of weights, which gives the model its shape."""

    hub: str
    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """Where it is not the library's default."""
    side: int = 224
    """Pixels that its processor cuts pictures to."""
    frames: int = 1


def dinov2(size: str, width: int, layers: int, heads: int) -> Checkpoint:
    shape = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "image_size": 518}
    return Checkpoint(f"facebook/dinov2-{size}", "dinov2", {**shape, "patch_size": 14})


CHECKPOINTS = {
    checkpoint.hub.partition("/")[2]: checkpoint
    for checkpoint in (
        Checkpoint("google/vit-base-patch16-224", "vit"),
        Checkpoint("google/vit-base-patch16-224-in21k", "vit"),
        Checkpoint("google/vit-large-patch16-224", "vit", LARGE),
        Checkpoint("microsoft/swin-tiny-patch4-window7-224", "swin"),
        Checkpoint("microsoft/swin-small-patch4-window7-224", "swin", {"depths": [2, 2, 18, 2]}),
        Checkpoint("microsoft/swin-base-patch4-window7-224", "swin", SWIN_BASE),
        dinov2("small", 384, 12, 6),
        dinov2("base", 768, 12, 12),
        dinov2("large", 1024, 24, 16),
        Checkpoint("facebook/dinov3-vits16-pretrain-lvd1689m", "dinov3", SMALLER),
        Checkpoint("facebook/dinov3-vitb16-pretrain-lvd1689m", "dinov3", BASE),
        Checkpoint("facebook/dinov3-vitl16-pretrain-lvd1689m", "dinov3", LARGE),
        Checkpoint("openai/clip-vit-base-patch32", "clip"),
        Checkpoint("openai/clip-vit-base-patch16", "clip", {"patch_size": 16}),
        Checkpoint("openai/clip-vit-large-patch14", "clip", {**LARGE, "patch_size": 14}),
        Checkpoint("google/siglip-base-patch16-224", "siglip"),
        Checkpoint("google/siglip2-base-patch16-224", "siglip"),
        Checkpoint("google/siglip-large-patch16-256", "siglip", LARGE, 256),
        Checkpoint("MCG-NJU/videomae-small-finetuned-kinetics", "videomae", SMALLER, frames=16),
        Checkpoint("MCG-NJU/videomae-base", "videomae", frames=16),
        Checkpoint("MCG-NJU/videomae-base-finetuned-kinetics", "videomae", frames=16),
        Checkpoint("MCG-NJU/videomae-large", "videomae", LARGE, frames=16),
        Checkpoint("facebook/vjepa2-vitl-fpc64-256", "vjepa2", side=256, frames=16),
        Checkpoint("facebook/vjepa2-vith-fpc64-256", "vjepa2", HUGE, 256, 16),
        Checkpoint("google/vivit-b-16x2-kinetics400", "vivit", frames=32),
        Checkpoint("facebook/timesformer-base-finetuned-k400", "timesformer", frames=8),
        Checkpoint("facebook/timesformer-base-finetuned-k600", "timesformer", frames=8),
    )
}


def names() -> list[str]:
    """The checkpoints whose shapes are known here."""
    return list(CHECKPOINTS)


def config_of(kind: Kind, given: Mapping[str, Any], side: int, frames: int) -> Any:
    """The library's config of a kind for pictures of that side."""
    length = {} if kind.view == "image" else {kind.frames: frames}
    return getattr(transformers, kind.config)(**{kind.side: side, **length, **kind.always, **given})


def model_of(kind: Kind, config: Any) -> nn.Module:
    """The library's model, random, with all that a forward pass here reaches."""
    model = getattr(transformers, kind.model)(config, **kind.options)
    for name in kind.without:
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, None)
    return model


class Backbone(nn.Module):
    """(B,3,H,W) or (B,T,3,H,W) -> (B,classes)."""

    def __init__(self, kind: Kind, config: Any, classes: int) -> None:
        super().__init__()
        self.kind = kind
        self.body = model_of(kind, config)
        self.classifier = nn.Linear(config.hidden_size * (2 if kind.vector is token_and_mean else 1), classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.kind.vector(self.body(x, **self.kind.call)))


class TransformersModel(LibraryModel):
    """One of the library's models for one shape of input."""

    def __init__(self, name: str, checkpoint: Checkpoint, config: Any, classes: int, shape: tuple[int, ...]) -> None:
        kind = KINDS[checkpoint.kind]
        own = (checkpoint.frames, 3) if len(shape) == 4 else (3,)
        super().__init__(
            f"transformers:{name}",
            lambda classes: Backbone(kind, config, classes),
            classes,
            shape=shape,
            own=(*own, checkpoint.side, checkpoint.side),
            mean=kind.mean,
            deviation=kind.deviation,
        )
        self.checkpoint = checkpoint

    @staticmethod
    def run(model: nn.Module, x: Tensor) -> Tensor:
        """This library has a clip's frames before its channels, as they are here."""
        return model(x)

    def published(self, tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
        """As the library itself reads a file into its model: it knows the names of all its versions."""
        kind, checkpoint = KINDS[self.checkpoint.kind], self.checkpoint
        config = config_of(kind, checkpoint.config, checkpoint.side, checkpoint.frames)
        theirs, report = getattr(transformers, kind.model).from_pretrained(
            None, config=config, state_dict=dict(tensors), output_loading_info=True, ignore_mismatched_sizes=True,
            **kind.options,
        )  # fmt: skip
        absent = {name if isinstance(name, str) else name[0] for key in report for name in report[key]}
        read = {name: tensor for name, tensor in theirs.state_dict().items() if name not in absent}
        body = cast(nn.Module, self.model.body).state_dict()
        places = "embeddings.position_embeddings"
        if places in read and read[places].shape != body[places].shape:
            side, grid = checkpoint.side, torch.empty_like(body[places])
            read[places] = theirs.embeddings.interpolate_pos_encoding(grid, side, side).detach()
        mine = {f"body.{name}": tensor for name, tensor in read.items() if name in body}
        if not mine:
            return tensors, ()
        foreign = (*sorted(report["unexpected_keys"]), *(name for name in read if name not in body))
        return {**mine, **dict.fromkeys(foreign, torch.empty(0))}, foreign


def build(name: str, checkpoint: Checkpoint, tiny: bool, classes: int) -> nn.Module:
    """The model with random weights and a new head."""
    kind = KINDS[checkpoint.kind]
    side, frames = (TINY, TINY_FRAMES) if tiny else (checkpoint.side, checkpoint.frames)
    given = dict(kind.tiny if tiny else checkpoint.config)
    given.pop(kind.side, None)  # built for the pictures that it gets
    shape = (3, side, side) if kind.view == "image" else (frames, 3, side, side)
    return TransformersModel(name, checkpoint, config_of(kind, given, side, frames), classes, shape)


IMAGE_STAGES = {
    "full": Stage(epochs=20, batch_size=32, lr=2e-5, weight_decay=0.05, gradient_norm=1.0),
    "tiny": Stage(
        epochs=12,
        max_samples=5_000,
        batch_size=32,
        lr=1e-3,
        weight_decay=0.05,
        label_smoothing=0.05,
        class_weights="sqrt_inverse",
        gradient_norm=5.0,
    ),
}
CLIP_STAGES = {
    "full": Stage(epochs=20, batch_size=8, lr=2e-5, weight_decay=0.05, gradient_norm=1.0),
    "tiny": Stage(
        epochs=6,
        max_samples=1_200,
        batch_size=16,
        lr=1e-3,
        weight_decay=0.05,
        label_smoothing=0.05,
        class_weights="sqrt_inverse",
        augmentation="none",
        gradient_norm=5.0,
    ),
}


def make(name: str) -> Architecture:
    """The architecture of one of `names`."""
    checkpoint = CHECKPOINTS[name]
    kind = KINDS[checkpoint.kind]
    images = kind.view == "image"
    stages = IMAGE_STAGES if images else CLIP_STAGES
    sizes = {
        "full": Size(
            build=lambda classes: build(name, checkpoint, False, classes),
            image_size=checkpoint.side,
            frames=checkpoint.frames,
            stages=(stages["full"],),
            official=(Official(f"transformers/{checkpoint.hub}", "model"),),
            precision=BFLOAT16,
        ),
        "tiny": Size(
            build=lambda classes: build(name, checkpoint, True, classes),
            image_size=TINY,
            frames=1 if images else TINY_FRAMES,
            stages=(stages["tiny"],),
        ),
    }
    return Architecture(
        name=f"transformers:{name}",
        title=f"{name} (transformers)",
        view=kind.view,
        source=f"huggingface/transformers; {checkpoint.hub}",
        models_time=not images,
        sizes=sizes,
        variants={"probe": probed(sizes, IMAGE_PROBE if images else CLIP_PROBE)},
    )


FAMILY = Family(prefix="transformers", names=names, make=make)
