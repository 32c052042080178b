"""A folder of one's own: pictures, videos or folders of frames, sorted into one folder a class. No code is needed.

    <root>/{train,val,test}/<class>/portrait.jpg               a picture: jpg, jpeg, png, bmp, webp
    <root>/{train,val,test}/<class>/clip.mp4                   a video: mp4, m4v, mov, avi, mkv, webm, flv
    <root>/{train,val,test}/<class>/clip/0001.jpg, 0002.jpg    a folder of frames, in the order of their numbers
    <root>/subjects.csv                                        who is seen (optional): columns path, subject

Each picture, video or folder of frames is a sample. Below a class, folders may be nested: one that holds pictures is a
sample, one that holds none is only a way to others (a link to a folder is not followed). `valid` and `validation` are
read like `val`. Without `test` the part `val` is the test part, and a validation part is cut from training. A file of
another kind is left out, with a note.

A `path` of subjects.csv is a file or a folder below the root; of several that fit, the longest counts. Without subjects
the board says that subject independence is unknown.

The classes are the names of the folders, in alphabetical order; one that is called `neutral` is the neutral class.
Videos are read `rate` times a second, by time stamp. The neutral reference of a pair is the first frame of the sample
itself (a picture is its own); with a neutral class `training_neutral` may be chosen instead.
"""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferbench.datasets.containment import path_inside, refuse_link_outside
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.spelling import csv_rows, is_shown
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import sequence_units
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.video import frame_name, is_video, read_duration, sample_times

PARTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""Name of a top folder -> what the harness calls the part."""
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
SUBJECTS = "subjects.csv"
DEEPEST = 32
"""Folders within one another below that of a class."""
TWIN_CLASSES = ("Happiness", "Neutral", "Sadness", "Surprise")
TWIN_PEOPLE = {"train": 60, "val": 20, "test": 20}


@dataclass(frozen=True)
class Item:
    """A sample: its place below the root, its class, and its frames in order."""

    path: str
    part: str
    label: str
    frames: tuple[str, ...]


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the folder.

    Raises:
        DataError: no part, no class or no sample; a part without a class that it needs; a
            link or a path of subjects.csv that leads out; a subjects.csv that cannot be used.
    """
    rate = protocol.options["rate"]
    if rate < 1:
        raise DataError(f"folder: protocol rate must be at least 1 frame a second, not {rate}")
    left_out: list[str] = []
    items = [item for part in part_folders(root) for item in items_of(root, part, rate, left_out)]
    refuse_unlearned(root, items)
    subjects = read_subjects(root)
    subject = tuple(subject_of(item.path, subjects) for item in items)
    tested = "test" if any(item.part == "test" for item in items) else "validation"
    classes = tuple(sorted({item.label for item in items}))
    neutral = [code for code, name in enumerate(classes) if name.lower() == "neutral"]
    bounds = np.cumsum([0, *(len(item.frames) for item in items)]).astype(np.int64)
    return Corpus(
        dataset="folder",
        root=root,
        classes=classes,
        frames=tuple(frame for item in items for frame in item.frames),
        track_start=bounds,
        track_subject=subject,
        sample_id=tuple(item.path for item in items),
        track=np.arange(len(items)),
        start=bounds[:-1],
        stop=bounds[1:],
        label=np.array([classes.index(item.label) for item in items], dtype=np.int64),
        part=tuple("test" if item.part == tested else item.part for item in items),
        notes=tuple(notes_of(items, left_out, subjects, subject)),
        neutral_class=neutral[0] if neutral else None,
    )


def part_folders(root: Path) -> list[Path]:
    """The folders of the parts.

    Raises:
        DataError: there is no `train`, nothing to test on, or two folders for one part.
    """
    found = [folder for folder in sorted(root.iterdir()) if folder.name in PARTS and folder.is_dir()]
    parts = [PARTS[folder.name] for folder in found]
    if "train" not in parts or len(set(parts)) < 2:
        raise DataError(f"{root}: expected train/<class>/... and test/<class>/... (val/ too, where there is one)")
    twice = [part for part, count in Counter(parts).items() if count > 1]
    if twice:
        names = " and ".join(folder.name for folder in found if PARTS[folder.name] == twice[0])
        raise DataError(f"{root}: {names} are both the {twice[0]} part: join them")
    return found


def items_of(root: Path, part: Path, rate: int, left_out: list[str]) -> Iterator[Item]:
    """Samples of a part, class by class; files that are neither picture nor video are added to `left_out`."""
    refuse_link_outside(root, part)
    for entry in sorted(part.iterdir()):
        if entry.name.startswith("."):
            continue
        refuse_link_outside(root, entry)
        if not entry.is_dir():
            left_out.append(entry.relative_to(root).as_posix())
            continue
        for path, frames in samples_below(root, entry, rate, left_out):
            yield Item(path, PARTS[part.name], entry.name, frames)


