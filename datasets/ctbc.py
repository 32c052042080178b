"""CTBC: ten subjects, seven expressions, filmed by several cameras at once.

A private data set of MISLAB, National Tsing Hua University, which jerry940100/Facial-Expression-Recognition on GitHub
used: 16,081 images of camera 2, the frontal one. No layout is public. This project reads

    CTBC/cam2/<subject>/<Expression>/NNNNN.jpg

where `<Expression>` is one of the seven class names and NNNNN the number of the frame in its recording; the top folder
`CTBC` may be left out.

Protocol: camera 2 unless told otherwise; ten folds, each leaves one subject out. A sample is one image. All images of
one folder are one recording (a track) in the order of their numbers, and a number that is missing keeps its place; a
clip sees the frames around its image within the recording. The neutral reference of a pair is the subject's enrolment
image, the first of the folder `Neutral`: it is no sample, so it is neither trained on nor scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Skipped
from ferbench.datasets.numbered_frames import numbered_images
from ferbench.datasets.spelling import folders_in
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import add_blinks, add_speech, sequence_units
from ferbench.datasets.synthetic.film import Film, Shot

CLASSES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
SUBJECTS = 10
IMAGES = 16_081
"""Images of camera 2 that the source used."""
CAMERAS = {1: -0.5, 2: 0.0, 3: 0.5}
"""Cameras of the twin: how far each stands to the side, in radians."""
MISPOSED = 0.1
"""Share of the twin's takes in which any expression may be shown instead of the one that was asked for."""


@dataclass(frozen=True)
class Recording:
    """One folder of images: paths below the root by frame number."""

    subject: str
    label: int
    paths: dict[int, str]

    @property
    def name(self) -> str:
        """`<subject>/<Expression>`."""
        return f"{self.subject}/{CLASSES[self.label]}"


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens one camera.

    Raises:
        DataError: the camera is not there, a subject lacks an expression, or a name cannot be understood.
    """
    base = camera_folder(root, protocol.options["camera"])
    subjects = sorted(folder for folder in base.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not subjects:
        raise DataError(f"{base}: no subject folders: expected {base.name}/<subject>/<Expression>/00001.jpg")
    skipped = Skipped("recordings")
    recordings = [recording for subject in subjects for recording in recordings_of(subject, root, skipped)]
    left_out = skipped.notes(len(recordings), root)
    lengths = [max(r.paths) - min(r.paths) + 1 for r in recordings]
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = {r.subject: int(bounds[t]) for t, r in enumerate(recordings) if CLASSES[r.label] == "Neutral"}
    enrolment = np.array([first[r.subject] for r in recordings], dtype=np.int64)
    samples = [  # the enrolment image is none
        (t, bounds[t] + number - min(r.paths), f"{r.name}/{number:05d}")
        for t, r in enumerate(recordings) for number in r.paths if bounds[t] + number - min(r.paths) != enrolment[t]
    ]  # fmt: skip
    track = np.array([t for t, _, _ in samples], dtype=np.int64)
    place = np.array([at for _, at, _ in samples], dtype=np.int64)
    return Corpus(
        dataset="ctbc",
        root=root,
        classes=CLASSES,
        frames=tuple(path for r in recordings for path in frames_of(r)),
        track_start=bounds,
        track_subject=tuple(r.subject for r in recordings),
        sample_id=tuple(name for _, _, name in samples),
        track=track,
        start=place,
        stop=place + 1,
        label=np.array([r.label for r in recordings], dtype=np.int64)[track],
        part=("",) * len(samples),
        notes=left_out,
        neutral_class=0,
        track_neutral=enrolment,
    )


def camera_folder(root: Path, camera: int) -> Path:
    """The folder that holds the subjects of a camera.

    Raises:
        DataError: there is none; names the cameras that there are.
    """
    for folder in (root / "CTBC" / f"cam{camera}", root / f"cam{camera}"):
        if folder.is_dir():
            refuse_link_outside(root, folder.parent)
            refuse_link_outside(root, folder)
            return folder
    cameras = sorted(folder.name for top in (root, root / "CTBC") for folder in top.glob("cam*") if folder.is_dir())
    there = f"there are {', '.join(cameras)}" if cameras else f"expected CTBC/cam{camera}/<subject>/<Expression>/"
    raise DataError(f"{root}: no camera {camera} of CTBC: {there}")


def recordings_of(subject: Path, root: Path, skipped: Skipped) -> list[Recording]:
    """The seven recordings of a subject, in the order of the classes; one that is not there is counted.

    Raises:
        DataError: the neutral recording, which enrols the subject, is missing or without images; a folder has a name
            that is not one of the seven.
    """
    refuse_link_outside(root, subject)
    folders = folders_in(subject, root)
    unknown = sorted(folders.keys() - {name.lower() for name in CLASSES})
    if unknown:
        raise DataError(f"{folders[unknown[0]]}: not an expression of CTBC: rename it to one of {', '.join(CLASSES)}")
    recordings = []
    for label, emotion in enumerate(CLASSES):
        folder = folders.get(emotion.lower(), subject / emotion)
        images = numbered_images(folder, root) if folder.is_dir() else {}
        if not images:
            fault = f"{folder}: no images of this expression: the copy of CTBC is incomplete; copy it again"
            if emotion == "Neutral":
                raise DataError(fault)
            skipped.add(fault)
            continue
        below = folder.relative_to(root).as_posix()
        recordings.append(Recording(subject.name, label, {n: f"{below}/{name}" for n, name in images.items()}))
    return recordings


def frames_of(recording: Recording) -> list[str]:
    """Paths from the first number to the last; one that is missing in between keeps its place."""
    path = Path(next(iter(recording.paths.values())))
    numbers = range(min(recording.paths), max(recording.paths) + 1)
    return [recording.paths.get(n, f"{path.parent.as_posix()}/{n:05d}{path.suffix}") for n in numbers]


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: ten subjects at any scale, `scale` x the images of each, the same performance before three cameras."""
    shots = []
    for subject in range(1, SUBJECTS + 1):
        names = ("ctbc", seed, subject)
        rng = np.random.default_rng(number_of("performance", *names))
        strength = float(np.clip(rng.normal(0.58, 0.12), 0.4, 0.85))
        session = [(emotion, *recording(emotion, scale, strength, rng)) for emotion in CLASSES]
        for camera, yaw in CAMERAS.items():
            folder = f"CTBC/cam{camera}/S{subject:02d}"
            shots.append(
                Shot(
                    identity=number_of("twin", *names),
                    units=np.concatenate([units for _, units, _ in session]),
                    scene=number_of("scene", *names),
                    files=tuple(
                        f"{folder}/{emotion}/{n:05d}.jpg" if seen else ""
                        for emotion, _, kept in session
                        for n, seen in enumerate(kept, start=1)
                    ),
                    style="talk",
                    yaw=yaw,
                )
            )
    return Film("ctbc", scale, seed, tuple(shots), annotate=lambda _: None)


