"""Expressions over time of each face in a medium: faces found, cut out, and answered as in training."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.learning.kept import Kept
from ferbench.benchmark.measures.calibration import calibrated
from ferbench.benchmark.predicting.media import Medium
from ferbench.benchmark.records.scratch import scratch
from ferbench.datasets.augmentation import normalise
from ferbench.datasets.faces.crops import Crop, crop_of, smoothed, whole
from ferbench.datasets.faces.detector import Detector, Face
from ferbench.datasets.faces.tracks import Track, joined

BATCH = 32
Report = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """A face at a time."""

    frame: int
    """Index of the medium's times."""
    crop: Crop
    face: Face | None
    """None where the whole picture is taken."""


@dataclass(frozen=True)
class Person:
    """One face of a medium over time."""

    number: int
    places: list[Place]


def people_in(medium: Medium, detector: Detector | None, report: Report) -> tuple[list[Person], int]:
    """The faces of a medium, and how many of its frames show none or cannot be read.

    detector: None: the centred square of every frame is the face.
    """
    times = medium.seconds or (0.0,)
    found: list[tuple[float, list[Face]]] = []
    alone: list[Place] = []
    lost = 0
    for index, frame in enumerate(medium.frames()):
        if index % 50 == 0 and medium.is_video:
            report(f"{medium.file.name}: looking for faces at {times[index]:.0f} of {times[-1]:.0f} s")
        if frame is None:
            lost += 1
        elif detector is None:
            alone.append(Place(index, whole(frame), None))
        else:
            faces = detector.find(frame, turned=not medium.is_video)
            lost += not faces
            found.append((times[index], faces))
    if detector is None:
        return ([Person(1, alone)] if alone else []), lost
    if not medium.is_video:
        faces = found[0][1] if found else []
        return [Person(n, [Place(0, crop_of(face), face)]) for n, face in enumerate(faces, start=1)], lost
    return [_person(track, times) for track in joined(found)], lost


def _person(track: Track, times: tuple[float, ...]) -> Person:
    index = {second: i for i, second in enumerate(times)}
    crops = smoothed([crop_of(face) for face in track.faces], track.seconds)
    places = zip(track.seconds, crops, track.faces, strict=True)
    return Person(track.number, [Place(index[second], crop, face) for second, crop, face in places])


def answered(kept: Kept, medium: Medium, people: list[Person], window: float, report: Report) -> pd.DataFrame:
    """One row a face and time, with the probability of each class (or the value).

    window: seconds around a time that a clip shows.
    """
    size = kept.size
    with scratch() as folder:
        pictures = _cut(medium, people, size.image_size, folder / "faces.bin", report)
        model = folded(kept.model).eval()
        tables = []
        begin = 0
        for person in people:
            own = np.arange(begin, begin + len(person.places))
            begin += len(person.places)
            scores = _scores(kept, model, pictures, own, _times(medium, person), window)
            tables.append(_table(kept, medium, person, scores))
            report(f"{medium.file.name}: face {person.number} answered")
        del pictures
    return pd.concat(tables, ignore_index=True) if tables else _table(kept, medium, Person(0, []), np.empty((0, 0)))


def _cut(medium: Medium, people: list[Person], size: int, file: Path, report: Report) -> NDArray[np.uint8]:
    """(N,S,S,3) what is cut out, person after person; on disk, so that a long video costs no memory."""
    total = sum(len(person.places) for person in people)
    pictures = np.memmap(file, dtype=np.uint8, mode="w+", shape=(max(1, total), size, size, 3))
    wanted: dict[int, list[tuple[int, Crop]]] = {}
    row = 0
    for person in people:
        for place in person.places:
            wanted.setdefault(place.frame, []).append((row, place.crop))
            row += 1
    for index, frame in enumerate(medium.frames()):
        if frame is not None:
            for row, crop in wanted.get(index, ()):
                pictures[row] = crop.of(frame, size)
        if index % 50 == 0 and medium.is_video:
            report(f"{medium.file.name}: cutting faces out of frame {index + 1} of {len(medium.seconds)}")
    return pictures


def _times(medium: Medium, person: Person) -> NDArray[np.float64]:
    return np.array([medium.seconds[place.frame] if medium.is_video else 0.0 for place in person.places])


def _inputs(view: str, frames: int, own: NDArray[np.int64], times: NDArray[np.float64], window: float) -> Any:
    """(I,K) rows of the pictures that each input shows, and (I,K) or (I,) which place it answers for."""
    count = len(own)
    places = np.arange(count)
    if view == "image":
        return own[:, None], places
    if view == "pair":  # the first that is seen of a face stands for its neutral one
        return np.stack([np.full(count, own[0]), own], axis=1), places
    if view == "clip":
        offsets = ((np.arange(frames) + 0.5) / frames - 0.5) * window
        near = np.abs((times[:, None] + offsets)[..., None] - times).argmin(axis=-1)
        return own[near], places
    begins = np.minimum(np.arange(math.ceil(count / frames)) * frames, max(0, count - frames))
    shown = np.minimum(begins[:, None] + np.arange(frames), count - 1)
    return own[shown], shown


def _scores(
    kept: Kept,
    model: torch.nn.Module,
    pictures: NDArray[np.uint8],
    own: NDArray[np.int64],
    times: NDArray[np.float64],
    window: float,
) -> NDArray[np.float64]:
    """(N,C) of one face."""
    view = kept.architecture.view
    inputs, answers = _inputs(view, kept.size.frames, own, times, window)
    total, seen = np.zeros((len(own), len(kept.about.classes))), np.zeros(len(own))
    for begin in range(0, len(inputs), BATCH):
        rows = inputs[begin : begin + BATCH]
        with torch.inference_mode():
            x = normalise(torch.from_numpy(np.ascontiguousarray(pictures[rows])))
            output = model(x.squeeze(1) if view == "image" else x).float()
            found = (output if kept.about.value else torch.softmax(output, dim=-1)).double().numpy()
        place = answers[begin : begin + BATCH]
        np.add.at(total, place.ravel(), found.reshape(-1, found.shape[-1]))
        np.add.at(seen, place.ravel(), 1)
    scores = total / seen[:, None]
    return scores if kept.about.value else calibrated(scores, kept.about.temperature)


def _table(kept: Kept, medium: Medium, person: Person, scores: NDArray[np.float64]) -> pd.DataFrame:
    classes = kept.about.classes
    faces = [place.face for place in person.places]
    boxes = [(math.nan,) * 4 if face is None else tuple(round(each, 1) for each in face.box) for face in faces]
    rows: dict[str, Any] = {
        "input": [str(medium.file)] * len(faces),
        "second": [medium.seconds[p.frame] if medium.is_video else math.nan for p in person.places],
        "face": [person.number] * len(faces),
        **{name: [box[i] for box in boxes] for i, name in enumerate(("x", "y", "width", "height"))},
        "found": [math.nan if face is None else round(face.score, 4) for face in faces],
    }
    scores = scores.reshape(len(faces), len(classes))
    if kept.about.value:
        return pd.DataFrame({**rows, "value": scores[:, 0]})
    predicted = [classes[i] for i in scores.argmax(axis=1)] if len(faces) else []
    named = {name: scores[:, c].round(6) for c, name in enumerate(classes)}
    return pd.DataFrame({**rows, "predicted": predicted, **named})
