"""`predict`: expressions over time in pictures and videos of one's own."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
    plots = _plots(media, request.plot)
    table = pd.concat([_of(medium, kept, detector, request, plots) for medium in media], ignore_index=True)
    if write_table(table, request.out):
        print(f"{request.out}: {len(table)} answers")


def _plots(media: Sequence[Medium], plot: Path | None) -> dict[Path, Path]:
    """By video the file of its plot: of several each has the video's name in it."""
    videos = [medium.file for medium in media if medium.is_video]
    if plot is None:
        return {}
    return {file: plot.with_stem(f"{plot.stem}-{file.stem}") if len(videos) > 1 else plot for file in videos}


def _of(
    medium: Medium, kept: Kept, detector: Detector | None, request: Request, plots: dict[Path, Path]
) -> pd.DataFrame:
    began = time.perf_counter()
    people, lost = people_in(medium, detector, _say)
    table = answered(kept, medium, people, request.window, _say)
    frames = len(medium.seconds) or 1
    took = time.perf_counter() - began
    without = "cannot be read" if detector is None else "show no face, or cannot be read"
    print(
        f"{medium.file}: {len(people)} faces, {len(table)} answers; {lost} of {frames} frames {without}; "
        f"{frames / took:.1f} frames a second",
        file=sys.stderr,
    )
    try:
        _drawn(medium, table, kept, plots.get(medium.file), request.overlay)
    except OSError as error:
        raise RequestError(f"{error.filename or request.overlay or request.plot}: cannot be written: "
                           f"{error.strerror or error}") from None  # fmt: skip
    return table


def _drawn(medium: Medium, table: pd.DataFrame, kept: Kept, plot: Path | None, overlay: Path | None) -> None:
    from ferbench.benchmark.predicting.drawing import draw_overlay, draw_timeline

    if plot is not None and len(table):
        plot.parent.mkdir(parents=True, exist_ok=True)
        draw_timeline(table, kept.about.classes, plot)
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
        draw_overlay(medium, table, overlay / f"{medium.file.stem}{'.mp4' if medium.is_video else '.png'}")


_said = 0.0


def _say(text: str) -> None:
    """Says what is going on, at most once in two seconds."""
    global _said
    if time.monotonic() - _said >= 2:
        _said = time.monotonic()
        print(text, file=sys.stderr)
