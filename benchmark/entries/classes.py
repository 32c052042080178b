"""Columns of a file of answers and the classes of a data set: matched by name, never by position."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from ferbench.benchmark.errors import RequestError

SYNONYMS: dict[str, tuple[str, ...]] = {
    "anger": ("angry", "an", "ang"),
    "contempt": ("contemptuous", "scorn", "co"),
    "disgust": ("disgusted", "di", "dis"),
    "fear": ("fearful", "afraid", "scared", "fe"),
    "happiness": ("happy", "joy", "joyful", "ha", "hap"),
    "neutral": ("neutrality", "ne", "neu"),
    "sadness": ("sad", "sa"),
    "surprise": ("surprised", "su", "sur"),
    "other": ("others", "unknown"),
}
"""How the field spells its classes; the first name is the one that they are compared by."""
_MEANS = {word: name for name, words in SYNONYMS.items() for word in (name, *words)}
REGRESSION = "value"


def meaning(name: str) -> str:
    """What a class is compared by: its name in small letters, or what it is a synonym of."""
    plain = name.strip().lower().removeprefix("score_")
    return _MEANS.get(plain, plain)


def matched(columns: Sequence[str], classes: Sequence[str], where: str) -> tuple[list[str], tuple[str, ...]]:
    """The column of each class, in the order of the classes, and columns to be dropped.

    Dropped are classes that the field knows and the data set lacks (of eight to seven: Contempt).

    Raises:
        RequestError: two columns for one class, a class without a column, or a column that is no class.
    """
    found: dict[str, str] = {}
    for column in columns:
        own = meaning(column)
        if own in found:
            raise RequestError(f"{where}: the columns {found[own]!r} and {column!r} are one class: remove one of them")
        found[own] = column
    asked = {meaning(name): name for name in classes}
    dropped = tuple(column for own, column in found.items() if own not in asked and own in SYNONYMS)
    for own, column in found.items():
        if own not in asked and column not in dropped:
            near = difflib.get_close_matches(own, asked, n=1, cutoff=0.5)
            hint = f"did you mean {asked[near[0]]!r}?" if near else f"the classes are {', '.join(classes)}"
            raise RequestError(f"{where}: the column {column!r} is no class of this data set: {hint}")
    if lacking := [name for own, name in asked.items() if own not in found]:
        known = ",".join(name for own, name in asked.items() if own in found)
        view = f", or ask of the others alone: --classes {known}" if known.count(",") else ""
        raise RequestError(f"{where}: there is no column for {', '.join(lacking)}: give one for each of "
                           f"{', '.join(classes)}{view}")  # fmt: skip
    return [found[own] for own in asked], dropped