def samples_below(
    root: Path, folder: Path, rate: int, left_out: list[str], depth: int = 0
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Path and frames of each sample of a folder; pictures are samples at the top and frames of one below it."""
    pictures = []
    place = folder.relative_to(root).as_posix()
    if depth > DEEPEST:
        raise DataError(f"{root}: more than {DEEPEST} folders within one another below {place[:60]}...: move them up")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: by_number(entry.name)):
            path = f"{place}/{entry.name}"
            if entry.is_symlink():
                refuse_link_outside(root, Path(entry.path))
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from samples_below(root, Path(entry.path), rate, left_out, depth + 1)
            elif not is_shown(Path(entry.path)):
                left_out.append(path)
            elif is_video(entry.name):
                yield path, tuple(frame_name(path, time) for time in times_of(Path(entry.path), rate))
            elif entry.name.lower().endswith(PICTURES):
                pictures.append(path)
            else:
                left_out.append(path)
    if depth == 0:
        yield from ((picture, (picture,)) for picture in pictures)
    elif pictures:
        yield place, tuple(pictures)


def times_of(video: Path, rate: int) -> list[float]:
    """Seconds of the frames that are taken; of a video that cannot be decoded its start, which is counted as lost."""
    try:
        length = read_duration(video)
    except DataError:
        length = 0
    return sample_times(length, rate).tolist()


def by_number(name: str) -> list[tuple[str, int]]:
    """Sorting key under which `frame2` comes before `frame10`."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def refuse_unlearned(root: Path, items: list[Item]) -> None:
    """Raises DataError where there are no two classes, or one is tested and never learned (often a misspelling)."""
    learned = {item.label for item in items if item.part == "train"}
    unlearned = sorted({item.label for item in items} - learned)
    if unlearned:
        raise DataError(f"{root}: the class {unlearned[0]!r} is not in train/, which has "
                        f"{', '.join(sorted(learned)) or 'none'}: name it alike in every part")  # fmt: skip
    if len(learned) < 2:
        raise DataError(f"{root}/train: {len(learned)} classes with a picture or a video: there must be two at least")


def read_subjects(root: Path) -> dict[str, str]:
    """Who is seen in each file or folder that subjects.csv names; empty where there is no such file.

    Raises:
        DataError: it is not UTF-8, lacks a column, names a path twice or one outside the folder.
    """
    file = root / SUBJECTS
    if not file.is_file():
        return {}
    found: dict[str, str] = {}
    for line, row in csv_rows(file, ("path", "subject")):
        where = f"{file}, line {line}"
        path, subject = row.get("path", "").strip(), row.get("subject", "").strip()
        if not path or not subject:
            raise DataError(f"{where}: a path or a subject is missing: give both")
        path = path_inside(root, path, where)
        if path in found:
            raise DataError(f"{where}: {path!r} is there already: name each file or folder once")
        found[path] = subject
    return found


def subject_of(path: str, subjects: dict[str, str]) -> str | None:
    """Who is seen in a sample: the entry of its path, or of the nearest folder above it."""
    while path:
        if path in subjects:
            return subjects[path]
        path = path.rpartition("/")[0]
    return None


def notes_of(
    items: list[Item], left_out: list[str], subjects: dict[str, str], subject: tuple[str | None, ...]
) -> Iterator[str]:
    """What a reader of the board must know of the folder."""
    if left_out:
        yield f"{len(left_out)} files are neither a picture nor a video ({left_out[0]} first): left out"
    if all(item.part != "test" for item in items):
        yield "no test/: val/ is the test part, and the validation part is cut from training"
    if not subjects:
        return
    unnamed = [item.path for item, who in zip(items, subject, strict=True) if who is None]
    if unnamed:
        yield f"{len(unnamed)} of {len(items)} samples have no subject in {SUBJECTS} ({unnamed[0]} first)"
    there = {item.path for item in items}
    above = {path[:i] for path in there for i, letter in enumerate(path) if letter == "/"}
    unused = sorted(subjects.keys() - there - above)
    if unused:
        yield f"{len(unused)} entries of {SUBJECTS} name no sample ({unused[0]} first)"


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: `scale` x 60, 20 and 20 people, each with every class once: a picture, a video or a frame folder."""
    shots, rows = [], []
    for part, count in TWIN_PEOPLE.items():
        for i in range(max(3, round(count * scale))):
            person = f"{part}-{i:03d}"
            for number, emotion in enumerate(TWIN_CLASSES):
                names = ("folder", seed, part, i)
                rng = np.random.default_rng(number_of("performance", *names, emotion))
                path, files = twin_files(f"{part}/{emotion}/{person}", kind=(i + number) % 3)
                units = sequence_units(emotion, 16, rng, strength=float(rng.uniform(0.6, 1.0)))
                shots.append(
                    Shot(
                        identity=number_of("twin", *names),
                        units=units[-len(files) :],
                        scene=number_of("scene", *names, emotion),
                        files=files,
                        style="talk",
                    )
                )
                rows.append((path, person))
    return Film("folder", scale, seed, tuple(shots), annotate=lambda root: write_subjects(root, rows))


def twin_files(stem: str, kind: int) -> tuple[str, tuple[str, ...]]:
    """Path of a sample of the twin and its frames: a picture, a video of two seconds, or a folder of frames."""
    if kind == 0:
        return f"{stem}.jpg", (f"{stem}.jpg",)
    if kind == 1:
        return f"{stem}.mp4", tuple(frame_name(f"{stem}.mp4", i / 8) for i in range(16))
    return stem, tuple(f"{stem}/{i:04d}.jpg" for i in range(1, 17))


def write_subjects(root: Path, rows: list[tuple[str, str]]) -> None:
    """Writes subjects.csv."""
    with (root / SUBJECTS).open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([("path", "subject"), *rows])


DATASET = DataSet(
    name="folder",
    title="Folder",
    source="your own",
    licence="your own",
    classes=(),
    protocol=Protocol(folds=1, image_frames=3, neutral="first_frame", options={"rate": 8}),
    official_counts={},
    marks=("train", "val", "test"),
    layouts=("folders",),
    read=read,
    film=film,
    optional=True,
)
