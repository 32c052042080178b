"""Shots of the twins whose releases are lists: one picture or one clip of one expression each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import add_speech, expression_units, sequence_units
from ferbench.datasets.synthetic.film import Film, Shot

Style = Literal["lab", "talk", "wild"]
HELD = 0.7
"""Share of clips that end at the height of their expression."""


def counted(counts: Sequence[int], scale: float, least: int = 2) -> list[int]:
    """The class of each sample of a part at a scale, class by class, at least `least` of each."""
    return [code for code, count in enumerate(counts) for _ in range(max(least, round(count * scale)))]


def mistaken(emotion: str, classes: Sequence[str], share: float, rng: np.random.Generator) -> str:
    """The expression that is really shown under a label: of a share of them another of the classes."""
    return str(rng.choice([name for name in classes if name != emotion])) if rng.random() < share else emotion


def still(
    names: tuple[object, ...], emotion: str, file: str, rng: np.random.Generator, person: int | None = None,
    style: Style = "wild", strength: tuple[float, float] = (0.55, 1.0), grey: bool = False,
    margin: tuple[int, int] = (0, 0),
) -> Shot:  # fmt: skip
    """A picture.

    Args:
        names: what it is called by: its person (where no other number is given) and its scene are drawn from it.
        rng: draws the expression, from a share of its full strength to another.
    """
    return Shot(
        identity=number_of("twin", *names) if person is None else person,
        units=expression_units(emotion, rng, float(rng.uniform(*strength)))[None],
        scene=number_of("scene", *names),
        files=(file,),
        style=style,
        grey=grey,
        margin=margin,
    )


def clip(
    names: tuple[object, ...], emotion: str, files: tuple[str, ...], rng: np.random.Generator,
    person: int | None = None, style: Style = "wild", strength: tuple[float, float] = (0.5, 1.0),
    speech: float = 0.0,
) -> Shot:  # fmt: skip
    """A clip with an expression that comes, and in some goes again before the clip ends."""
    course: Literal["onset", "onset_apex_offset"] = "onset" if rng.random() < HELD else "onset_apex_offset"
    units = sequence_units(emotion, len(files), rng, float(rng.uniform(*strength)), course, blinks=0.02)
    return Shot(
        identity=number_of("twin", *names) if person is None else person,
        units=add_speech(units, rng, speech) if speech else units,
        scene=number_of("scene", *names),
        files=files,
        style=style,
    )


def film_of(dataset: str, scale: float, seed: int, shots: Sequence[Shot], **more: object) -> Film:
    """A twin of these shots that has no annotation of its own to write, unless `annotate` says otherwise."""
    return Film(dataset, scale, seed, tuple(shots), **{"annotate": lambda root: None, **more})  # type: ignore[arg-type]
