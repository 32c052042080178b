"""What every `record.json` must hold, so that whoever reads one need not ask; a damaged one is refused as a whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AllowInfNan, BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError, model_validator

Count = Annotated[int, Strict(), Field(ge=0)]
Number = Annotated[float, AllowInfNan(False)]
Name = Annotated[str, Field(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$")]
"""What pages and folders are named after."""
Named = dict[str, Any]


_NUMBER = TypeAdapter(Number)
_BY_CLASS = TypeAdapter(dict[str, Number | None])
_CONFUSION = TypeAdapter(list[list[Count]])


class Headlined(BaseModel):
    """Measures of a finished cell: each a number, but for the parts of the confusion and the values by class."""

    model_config = ConfigDict(extra="allow")

    headline: Literal["abaw", "ccc"] = "abaw"

    @model_validator(mode="after")
    def _has_its_headline(self) -> Headlined:
        values = self.model_extra or {}
        for name in (self.headline, *(("accuracy", "f1_macro") if self.headline == "abaw" else ())):
            _NUMBER.validate_python(values.get(name))
        _BY_CLASS.validate_python(values.get("f1_per_class", {}))
        _CONFUSION.validate_python(values.get("confusion", []))
        return self


class Environment(BaseModel):
    """Where a cell was run."""

    device: str | None
    device_type: str
    created: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    threads: Count | None = None
    workers: Count | None = None
    precision: str | None = None


class Cost(BaseModel):
    """What a cell costs."""

    params: Number | None
    macs: Number | None
    params_full: Number | None
    macs_full: Number | None
    train_samples_per_s: Number | None
    infer_samples_per_s: Number | None
    latency_ms_p50: Number | None
    latency_ms_p95: Number | None
    peak_memory_mb: Number | None
    params_trained: Number | None = None
    infer_batch: Number | None
    throughput_by_batch: dict[str, Number] | None = None
    latency_ms_samples: list[Number]


class Calibration(BaseModel):
    """How far the probabilities of a cell can be taken at their word."""

    temperature: Annotated[Number, Field(gt=0)]
    error: Annotated[Number, Field(ge=0, le=1)]
    calibrated_error: Annotated[Number, Field(ge=0, le=1)]


class Epoch(BaseModel):
    """An epoch of the history."""

    stage: str
    epoch: Count


class Shape(BaseModel):
    """The content of a record; what is not named here may be anything."""

    key: str
    key_parts: Named
    architecture: Name
    dataset: Name
    source: Literal["real", "twin"]
    suite: Name
    size: Name
    view: str
    seed: Count
    fold: Count
    kind: str
    status: Literal["ok", "failed"]
    error: str | None
    title: str
    protocol: Named
    classes: list[str]
    absent_classes: list[str]
    subjects_known: bool
    notes: list[str]
    started_from: str
    recipe: Named
    history: list[Epoch]
    metrics: Headlined | None
    cost: Cost | None
    timing: dict[str, Number]
    counts: dict[str, Count]
    environment: Environment
    calibration: Calibration | None = None
    task: Literal["", "still", "video", "valence"] = ""
    field_measures: bool = False
    attributes: list[str] = []
    asked: list[str] = []
    files: dict[str, str] = {}

    @model_validator(mode="after")
    def _finished_ones_have_measures(self) -> Shape:
        if self.status == "ok" and (self.metrics is None or not self.classes):
            raise ValueError("a finished record has classes and metrics")
        return self


def fault_of(data: Any) -> str | None:
    """What is wrong with the content of a record, in a few words; None where nothing is."""
    try:
        Shape.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    return None
