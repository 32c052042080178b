"""What an entry says of itself: nothing is left out; what is not known is written `unknown`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.yaml_file import read_yaml
from ferbench.models.architecture import DEVIATION, MEAN

LONGEST = 500


def _plain(text: str) -> str:
    if any(sign in text for sign in "<>\n\r\t\0"):
        raise ValueError("plain text of one line, without < and >")
    return text


def _web(text: str) -> str:
    if text != "unknown" and not text.startswith(("https://", "http://")):
        raise ValueError("a web address that begins with https://, or unknown")
    return text


Words = Annotated[str, Field(min_length=1, max_length=LONGEST), AfterValidator(_plain)]
Link = Annotated[Words, AfterValidator(_web)]
Seen = Literal["none", "train", "test", "unknown"]


class ModelInput(BaseModel):
    """What a file of weights takes and answers: needed where it is run here (`evaluate`)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    classes: Annotated[list[Words], Field(min_length=1, max_length=100)]
    """Names of its outputs, in their order."""
    size: Annotated[int, Field(ge=8, le=1024)] = 224
    """Pixels of a side."""
    colour: Literal["RGB", "BGR", "grey"] = "RGB"
    range: Literal[1, 255] = 1
    """Of full brightness, before mean and deviation."""
    mean: Annotated[list[float], Field(min_length=1, max_length=3)] = list(MEAN)
    """In the order of its channels and in its range."""
    deviation: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=3)] = list(DEVIATION)
    layout: Literal["NCHW", "NHWC", "NTCHW", "NCTHW", "NTHWC"] = "NCHW"
    frames: Annotated[int, Field(ge=1, le=512)] = 1
    """Of a clip (T); 1: a picture."""
    scores: Literal["logits", "probabilities"] = "logits"
    output: Words | None = None
    """Which of several outputs answers."""

    @model_validator(mode="after")
    def _fits_together(self) -> ModelInput:
        channels = 1 if self.colour == "grey" else 3
        if len(self.mean) != channels or len(self.deviation) != channels:
            raise ValueError(
                f"mean and deviation take {channels} number{'s' * (channels > 1)} where colour is {self.colour}"
            )
        if ("T" in self.layout) != (self.frames > 1):
            raise ValueError(
                f"layout {self.layout} does not go with {self.frames} frames: clips are NTCHW, NCTHW or NTHWC"
            )
        return self


class Card(BaseModel):
    """The card of an entry (`card.yaml`)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.+-]{0,63}$")]
    """What its folder is called: small letters, digits, `_ . + -`."""
    title: Annotated[Words, Field(max_length=80)]
    authors: Words
    organisation: Words
    code: Link
    code_licence: Words
    weights: Link
    weights_digest: Words
    """sha256 of the file of weights."""
    weights_licence: Words
    backbone: Words
    pretraining_data: Words
    training_data: Words
    seen: dict[str, Seen]
    """By data set that is scored: which part of it the model has seen in any training."""
    input_size: Words
    detector: Words
    views: Annotated[int, Field(ge=1, le=1000)] | Literal["unknown"]
    """Views at test time, 1: one."""
    ensemble_size: Annotated[int, Field(ge=1, le=1000)] | Literal["unknown"]
    chosen: Literal["own validation", "test", "best of n", "mean of n", "only run", "unknown"]
    """How the run that is reported was chosen."""
    parameters: Annotated[int, Field(ge=0, le=10**13)] | Literal["unknown"]
    relationship: Literal["self", "third party", "ferbench"]
    """Who sends it: its authors, somebody else, or whoever runs this harness."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    model: ModelInput | None = None
    """Only where weights are run here."""


def read_card(file: Path, dataset: str) -> Card:
    """The card of an entry that is scored on a data set.

    Raises:
        RequestError: it is no card: the key, and what is allowed; it does not say what it has seen of the data set.
    """
    content = read_yaml(file)
    try:
        card = Card.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        known = {**Card.model_fields, **ModelInput.model_fields}
        key = ".".join(str(part) for part in first["loc"] if str(part) in known) or "card"
        if first["type"] == "extra_forbidden":
            fields = ModelInput.model_fields if first["loc"][0] == "model" else Card.model_fields
            reason = f"unknown key {first['loc'][-1]!r}: use {', '.join(fields)}"
        elif first["type"] == "missing":
            reason = f"the key {first['loc'][-1]!r} is missing: write unknown where it is not known"
        else:
            reason = f"{key}: {first['msg'].removeprefix('Value error, ')}"
        raise RequestError(f"{file}: {reason}") from None
    if dataset not in card.seen:
        raise RequestError(f"{file}: seen must say which part of {dataset} the model has seen: none, train, test or "
                           "unknown")  # fmt: skip
    return card


def unknown_card(name: str, dataset: str) -> Card:
    """The card of an entry that comes without one: nothing is known of it."""
    return Card(
        name=name, title=name, authors="unknown", organisation="unknown", code="unknown", code_licence="unknown",
        weights="unknown", weights_digest="unknown", weights_licence="unknown", backbone="unknown",
        pretraining_data="unknown", training_data="unknown", seen={dataset: "unknown"}, input_size="unknown",
        detector="unknown", views="unknown", ensemble_size="unknown", chosen="unknown", parameters="unknown",
        relationship="third party", date="1970-01-01",
    )  # fmt: skip
