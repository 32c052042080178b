"""Oulu-CASIA NIR&VIS: 80 subjects, six posed expressions, each a sequence from neutral to apex.

Zhao, Huang, Taini, Li, Pietikäinen: "Facial expression recognition from near-infrared videos", Image and Vision
Computing 29(9), 2011. Layout as released (index from 0, three digits, 25 frames a second):

    OriginalImg/{VL,NI}/{Strong,Weak,Dark}/P001..P080/{Anger,...,Surprise}/000.jpeg      320x240
    PreProcess_Img/{VL,NI}_Acropped/{Strong,Weak,Dark}/P001/Anger/000.jpeg               aligned crops

`PreProcessImg` and `PreProcess` are accepted too, and so is a mirror without the top folder (`VL/Strong/P001/...`).
The crops are read where both trees are there. Of an original image the centred square is read.

Protocol: one modality and light (VL/Strong unless told otherwise); a sample is a whole sequence. Clips see it all;
images and pairs see its last three frames, whose scores are averaged. Ten folds by subject, `subjects[i::10]`: subjects
are numbered without a gap, so that a subject's fold is the same in every modality and light. The neutral reference is
the sequence's first frame.

Other protocols of the field are options. `sample: last_3`: each of the last three frames is a sample of its own (1,440
images). `classes: six+neutral`: the first frame of each sequence is a sample of a seventh class, and no part of the
expression's. It would be its own neutral reference, so the rule is `enrolment_frame` then: the first frame of the
subject's next sequence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.numbered_frames import next_first_frames, numbered_images
from ferbench.datasets.spelling import folders_in
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import sequence_units
from ferbench.datasets.synthetic.film import Film, Shot

CLASSES = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
MODALITIES = ("VL", "NI")
LIGHTS = ("Strong", "Weak", "Dark")
LAYOUTS = ("cropped", "original")
SAMPLES = ("sequence", "last_3")
CLASS_MAPS = {"six": CLASSES, "six+neutral": (*CLASSES, "Neutral")}
LAST = 3
"""Frames of the protocol that takes the last ones as samples."""
SUBJECTS = 80
MISPOSED = 0.06
"""Share of the twin's performances that show any of the six expressions instead of the one that was asked for."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens either official tree.

    Raises:
        DataError: no tree for the modality and light, a subject is missing, more sequences are than chance explains, or
            the neutral rule does not go with the classes.
    """
    base = find_tree(root, protocol.options["modality"], protocol.options["light"])
    sequences, skipped = [], Skipped("sequences")
    for name, folder in subject_folders(root, base):
        for label, emotion in enumerate(CLASSES):
            try:
                sequences.append(Sequence(name, label, found_files(root, folder, emotion)))
            except ItemError as error:
                skipped.add(error)
    left_out = skipped.notes(len(sequences), root)
    bounds = np.concatenate([[0], np.cumsum([len(s.files) for s in sequences])]).astype(np.int64)
    samples = [(t, *sample) for t, s in enumerate(sequences) for sample in samples_of(s, protocol)]
    track = np.array([t for t, *_ in samples], dtype=np.int64)
    place = np.array([(start, stop) for _, _, start, stop, _ in samples], dtype=np.int64)
    with_neutral = protocol.options["classes"] == "six+neutral"
    if with_neutral and protocol.neutral == "first_frame":
        raise DataError("oulu_casia: with classes six+neutral a neutral sample would be its own reference: set neutral "
                        "to enrolment_frame or training_neutral")  # fmt: skip
    return Corpus(
        dataset="oulu_casia",
        root=root,
        classes=CLASS_MAPS[protocol.options["classes"]],
        frames=tuple(file for s in sequences for file in s.files),
        track_start=bounds,
        track_subject=tuple(s.subject for s in sequences),
        sample_id=tuple(name for _, name, *_ in samples),
        track=track,
        start=bounds[track] + place[:, 0],
        stop=bounds[track] + place[:, 1],
        label=np.array([label for *_, label in samples], dtype=np.int64),
        part=("",) * len(samples),
        neutral_class=len(CLASSES) if with_neutral else None,
        notes=left_out,
        track_neutral=next_first_frames([s.subject for s in sequences], bounds) if with_neutral else None,
    )


@dataclass(frozen=True)
class Sequence:
    """One expression of one subject: its frames below the root."""

    subject: str
    label: int
    files: tuple[str, ...]


def samples_of(sequence: Sequence, protocol: Protocol) -> list[tuple[str, int, int, int]]:
    """Name, first frame, end and label of each sample of a sequence, counted from its first frame."""
    name, frames = f"{sequence.subject}/{CLASSES[sequence.label]}", len(sequence.files)
    first = 1 if protocol.options["classes"] == "six+neutral" and frames > 1 else 0
    neutral = [(f"{name}/neutral", 0, 1, len(CLASSES))] if first else []
    if protocol.options["sample"] == "sequence":
        return [*neutral, (name, first, frames, sequence.label)]
    last = range(max(first, frames - LAST), frames)
    return [*neutral, *((f"{name}/{i:03d}", i, i + 1, sequence.label) for i in last)]


def subject_folders(root: Path, base: Path) -> list[tuple[str, Path]]:
    """Names and folders of P001, P002, ... in order; other folders are passed over.

    Raises:
        DataError: there is none, or one is missing: the folds of all later subjects would change.
    """
    found = {name.upper(): folder for name, folder in folders_in(base, root).items() if re.fullmatch(r"p\d{3}", name)}
    if not found:
        raise DataError(f"{base}: no subject folders P001, P002, ...: the copy of Oulu-CASIA is incomplete")
    expected = [f"P{number:03d}" for number in range(1, len(found) + 1)]
    missing = [name for name in expected if name not in found]
    if missing:
        raise DataError(f"{base / missing[0]}: this subject is missing but {max(found)} is there: the copy of "
                        "Oulu-CASIA is incomplete; copy it again")  # fmt: skip
    return [(name, found[name]) for name in expected]


def found_files(root: Path, subject: Path, emotion: str) -> tuple[str, ...]:
    """Files of a sequence below the root, 000 to the last there is; one that is missing in between keeps its place.

    Raises:
        DataError: there is none; two claim to be one frame; one has a name that is no number.
    """
    folder = folders_in(subject, root).get(emotion.lower(), subject / emotion)
    images = numbered_images(folder, root) if folder.is_dir() else {}
    if not images:
        raise ItemError(f"{folder}: no frames of this sequence: the copy of Oulu-CASIA is incomplete; copy it again")
    below, suffix = folder.relative_to(root).as_posix(), Path(next(iter(images.values()))).suffix
    return tuple(f"{below}/{images.get(i, f'{i:03d}{suffix}')}" for i in range(max(images) + 1))


def find_tree(root: Path, modality: str, light: str) -> Path:
    """The folder that holds the subjects, cropped before original.

    Raises:
        DataError: neither official tree nor a mirror of one is below `root`.
    """
    candidates = [
        *(top / f"{modality}_Acropped" / light for top in sorted(root.glob("PreProcess*"))),
        root / f"{modality}_Acropped" / light,
        root / "OriginalImg" / modality / light,
        root / modality / light,
    ]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DataError(
        f"{root}: no Oulu-CASIA tree for {modality}/{light}: "
        f"expected PreProcess_Img/{modality}_Acropped/{light}/P001/... or OriginalImg/{modality}/{light}/P001/..."
    )


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: the protocol's modality and light, `scale` x 80 subjects, sequences as long as the original's.

    A subject's performance is the same in every modality and light, as it was for the original's two cameras.
    """
    modality, light = protocol.options["modality"], protocol.options["light"]
    top = {"cropped": f"PreProcess_Img/{modality}_Acropped/{light}", "original": f"OriginalImg/{modality}/{light}"}
    shots = []
    for subject in range(1, max(2, round(SUBJECTS * scale)) + 1):
        names = ("oulu_casia", seed, subject)
        rng = np.random.default_rng(number_of("performance", *names))
        strength = np.clip(rng.normal(0.72, 0.16), 0.4, 1.0)
        for emotion in CLASSES:
            frames = sequence_length(rng)
            shown = CLASSES[rng.integers(len(CLASSES))] if rng.random() < MISPOSED else emotion
            units = sequence_units(shown, frames, rng, strength=float(np.clip(strength * rng.normal(1, 0.12), 0.35, 1)))
            folder = f"{top[layout]}/P{subject:03d}/{emotion}"
            shots.append(
                Shot(
                    identity=number_of("twin", *names),
                    units=units,
                    scene=number_of("scene", *names, emotion, modality, light),
                    files=tuple(f"{folder}/{i:03d}.jpeg" for i in range(frames)),
                    modality=modality,
                    light=light,
                    margin=(80, 40) if layout == "original" else (0, 0),
                )
            )
    size = 160 if layout == "original" else 64  # with the margin: 320 x 240
    return Film("oulu_casia", scale, seed, tuple(shots), annotate=lambda _: None, image_size=size)


def sequence_length(rng: np.random.Generator) -> int:
    """Frames of a sequence: 9 to 72 with a median of 21, as in the release."""
    return int(np.clip(round(21 * np.exp(rng.normal(0, 0.35))), 9, 72))


DATASET = DataSet(
    name="oulu_casia",
    title="Oulu-CASIA",
    source="Zhao et al., Image and Vision Computing 29(9), 2011",
    licence="on request from the University of Oulu; research only",
    classes=CLASSES,
    protocol=Protocol(
        folds=10,
        image_frames=3,
        neutral="first_frame",
        options={"modality": "VL", "light": "Strong", "sample": "sequence", "classes": "six"},
    ),
    options={"modality": MODALITIES, "light": LIGHTS, "sample": SAMPLES, "classes": tuple(CLASS_MAPS)},
    official_counts={"subjects": 80, "samples": 480},
    marks=("PreProcess*", "OriginalImg", "VL", "NI"),
    layouts=LAYOUTS,
    read=read,
    film=film,
)