def recording(
    emotion: str, scale: float, strength: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], list[bool]]:
    """Action units (T,A) of a recording, and whether each of its frames is there: a few numbers are missing.

    An expression is shown again and again, and the frames between two of them are left out, as they are where a
    recording is cut into images of one class. The first take of the neutral recording, which enrols the subject, is
    never mistaken.
    """
    frames = max(3, round(IMAGES / SUBJECTS / len(CLASSES) * scale * rng.uniform(0.85, 1.15)))
    takes: list[NDArray[np.float32]] = []
    for take in np.array_split(np.arange(frames), max(2, round(frames / 30))):
        mistaken = rng.random() < MISPOSED and (takes or emotion != "Neutral")
        shown = CLASSES[rng.integers(len(CLASSES))] if mistaken else emotion
        whole = round(len(take) / 0.7) + 2
        power = float(np.clip(strength * rng.normal(1, 0.2), 0.3, 1))
        units = sequence_units(shown, whole, rng, power, "onset_apex_offset", blinks=0)
        start = round(0.17 * whole)
        takes.append(units[start : start + len(take)])
    spoken = add_speech(np.concatenate(takes), rng, 0.25)
    return add_blinks(spoken, rng), [n == 0 or rng.random() > 0.02 for n in range(frames)]


DATASET = DataSet(
    name="ctbc",
    title="CTBC",
    source="MISLAB, National Tsing Hua University; github.com/jerry940100/Facial-Expression-Recognition",
    licence="private",
    classes=CLASSES,
    protocol=Protocol(folds=10, image_frames=1, neutral="enrolment_frame", context=8, options={"camera": 2}),
    official_counts={"subjects": SUBJECTS, "samples": IMAGES - SUBJECTS},
    marks=("CTBC", "cam*"),
    layouts=("cam",),
    sparse=True,
    read=read,
    film=film,
)
