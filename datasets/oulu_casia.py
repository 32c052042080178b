"""Oulu-CASIA NIR&VIS: 80 subjects, six posed expressions, each a sequence from neutral to apex.

Zhao, Huang, Taini, Li, Pietikäinen: "Facial expression recognition from near-infrared videos", Image and Vision
Computing 29(9), 2011. Layout as released (index from 0, three digits, 25 frames a second):

    OriginalImg/{VL,NI}/{Strong,Weak,Dark}/P001..P080/{Anger,...,Surprise}/000.jpeg      320x240
    PreProcess_Img/{VL,NI}_Acropped/{Strong,Weak,Dark}/P001/Anger/000.jpeg               aligned crops

`PreProcessImg` and `PreProcess` are accepted too, and so is a mirror without the top folder (`VL/Strong/P001/...`).
The crops are read where both trees are there. Of an original image the centred square is read.

Protocol: one modality and light (VL/Strong unless told otherwise); a sample is a whole sequence. Clips see it all;
images and pairs see its last three frames, whose scores are averaged. Ten folds by subject, `subjects[i::10]`; the
neutral reference is the sequence's first frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.corpus import Corpus, DataError
from datasets.dataset import DataSet, Protocol
from datasets.streams import number_of
from datasets.synthetic.expressions import sequence_units
from datasets.synthetic.film import Film, Shot

CLASSES = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
MODALITIES = ("VL", "NI")
LIGHTS = ("Strong", "Weak", "Dark")
LAYOUTS = ("cropped", "original")
SUBJECTS = 80
MISPOSED = 0.06
"""Share of the twin's performances that show any of the six expressions instead of the one that was asked for."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens either official tree.

    Raises:
        DataError: no tree for the modality and light, or a subject without all six expressions.
    """
    modality, light = protocol.options["modality"], protocol.options["light"]
    base = find_tree(root, modality, light)
    frames: list[str] = []
    starts, subjects, labels, names = [0], [], [], []
    for subject in sorted(folder for folder in base.iterdir() if folder.is_dir() and folder.name.startswith("P")):
        for label, emotion in enumerate(CLASSES):
            found = sequence_files(subject / emotion)
            if not found:
                raise DataError(
                    f"{subject / emotion}: no frames of this sequence: the copy of Oulu-CASIA is incomplete; "
                    "copy it again"
                )
            frames += [file.relative_to(root).as_posix() for file in found]
            starts.append(len(frames))
            subjects.append(subject.name)
            labels.append(label)
            names.append(f"{subject.name}/{emotion}")
    if not names:
        raise DataError(f"{base}: no subject folders P001, P002, ...: the copy of Oulu-CASIA is incomplete")
    bounds = np.array(starts, dtype=np.int64)
    return Corpus(
        dataset="oulu_casia",
        root=root,
        classes=CLASSES,
        frames=tuple(frames),
        track_start=bounds,
        track_subject=tuple(subjects),
        sample_id=tuple(names),
        track=np.arange(len(names)),
        start=bounds[:-1],
        stop=bounds[1:],
        label=np.array(labels, dtype=np.int64),
        part=("",) * len(names),
    )


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


def sequence_files(folder: Path) -> list[Path]:
    """Files of a sequence, 000 to the last there is; one that is missing in between keeps its place."""
    found = {int(file.stem): file for file in folder.glob("*.jp*g") if file.stem.isdigit()}
    if not found:
        return []
    suffix = next(iter(found.values())).suffix
    return [found.get(i, folder / f"{i:03d}{suffix}") for i in range(max(found) + 1)]


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
                )
            )
    return Film("oulu_casia", scale, seed, tuple(shots), annotate=lambda _: None)


def sequence_length(rng: np.random.Generator) -> int:
    """Frames of a sequence: 9 to 72 with a median of 21, as in the release."""
    return int(np.clip(round(21 * np.exp(rng.normal(0, 0.35))), 9, 72))


DATASET = DataSet(
    name="oulu_casia",
    title="Oulu-CASIA",
    source="Zhao et al., Image and Vision Computing 29(9), 2011",
    licence="on request from the University of Oulu; research only",
    classes=CLASSES,
    protocol=Protocol(folds=10, image_frames=3, neutral="first_frame", options={"modality": "VL", "light": "Strong"}),
    options={"modality": MODALITIES, "light": LIGHTS},
    official_counts={"subjects": 80, "samples": 480},
    marks=("PreProcess*", "OriginalImg", "VL", "NI"),
    layouts=LAYOUTS,
    read=read,
    film=film,
)
