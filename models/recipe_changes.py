"""A row under a changed recipe: `tsm@frames=16+lr=0.002`, or `cnn_rnn@head.epochs=8` for one of its stages alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, TypeAdapter, ValidationError

from ferbench.models.architecture import Architecture, Size

Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
STAGE_FIELDS: Mapping[str, Any] = {
    "epochs": Annotated[int, Field(ge=1, le=100_000)],
    "max_samples": Annotated[int, Field(ge=1)] | None,
    "batch_size": Annotated[int, Field(ge=1, le=65_536)],
    "optimizer": Literal["adam", "adamw", "sgd"],
    "lr": Annotated[float, Field(gt=0, le=1e3)],
    "weight_decay": Weight,
    "schedule": Literal["constant", "cosine"],
    "warmup": Share,
    "label_smoothing": Share,
    "class_weights": Literal["none", "sqrt_inverse"],
    "augmentation": Literal["none", "light", "heavy"],
    "mixup": Annotated[float, Field(ge=0, le=10)],
    "gradient_norm": Annotated[float, Field(gt=0)] | None,
    "smoothing": Weight,
    "selection": Literal["validation", "last"],
}
"""What of a stage can be changed, and what it takes: all but its structure, which the architecture's code relies on."""
SIZE_FIELDS: Mapping[str, Any] = {
    "image_size": Annotated[int, Field(ge=8, le=2048)],
    "frames": Annotated[int, Field(ge=1, le=999)],
}
"""What of a size can be changed; the model must take such inputs."""
LONGEST = 200
"""Letters of the changes in a row's name, which names a folder; parted by `+`, since rows are by commas."""

Value = int | float | str | None


def checked(key: str, value: object) -> Value:
    """The value of one change, `field` or `stage.field`; texts are read as their field's type.

    Raises:
        ValueError: there is no such field, or it does not take this value; says what is allowed.
    """
    field = key.rpartition(".")[2]
    known = STAGE_FIELDS if "." in key else {**STAGE_FIELDS, **SIZE_FIELDS}
    if field not in known:
        raise ValueError(f"unknown field {key!r}: use one of {', '.join(known)}")
    if isinstance(value, bool):
        raise ValueError(f"{key}={str(value).lower()}: it takes {_allowed(known[field])}")
    try:
        found: Value = TypeAdapter(known[field]).validate_python(
            None if value == "none" and _optional(field) else value
        )
    except ValidationError:
        raise ValueError(f"{key}={value}: it takes {_allowed(known[field])}") from None
    return found


def _optional(field: str) -> bool:
    return field in ("max_samples", "gradient_norm")


def _allowed(kind: Any) -> str:
    """What a field takes, in words."""
    schema = TypeAdapter(kind).json_schema()
    options = schema.get("anyOf", [schema])
    words = [*options[0].get("enum", ())]
    if not words:
        low, high = (
            (options[0].get(f"exclusive{side.title()}"), options[0].get(side)) for side in ("minimum", "maximum")
        )
        bounds = [
            f"above {low[0]}" if low[0] is not None else f"from {low[1]}" if low[1] is not None else "",
            f"below {high[0]}" if high[0] is not None else f"up to {high[1]}" if high[1] is not None else "",
        ]
        whole = {"integer": "a whole number", "number": "a number"}[options[0]["type"]]
        words = [" ".join(filter(None, [whole, *bounds]))]
    return " or ".join([*words, *(["none"] if len(options) > 1 else [])])


def spelled(changes: Mapping[str, Value]) -> str:
    """Changes as they stand in a row's name, the same for the same changes.

    Raises:
        ValueError: they are too many for a name.
    """
    text = "+".join(f"{key}={'none' if value is None else value}" for key, value in sorted(changes.items()))
    if len(text) > LONGEST:
        raise ValueError(
            f"{text[:40]}... are {len(text)} letters, more than {LONGEST}: change fewer fields, or the file"
        )
    return text


def read(text: str) -> dict[str, Value]:
    """The changes that a name spells.

    Raises:
        ValueError: it is not written as `field=value+stage.field=value`, or `checked` refuses a part of it.
    """
    changes: dict[str, Value] = {}
    for part in text.split("+"):
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in changes:
            raise ValueError(f"{part!r}: write each change once, as field=value or stage.field=value")
        changes[key] = checked(key, value)
    if spelled(changes) != text:  # another spelling would be another row of the same recipe
        raise ValueError(f"write it {spelled(changes)!r}")
    return changes


def changed(architecture: Architecture, text: str) -> Architecture:
    """The architecture under the recipe that `text` makes of its own, in those of its sizes that can have it.

    Raises:
        ValueError: nothing of it has such a stage, or takes such inputs; or `read` does not understand the text.
    """
    changes = read(text)
    stages = {stage.name for size in architecture.sizes.values() for stage in size.stages}
    for key in changes:
        stage = key.rpartition(".")[0]
        if stage and stage not in stages:
            raise ValueError(f"{key}: it has no stage {stage!r}, but {', '.join(sorted(stages)) or 'none at all'}")
    if not stages and changes.keys() - SIZE_FIELDS.keys():
        raise ValueError("nothing of its own is trained: change the row that it starts from")
    if "frames" in changes and architecture.view not in ("clip", "sequence"):
        raise ValueError(f"frames: its view is {architecture.view}, which has no number of them")
    sizes, refused = {}, ""
    for name, size in architecture.sizes.items():
        try:
            sizes[name] = _changed_size(architecture, size, changes)
        except ValueError as error:
            refused = str(error)
    if not sizes:
        of_size = {key: value for key, value in changes.items() if key in SIZE_FIELDS}
        raise ValueError(f"{spelled(of_size)}: {refused}" if of_size else refused)
    title = f"{architecture.title} ({_said(changes)})"
    return replace(architecture, name=f"{architecture.name}@{text}", title=title, sizes=sizes, variants={})


def _changed_size(architecture: Architecture, size: Size, changes: Mapping[str, Value]) -> Size:
    """The size under these changes; ValueError, in the model's words, where it takes no such inputs."""
    of_size: dict[str, Any] = {key: value for key, value in changes.items() if key in SIZE_FIELDS}
    stages = []
    for stage in size.stages:
        own: dict[str, Any] = {key: value for key, value in changes.items() if key in STAGE_FIELDS}
        prefix = f"{stage.name}."
        own |= {key.removeprefix(prefix): value for key, value in changes.items() if key.startswith(prefix)}
        stages.append(replace(stage, **own))
    kept = tuple(stages) == size.stages
    new = replace(size, stages=tuple(stages), searched=size.searched and kept, **of_size)
    if of_size:
        shape = replace(architecture, sizes={"it": new}).input_shape("it")
        with torch.device("meta"), torch.no_grad():
            new.build(2).eval()(torch.empty(shape))
    return new


def _said(changes: Mapping[str, Value]) -> str:
    """Changes as a reader of the board wants them."""
    words = {"frames": "{} frames", "image_size": "{} px"}
    return ", ".join(words.get(key, key.replace("_", " ") + " {}").format("none" if value is None else value)
                     for key, value in changes.items())  # fmt: skip
