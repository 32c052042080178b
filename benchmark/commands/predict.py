"""`predict`: expressions over time in pictures and videos of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import pandas as pd

from ferbench.benchmark.commands.tables import refuse_other_ending, write_table
from ferbench.benchmark.commands.weights import weights_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.kept import Kept, read_kept
from ferbench.benchmark.learning.training import make_deterministic
from ferbench.benchmark.predicting.media import Medium, media_of
from ferbench.benchmark.predicting.timeline import answered, people_in
from ferbench.datasets.faces.detector import Detector


@dataclass(frozen=True)
class Request:
    """What is asked of the verb."""

    cell: str
    inputs: tuple[Path, ...]
    out: Path | None
    faces: str
    rate: float
    window: float
    plot: Path | None
    overlay: Path | None
    results: Path


def predict(request: Request) -> None:
    """Answers every input, prints or writes the table, and says what was found.

    Raises:
        RequestError: the request, the weights or an input is wrong.
        DataError: faces are to be found, and what finds them is not installed.
    """
    if request.faces not in ("found", "whole"):
        raise RequestError(f"--faces {request.faces}: use found or whole")
    refuse_other_ending(request.out)
    refuse_other_ending(request.plot, (".png", ".svg"))
    make_deterministic()
    media = media_of(request.inputs, request.rate)
    kept = read_kept(weights_of(request.results, request.cell))
    detector = Detector() if request.faces == "found" else None
    drawn = zip(media, _drawings(media, request), strict=True)
    tables = [_of(medium, kept, detector, request.window, drawings) for medium, drawings in drawn]
    table = pd.concat(tables, ignore_index=True)
    if write_table(table, request.out):
        print(f"{request.out}: {len(table)} answers")


@dataclass(frozen=True)
class _Drawings:
    """Files that are drawn of an input; None: not asked for."""

    plot: Path | None
    overlay: Path | None


def _drawings(media: Sequence[Medium], request: Request) -> Iterator[_Drawings]:
    """Of each input. The plots of several videos have the video's name in theirs, and no two inputs share a file."""
    several = sum(medium.is_video for medium in media) > 1
    for medium, name in zip(media, names_of([medium.file for medium in media]), strict=True):
        plot = request.plot if medium.is_video else None
        overlay = request.overlay and request.overlay / f"{name}{'.mp4' if medium.is_video else '.png'}"
        yield _Drawings(plot.with_stem(f"{plot.stem}-{name}") if plot and several else plot, overlay)


def names_of(files: Sequence[Path]) -> list[str]:
    """The files' names without their endings, with a number where an earlier one has that name."""
    taken: set[str] = set()
    names = []
    for file in files:
        candidates = chain([file.stem], (f"{file.stem}-{number}" for number in count(2)))
        name = next(name for name in candidates if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def _of(medium: Medium, kept: Kept, detector: Detector | None, window: float, drawings: _Drawings) -> pd.DataFrame:
    began = time.perf_counter()
    people, lost = people_in(medium, detector, _say)
    table = answered(kept, medium, people, window, _say)
    frames = len(medium.seconds) or 1
    took = time.perf_counter() - began
    without = "cannot be read" if detector is None else "show no face, or cannot be read"
    print(
        f"{medium.file}: {len(people)} faces, {len(table)} answers; {lost} of {frames} frames {without}; "
        f"{frames / took:.1f} frames a second",
        file=sys.stderr,
    )
    try:
        _draw(medium, table, kept, drawings)
    except OSError as error:
        raise RequestError(f"{error.filename or drawings.overlay or drawings.plot}: cannot be written: "
                           f"{error.strerror or error}") from None  # fmt: skip
    return table


def _draw(medium: Medium, table: pd.DataFrame, kept: Kept, drawings: _Drawings) -> None:
    from ferbench.benchmark.predicting.drawing import draw_overlay, draw_timeline

    if drawings.plot is not None and len(table):
        drawings.plot.parent.mkdir(parents=True, exist_ok=True)
        draw_timeline(table, kept.about.classes, drawings.plot)
    if drawings.overlay is not None:
        drawings.overlay.parent.mkdir(parents=True, exist_ok=True)
        draw_overlay(medium, table, drawings.overlay)


_said = 0.0


def _say(text: str) -> None:
    """Says what is going on, at most once in two seconds."""
    global _said
    if time.monotonic() - _said >= 2:
        _said = time.monotonic()
        print(text, file=sys.stderr)
