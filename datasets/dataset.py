"""What a data-set file declares: layout, class map, protocol, twin.

A file in `datasets/` defines one module-level `DATASET = DataSet(...)`. Nothing is registered by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ferbench.datasets.corpus import Corpus, DataError

if TYPE_CHECKING:
    from ferbench.datasets.synthetic.film import Film

NeutralRule = Literal["first_frame", "training_neutral", "enrolment_frame"]
MissingRule = Literal["nearest earlier frame"]
FacesRule = Literal["given", "found"]
CopiesRule = Literal["refuse", "drop from training", "keep one"]
MOST = 10_000
"""Largest number that a protocol's entry may be."""
RULES: dict[str, tuple[str, ...]] = {
    "neutral": get_args(NeutralRule),
    "missing": get_args(MissingRule),
    "copies": get_args(CopiesRule),
    "faces": get_args(FacesRule),
}
"""Allowed values of the protocol's fields that take a name."""


@dataclass(frozen=True)
class Protocol:
    """Everything that makes two numbers comparable. It is part of a cell's key and stands on the board."""

    folds: int
    """Number of subject-independent folds; 1 means the official parts."""
    image_frames: int
    """How many of a sample's last frames an image or a pair view sees; their scores are averaged."""
    neutral: NeutralRule
    """Neutral reference of a pair: the track's first frame, a training neutral chosen by the sample's hash, or the
    enrolment frame of the same subject."""
    context: int = 0
    """Frames around a sample that a clip sees (the track's first and last are repeated beyond its ends); 0: the
    sample's own frames alone. With it a sequence is a window of the track, and each of its frames belongs to the
    sample that holds it."""
    validation: float = 0.15
    """Share of the training subjects (of its samples where subjects are unknown) that choose the epoch."""
    missing: MissingRule = "nearest earlier frame"
    """What stands in for a frame that is missing or cannot be read."""
    copies: CopiesRule = "refuse"
    """What becomes of samples that show the same picture in two parts: the data are refused; those that are in the test
    part, or in the validation part, are dropped from what is trained on, so that the test part stays whole and clean;
    or one sample of each picture is kept, of the test part before the validation part before training."""
    faces: FacesRule = "given"
    """Where the faces are: as the release gives them (its crops, its boxes, or else the centred square of each frame),
    or where a detector finds them."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What else the data set lets one choose (light, release, fraction...). A float is a share, 0 to 1."""

    def changed(self, changes: Mapping[str, Any], where: str) -> Protocol:
        """This protocol with some fields or options replaced.

        Raises:
            DataError: an unknown key or a value of another type; `where` names the place it was written.
        """
        own = {f.name for f in fields(self)} - {"options"}
        allowed = sorted(own | set(self.options))
        for key, value in changes.items():
            if key not in allowed:
                raise DataError(f"{where}: unknown protocol key {key!r}: use one of {', '.join(allowed)}")
            now = getattr(self, key) if key in own else self.options[key]
            if type(value) is not type(now) and not (isinstance(now, float) and type(value) is int):
                raise DataError(f"{where}: protocol key {key!r} takes a {type(now).__name__}, not {value!r}")
        options = {**self.options, **{k: v for k, v in changes.items() if k not in own}}
        return replace(self, options=options, **{k: v for k, v in changes.items() if k in own})

    def as_dict(self) -> dict[str, Any]:
        """Flat form for the record: the options stand beside the fields."""
        flat = asdict(self)
        options = flat.pop("options")
        return {**flat, **options}


@dataclass(frozen=True)
class DataSet:
    """A data set as the harness sees it."""

    name: str
    title: str
    source: str
    """Who made it and where it is described."""
    licence: str
    classes: tuple[str, ...]
    """The official class map, in code order; empty where only the data tell."""
    protocol: Protocol
    official_counts: Mapping[str, int]
    """What a complete copy holds under this protocol; `data verify` compares. Keys: samples, frames, tracks, subjects,
    and the samples or tracks of an official part (`train samples`, `test tracks`)."""
    read: Callable[[Path, Protocol], Corpus]
    """Opens a folder in the official layout; raises DataError when it is not one."""
    film: Callable[..., Film]
    """The twin at a scale (1 = the original counts) from a seed, under a protocol and in one of the layouts:
    `film(scale, seed, protocol, layout)`, and where there is an `official_test` also `film(..., test_scale=...)`."""
    layouts: tuple[str, ...]
    """The official layouts that the reader knows and the twin can be written in; the first is the default."""
    marks: tuple[str, ...]
    """Patterns of what lies at the top of a copy; any of them tells that a folder is this data set."""
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Allowed values of the protocol's options that take a name."""
    official_test: bool = False
    """Whether the release names a test part, which the twin can hold at a scale of its own: to test costs far less than
    to train, and a small test part leaves the most undecided."""
    sparse: bool = False
    """Whether the release itself lacks frames within a track (no face was found there): they are no sign of a half
    copy."""
    field_measures: bool = False
    """Whether the field reports it as WAR (accuracy) and UAR (the mean recall of its classes), which then stand on the
    board with their intervals."""
    folder: str = ""
    """Folder below `--data` that it reads, and data set whose twin it shares; empty: those of its own name."""
    optional: bool = False
    """Whether `all` leaves it out where its folder is not below `--data`: it stands for nothing but a user's own data.
    Asked for by name it runs, on its twin where there is no folder."""

    @property
    def folder_name(self) -> str:
        """Folder below `--data`."""
        return self.folder or self.name

    def changed_protocol(self, changes: Mapping[str, Any], where: str) -> Protocol:
        """The default protocol with changes, each checked.

        Raises:
            DataError: an unknown key, a wrong type, a value that is not allowed.
        """
        protocol = self.protocol.changed(changes, where)
        chosen = protocol.as_dict()
        for key, allowed in {**RULES, **self.options}.items():
            if chosen[key] not in allowed:
                raise DataError(f"{where}: {key} must be one of {', '.join(allowed)}, not {chosen[key]!r}")
        for key, value in protocol.options.items():
            if isinstance(self.protocol.options[key], float) and not 0 <= value <= 1:
                raise DataError(f"{where}: {key} must be a share from 0 to 1, not {value}")
        if not 0 < protocol.validation < 1:
            raise DataError(f"{where}: validation must be a share between 0 and 1, not {protocol.validation}")
        if not 0 <= protocol.context <= MOST:
            raise DataError(f"{where}: context must be 0 (the sample alone) or a number of frames up to {MOST}")
        for key, value in protocol.options.items():
            if isinstance(value, int) and abs(value) > MOST:
                raise DataError(f"{where}: {key} must be at most {MOST}, not {value}")
        for key in ("folds", "image_frames"):
            if not 1 <= chosen[key] <= MOST:
                raise DataError(f"{where}: {key} must be 1 to {MOST}, not {chosen[key]}")
        return protocol
