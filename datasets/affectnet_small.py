"""AffectNet small: a tenth of AffectNet's training images, eight classes, tested on the 4,000 validation images.

Mollahosseini, Hasani, Mahoor: "AffectNet", IEEE Transactions on Affective Computing 10(1), 2019 (arXiv 1708.03985).
The tenth is that of github.com/jerry940100/Facial-Expression-Recognition: 28,762 images. Both releases are read:

    AffectNet8 (2021):   {train_set,val_set}/images/<id>.jpg, {train_set,val_set}/annotations/<id>_exp.npy
    first release:       training.csv, validation.csv; Manually_Annotated_Images/689/<hex>.jpg

In the first release a face is a box in a photograph, and one photograph may hold several; codes 8 (None), 9
(Uncertain), 10 (No-Face) and boxes of negative width are skipped. A face is cut out by its landmarks: a square whose
side is 1.3 times the longer side of the rectangle around the 68 points, with the middle of that rectangle at 57% of
its height, so that it holds brows, chin and some of the forehead. Where a row has no landmarks, or their middle lies
outside its box, the box is cut out. The images of the release of 2021 are crops already and are used as they are.

Protocol: official parts. Of the whole release (every training count within 1% of it) a tenth of each training class
is drawn: the floor of a tenth of its count, the images first in the order of a hash of their names. A folder that is
not the whole release (a twin, a sample of one's own) is used as it is. AffectNet names no subjects, and it has no
neutral image of each person: the neutral reference of a pair is a training neutral, chosen by the hash of the sample's
name.
"""

from __future__ import annotations

import ast
import csv
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import FEW_FILES, MOST_FRAMES, ItemError, Skipped
from ferbench.datasets.spelling import csv_rows, pictures_in, whole_number
from ferbench.datasets.splits import stable_rank
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import expression_units
from ferbench.datasets.synthetic.film import Film, Shot

