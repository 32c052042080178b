"""`faces`: what a detector cuts out of pictures and videos, in the layout that the data set `folder` reads."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.predicting.media import Medium, media_of
from ferbench.benchmark.predicting.timeline import Person, people_in
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.running.progress import clock
from ferbench.datasets.faces.detector import Detector, finder

TABLE = "faces.csv"
POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
COLUMNS = (
    "input", "second", "face", "score", "x", "y", "width", "height",
    *(f"{name}_{axis}" for name in POINTS for axis in "xy"), "written",
)  # fmt: skip
QUALITY = 95


def cut_faces(folder: Path, out: Path, size: int, rate: float) -> None:
    """Writes the main face of each picture and video of a folder under the same name, and a table of all of them.

    Of a picture it is the largest face, of a video the one that is seen longest.

    Raises:
        RequestError: there is nothing to look at, or `out` holds something or cannot be written.
        DataError: what finds faces is not installed.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RequestError(f"{out}: it is there already: name a new or an empty folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise RequestError(f"{out}: it lies in the folder that is looked at: name one outside of it")
    media, detector = media_of([folder], rate), Detector()
    began = told = time.monotonic()
    without, several = [], 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        with drafted(out / TABLE) as draft, draft.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, COLUMNS)
            writer.writeheader()
            for done, medium in enumerate(media):
                if time.monotonic() - told >= 2:
                    told = time.monotonic()
                    left = (told - began) / done * (len(media) - done) if done else 0.0
                    print(f"{done} of {len(media)} looked at, about {clock(left)} left", file=sys.stderr)
                people, _ = people_in(medium, detector, lambda text: None)
                people.sort(key=_size, reverse=True)
                several += len(people) > 1
                place = medium.file.relative_to(folder)
                if not people:
                    without.append(place)
                    writer.writerow({"input": place.as_posix()})
                    continue
                written = _write(medium, people[0], out / place, size)
                for person in people:
                    own = written if person is people[0] else {}
                    writer.writerows(
                        _rows(medium, person, place, {at: file.relative_to(out) for at, file in own.items()})
                    )
    except OSError as error:
        raise RequestError(f"{error.filename or out}: cannot be written: {error.strerror or error}") from None
    print(
        f"{out}: the faces of {len(media) - len(without)} of {len(media)} inputs by {finder()}; "
        f"{several} show more than one, of which the main one was cut out; {len(without)} show none"
        + (f" ({without[0]} first)" if without else "")
        + f"; {out / TABLE} lists all"
    )


def _size(person: Person) -> tuple[int, float]:
    return len(person.places), max(place.crop.side for place in person.places)


def _write(medium: Medium, person: Person, place: Path, size: int) -> dict[int, Path]:
    """Writes a face, and returns the file of each frame: a picture, or a folder of frames."""
    wanted = {p.frame: p.crop for p in person.places}
    files = {}
    for index, frame in enumerate(medium.frames()):
        if frame is None or index not in wanted:
            continue
        file = place.with_suffix("") / f"{index + 1:05d}.jpg" if medium.is_video else place.with_suffix(".jpg")
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft:
            Image.fromarray(wanted[index].of(frame, size)).save(draft, format="JPEG", quality=QUALITY, subsampling=0)
        files[index] = file
    return files


def _rows(medium: Medium, person: Person, place: Path, written: dict[int, Path]) -> Iterator[dict[str, Any]]:
    for at in person.places:
        if at.face is None:
            continue
        points = {
            f"{name}_{axis}": round(float(value), 1)
            for name, point in zip(POINTS, at.face.points, strict=True)
            for axis, value in zip("xy", point, strict=True)
        }
        box = {name: round(value, 1) for name, value in zip(("x", "y", "width", "height"), at.face.box, strict=True)}
        yield {
            "input": place.as_posix(),
            "second": round(medium.seconds[at.frame], 3) if medium.is_video else "",
            "face": person.number,
            "score": round(at.face.score, 4),
            **box,
            **points,
            "written": written[at.frame].as_posix() if at.frame in written else "",
        }
