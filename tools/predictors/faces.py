"""What the scripts beside this one share: the faces that a template asks for, and the file of answers.

A script runs in the environment of its own tool, where ferbench is not installed: only NumPy and Pillow are needed here
(and PyAV where a data set is made of videos).
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BOX = ("face_x", "face_y", "face_width", "face_height")
ROUNDED = 0.05
"""How far probabilities that a tool has rounded may sum from 1."""

Answer = Mapping[str, float] | str | None
"""Scores by class name, or a class name alone, or None where the tool finds no face."""


def run(prepare: Callable[[argparse.Namespace], Callable[[Any], Answer]], **options: str) -> None:
    """Answers a template: `script.py TEMPLATE OUT DATA [--option VALUE]`.

    prepare: takes the arguments and returns what answers a face (H,W,3), RGB, uint8.
    options: name and help of what else the command line takes.
    """
    parser = argparse.ArgumentParser(description=(sys.modules["__main__"].__doc__ or "").strip().split("\n")[0])
    parser.add_argument("template", type=Path, help="what is asked, as `template` writes it (CSV)")
    parser.add_argument("out", type=Path, help="the CSV of answers to write")
    parser.add_argument("data", type=Path, help="folder of the data set")
    for name, text in options.items():
        parser.add_argument(f"--{name}", help=text)
    arguments = parser.parse_args()
    answer = prepare(arguments)
    with arguments.template.open(newline="", encoding="utf-8") as lines:
        asked = list(csv.DictReader(lines))
    rows = []
    for number, (sample, face) in enumerate(faces(asked, arguments.data), start=1):
        rows.append({"sample": sample, **as_columns(None if face is None else answer(face))})
        if number % 500 == 0:
            print(f"{number}/{len(asked)}", flush=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with arguments.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(rows)


def scores_of(model: str | None, named: str) -> Callable[[Any], Any]:
    """What an ONNX file answers to (1,C,H,W) pictures, (classes,).

    model: the file; named: what it is called where it comes from.
    """
    import onnxruntime

    if not model:
        raise SystemExit(f"name the file: --model {named}")
    network = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return lambda pictures: network.run(None, {network.get_inputs()[0].name: pictures})[0].ravel()


@contextmanager
def as_file(face: Any) -> Iterator[str]:
    """A face as a PNG file, for a tool that takes no array."""
    from PIL import Image

    with tempfile.TemporaryDirectory(prefix="faces-") as folder:
        Image.fromarray(face).save(f"{folder}/face.png")
        yield f"{folder}/face.png"


def as_columns(answer: Answer) -> dict[str, Any]:
    """One row of answers; probabilities that were rounded are divided by their sum."""
    if answer is None:
        return {}
    if isinstance(answer, str):
        return {"predicted": answer}
    total = sum(answer.values())
    rounded = min(answer.values()) >= 0 and abs(total - 1) <= ROUNDED
    return {name: float(value) / (total if rounded else 1) for name, value in answer.items()}


def faces(asked: list[dict[str, str]], data: Path) -> Iterator[tuple[str, Any]]:
    """The name of each sample and the face of its last frame (H,W,3), RGB, uint8: what the box encloses, or all.

    None where there is no such picture.
    """
    for row in asked:
        try:
            face = picture(data, row["last_frame"])
        except OSError as error:  # a release that lacks a frame, or holds one that is damaged
            print(f"{row['sample']}: no answer: {error}", flush=True)
            face = None
        if face is not None and row.get(BOX[0]):
            x, y, width, height = (float(row[name]) for name in BOX)
            top, left = max(0, round(y)), max(0, round(x))
            face = face[top : max(top + 1, round(y + height)), left : max(left + 1, round(x + width))]
        yield row["sample"], face


def picture(data: Path, frame: str) -> Any:
    """A frame (H,W,3), RGB, uint8: a picture file, or `video#t=SECONDS`."""
    import numpy as np
    from PIL import Image, ImageOps

    file, _, second = frame.partition("#t=")
    if second:
        return video_frame(data / file, float(second))
    with Image.open(data / file) as opened:
        return np.array(ImageOps.exif_transpose(opened).convert("RGB"))


def video_frame(file: Path, second: float) -> Any:
    """The frame that a video shows at a time."""
    import av

    with av.open(str(file)) as video:
        stream = video.streams.video[0]
        begin = (stream.start_time or 0) * stream.time_base
        video.seek(int((begin + second) / stream.time_base), stream=stream)
        shown = None
        for frame in video.decode(stream):
            if shown is not None and frame.time is not None and frame.time - float(begin) > second + 1e-6:
                break
            shown = frame
        if shown is None:
            raise SystemExit(f"{file}: no frame at {second} s")
        return shown.to_ndarray(format="rgb24")