CLASSES = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Contempt")
TRAIN_COUNTS = (74_874, 134_415, 25_459, 14_090, 6_378, 3_803, 24_882, 3_750)
"""Training images of the whole release, in code order."""
VALIDATION_COUNTS = (500, 500, 500, 500, 500, 500, 500, 499)
SMALL_COUNTS = tuple(count // 10 for count in TRAIN_COUNTS)
"""7,487 / 13,441 / 2,545 / 1,409 / 637 / 380 / 2,488 / 375: 28,762 in all."""
FOLDERS = (("train_set", "train"), ("val_set", "test"))
PARTS = (("training.csv", "train"), ("validation.csv", "test"))
IMAGES = "Manually_Annotated_Images"
COLUMNS = ("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "expression")
LANDMARKS = "facial_landmarks"
POINTS = 68
CROP_SIDE, CROP_MIDDLE = 1.3, 0.57
"""Side of the crop against the longer side of the rectangle around the landmarks; height in it of their middle."""
LABEL_NOISE = 0.08
"""Share of each class of the twin that shows another expression; annotators of the original agree on 61% of images."""


Box = tuple[float, float, float, float]
"""x, y, width and height in pixels."""


@dataclass(frozen=True)
class Face:
    """A labelled face: its image below the root, its code and its box (None: the whole image)."""

    path: str
    code: int
    part: str
    box: Box | None = None
    crop: Box | None = None
    """What is cut out of the image, where that is not the box."""

    @property
    def name(self) -> str:
        """Name of the sample: the image, and the box where a photograph may hold several faces."""
        return self.path if self.box is None else f"{self.path}@{','.join(map(str, self.box))}"


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens either release.

    Raises:
        DataError: neither release is there, it is half copied, or an annotation cannot be used.
    """
    skipped = Skipped("annotations")
    if (root / "train_set").is_dir() and (root / "val_set").is_dir():
        faces = [face for folder, part in FOLDERS for face in npy_faces(root, folder, part, skipped)]
    elif (root / "training.csv").is_file() and (root / "validation.csv").is_file():
        faces = located(root, [face for file, part in PARTS for face in csv_faces(root, file, part, skipped)])
    else:
        raise DataError(f"{root}: no AffectNet here: expected train_set/ and val_set/ (2021 release), or training.csv, "
                        f"validation.csv and {IMAGES}/ (first release)")  # fmt: skip
    left_out = skipped.notes(len(faces), root)
    faces, share = draw_small(faces, protocol.options["fraction"])
    if not faces:
        raise DataError(f"{root}: no labelled face: the copy of AffectNet is incomplete")
    bounds = np.arange(len(faces) + 1)
    refuse_links(root, faces)
    boxes = [face.crop or face.box for face in faces if face.box is not None]
    return keep_present_classes(
        Corpus(
            dataset="affectnet_small",
            root=root,
            classes=CLASSES,
            frames=tuple(face.path for face in faces),
            track_start=bounds,
            track_subject=(None,) * len(faces),
            sample_id=tuple(face.name for face in faces),
            track=bounds[:-1],
            start=bounds[:-1],
            stop=bounds[1:],
            label=np.array([face.code for face in faces], dtype=np.int64),
            part=tuple(face.part for face in faces),
            boxes=np.array(boxes) if boxes else None,
            notes=(f"{share:.0%} of each training class of the folder", *left_out),
            neutral_class=0,
        )
    )


def npy_faces(root: Path, folder: str, part: str, skipped: Skipped) -> Iterator[Face]:
    """Faces of one part of the 2021 release, in the order of their ids."""
    images = pictures_in(root / folder / "images", root)
    annotations = root / folder / "annotations"
    notes = names_in(annotations, "_exp.npy")
    unmatched = sorted(images.keys() ^ notes)
    if not images or not notes or len(unmatched) > max(FEW_FILES, MOST_FRAMES * len(images.keys() | notes)):
        name = unmatched[0] if unmatched else "any"
        raise DataError(f"{root / folder}: {len(images)} images but {len(notes)} annotations ({name} has only one of "
                        "the two): the copy of AffectNet is incomplete; copy it again")  # fmt: skip
    codes = codes_of(str(annotations), annotations.stat().st_mtime_ns)
    for name in sorted(notes):
        if isinstance(codes[name], str):
            skipped.add(str(codes[name]))
        elif int(codes[name]) < len(CLASSES):
            yield Face(f"{folder}/images/{images.get(name, f'{name}.jpg')}", int(codes[name]), part)


def names_in(folder: Path, ending: str) -> set[str]:
    """Names of the files of a folder with this ending, without it; no name where there is no folder."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:
        return {entry.name.removesuffix(ending) for entry in entries if entry.name.endswith(ending) and entry.is_file()}


@lru_cache(maxsize=4)
def codes_of(annotations: str, changed: int) -> dict[str, int | str]:
    """Expression codes in a folder of annotations by name, or what is wrong with the file; kept while the folder does
    not change (`changed`).

    A process that runs many cells reads the 290,000 files of the release once.
    """
    codes: dict[str, int | str] = {}
    for name in names_in(Path(annotations), "_exp.npy"):
        try:
            codes[name] = npy_code(f"{annotations}/{name}_exp.npy")
        except ItemError as error:
            codes[name] = str(error)
    return codes


def npy_code(file: str) -> int:
    """Expression code in an annotation of the 2021 release (an array of no dimension, often of text)."""
    try:
        with open(file, "rb", buffering=0) as raw:
            content = raw.read(4096)
        value = scalar_of(content)
        code = whole_number(value.decode() if isinstance(value, bytes) else str(value))
    except Exception as error:  # a damaged header can raise anything
        raise ItemError(f"{file}: not an expression code: {str(error)[:200]}: copy the file again") from None
    if not 0 <= code <= 10:
        raise ItemError(f"{file}: expression {code} is out of range: codes are 0 to 10")
    return code


def scalar_of(content: bytes) -> Any:
    """The only value in the bytes of an npy file. `numpy.load` does the same, five times slower."""
    if content[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("not an npy file of version 1")
    end = 10 + int.from_bytes(content[8:10], "little")
    return np.frombuffer(content, dtype_of(content[10:end]), count=1, offset=end)[0]


@lru_cache(maxsize=32)
def dtype_of(header: bytes) -> np.dtype[Any]:
    """Type of the values that the header of an npy file of one value names."""
    found = ast.literal_eval(header.decode("latin1"))
    dtype = np.dtype(found["descr"])
    if math.prod(found["shape"]) != 1 or dtype.hasobject:
        raise ValueError("not one number or text")
    return dtype


def csv_faces(root: Path, file: str, part: str, skipped: Skipped) -> Iterator[Face]:
    """Faces of one part of the first release, in the order of the file. A row of it has a box of `NULL`."""
    for line, row in csv_rows(root / file, COLUMNS):
        try:
            face = csv_face(root / file, line, row, part)
        except ItemError as error:
            skipped.add(error)
            continue
        if face is not None:
            yield face


def csv_face(file: Path, line: int, row: dict[str, str], part: str) -> Face | None:
    """The face of a row; None where it has no expression or no box."""
    try:
        code = whole_number(row["expression"])
        x, y, width, height = (float(row[column.lower()]) for column in COLUMNS[1:5])
    except (KeyError, ValueError):
        raise ItemError(f"{file}, line {line}: a number cannot be read: copy the file again") from None
    if not 0 <= code <= 10:
        raise ItemError(f"{file}, line {line}: expression {code} is out of range: codes are 0 to 10")
    if code >= len(CLASSES) or not (width > 0 and height > 0):
        return None
    path, box = image_path(file, line, row[COLUMNS[0].lower()]), (x, y, width, height)
    return Face(path, code, part, box, landmark_crop(file, line, row.get(LANDMARKS) or "", box))


def landmark_crop(file: Path, line: int, written: str, box: Box) -> Box | None:
    """The square around the landmarks of a row; None where there are none, or they are not those of the box."""
    if not written.strip():
        return None
    try:
        points = np.array(written.split(";"), dtype=np.float64).reshape(POINTS, 2)
    except ValueError:
        raise ItemError(f"{file}, line {line}: {LANDMARKS} are not {POINTS} pairs of numbers: copy the file again") from None  # fmt: skip # noqa: E501
    low, high = points.min(axis=0), points.max(axis=0)
    (x, y), side = (low + high) / 2, CROP_SIDE * (high - low).max()
    if not (side > 0 and box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]):
        return None
    return float(x - side / 2), float(y - CROP_MIDDLE * side), float(side), float(side)


def image_path(file: Path, line: int, written: str) -> str:
    """Path below the root of an image named in a CSV file; refuses one that leads out of the data folder."""
    path = Path(written.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{file}, line {line}: {written!r} leads out of the data folder: copy the file again")
    return f"{IMAGES}/{path.as_posix()}"


def located(root: Path, faces: list[Face]) -> list[Face]:
    """The faces, each with the file that its image lies in: its ending may be spelled otherwise than the CSV file says.

    Raises:
        DataError: more than 1% of the images that a CSV file names are not there.
    """
    listed: dict[str, dict[str, str]] = {}

    def file_of(face: Face) -> Face | None:
        if (root / face.path).is_file():
            return face
        folder, _, name = face.path.rpartition("/")
        if folder not in listed:
            listed[folder] = pictures_in(root / folder, root)
        same = listed[folder].get(name.rpartition(".")[0])
        return replace(face, path=f"{folder}/{same}") if same else None

    found = [file_of(face) for face in faces]
    missing = [face.path for face, there in zip(faces, found, strict=True) if there is None]
    if len(missing) > max(FEW_FILES, MOST_FRAMES * len(faces)):
        raise DataError(f"{root}: {len(missing)} of {len(faces)} images are missing, {missing[0]} first: the copy of "
                        "AffectNet is incomplete; copy it again")  # fmt: skip
    return [there or face for face, there in zip(faces, found, strict=True)]


def refuse_links(root: Path, faces: list[Face]) -> None:
    """Raises DataError where an image, or a folder above it, is a link that leads out of the data folder."""
    folders = {parent for face in faces for parent in PurePosixPath(face.path).parents if parent.name}
    for path in [*sorted(map(str, folders)), *(face.path for face in faces)]:
        refuse_link_outside(root, root / path)


def draw_small(faces: list[Face], fraction: float) -> tuple[list[Face], float]:
    """The faces to use and the share of each training class that they are.

    A fraction of 0 is the rule of the protocol: a tenth of the whole release, all of any other folder.
    """
    train = [face for face in faces if face.part == "train"]
    count = Counter(face.code for face in train)
    whole = all(abs(count[code] - official) <= 0.01 * official for code, official in enumerate(TRAIN_COUNTS))
    share = fraction or (0.1 if whole else 1.0)
    if share == 1.0:
        return faces, share
    kept: set[str] = set()
    for code in range(len(CLASSES)):
        names = [face.name for face in train if face.code == code]
        order = stable_rank(names, salt="AffectNet small")
        kept.update(names[i] for i in order[: int(share * len(names))])
    return [face for face in faces if face.part == "test" or face.name in kept], share


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the counts of AffectNet small, every face another person, photographed anywhere."""
    shots, notes = [], []
    of_test = scale if test_scale is None else test_scale
    for part, counts, share in (("train", SMALL_COUNTS, scale), ("test", VALIDATION_COUNTS, of_test)):
        codes = np.repeat(np.arange(len(CLASSES)), [max(2, round(count * share)) for count in counts])
        for i, code in enumerate(codes):
            name = number_of("affectnet_small", seed, part, i)
            rng = np.random.default_rng(name)
            mistaken = rng.random() < LABEL_NOISE
            shown = (code + rng.integers(1, len(CLASSES))) % len(CLASSES) if mistaken else code
            units = expression_units(CLASSES[shown], rng, strength=float(np.clip(rng.normal(0.9, 0.15), 0.45, 1.0)))
            path = image_file(layout, part, i, name)
            margin = 12 if layout == "first" else 0
            notes.append(Face(path, int(code), part, (margin, margin, 64, 64)))
            shots.append(
                Shot(
                    number_of("twin", name),
                    units[None],
                    number_of("scene", name),
                    (path,),
                    "wild",
                    margin=(margin, margin),
                )
            )
    writer = {"affectnet8": write_npy, "first": write_csv}[layout]
    return Film(
        "affectnet_small", scale, seed, tuple(shots), lambda root: writer(root, notes, landmarks_of(shots)),
        test_scale=test_scale,
    )  # fmt: skip


def landmarks_of(shots: list[Shot]) -> NDArray[np.float32]:
    """(N,136) x and y of the 68 points of each face of the twin, one after the other, in pixels of its file."""
    from ferbench.datasets.synthetic.writer import shown_landmarks

    return shown_landmarks(shots, 64).reshape(len(shots), 2 * POINTS)


def image_file(layout: str, part: str, i: int, name: int) -> str:
    """Path of the twin's i-th image of a part, as the release would call it."""
    if layout == "affectnet8":
        return f"{'train_set' if part == 'train' else 'val_set'}/images/{i}.jpg"
    return f"{IMAGES}/{i % 1000}/{name:056x}.jpg"


def write_npy(root: Path, faces: list[Face], landmarks: NDArray[np.float32]) -> None:
    """Annotations of the 2021 release. Valence and arousal are -2, which the release uses for 'unknown'."""
    for face, points in zip(faces, landmarks, strict=True):
        folder, _, image = face.path.split("/")
        stem = root / folder / "annotations" / Path(image).stem
        stem.parent.mkdir(parents=True, exist_ok=True)
        for kind, value in (("exp", str(face.code)), ("val", "-2"), ("aro", "-2"), ("lnd", points.astype(np.float64))):
            np.save(f"{stem}_{kind}.npy", np.array(value))


def write_csv(root: Path, faces: list[Face], landmarks: NDArray[np.float32]) -> None:
    """Annotation files of the first release."""
    header = (*COLUMNS[:5], LANDMARKS, "expression", "valence", "arousal")
    for part, file in (("train", "training.csv"), ("test", "validation.csv")):
        with (root / file).open("w", encoding="utf-8", newline="") as lines:
            table = csv.writer(lines)
            table.writerow(header)
            for face, points in zip(faces, landmarks, strict=True):
                if face.part == part:
                    path, joined = face.path.removeprefix(f"{IMAGES}/"), ";".join(f"{value:.2f}" for value in points)
                    table.writerow([path, *(face.box or ()), joined, face.code, -2, -2])


DATASET = DataSet(
    name="affectnet_small",
    title="AffectNet small",
    source="Mollahosseini et al., arXiv 1708.03985; the tenth of github.com/jerry940100/Facial-Expression-Recognition",
    licence="on request from the University of Denver; research only",
    classes=CLASSES,
    protocol=Protocol(folds=1, image_frames=1, neutral="training_neutral", options={"fraction": 0.0}),
    official_counts={"train samples": sum(SMALL_COUNTS), "test samples": sum(VALIDATION_COUNTS)},
    marks=("train_set", "val_set", "training.csv", "validation.csv"),
    layouts=("affectnet8", "first"),
    official_test=True,
    read=read,
    film=film,
)
