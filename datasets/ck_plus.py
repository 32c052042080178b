"""CK+: sequences from neutral to apex of 118 people, 327 of them labelled with one of seven expressions.

Lucey et al.: "The Extended Cohn-Kanade Dataset (CK+)", CVPR Workshops 2010. Layout as released:

    cohn-kanade-images/S005/001/S005_001_00000011.png
    Emotion/S005/001/S005_001_00000011_emotion.txt      one number; most of these folders are empty

Codes: 1 anger, 2 contempt, 3 disgust, 4 fear, 5 happy, 6 sadness, 7 surprise. Sequences without a label are left out.

Protocol: ten folds by subject, `subjects[i::10]` of the labelled ones in the order of their names; a fold may lack a
class, so macro F1 is over all folds together. `sample: last_3` makes each of the last three frames a sample, the
"981 images" of the field; the default is the whole sequence. `classes` leaves out contempt (six), or adds the first
frame of each sequence as a sample of a further class: it would be its own neutral reference, so `enrolment_frame` (the
first frame of the subject's next sequence) is the rule to set for pairs then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import frames_in, inside
from ferbench.datasets.numbered_frames import next_first_frames
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.expressions import sequence_units
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import counted, film_of, mistaken

CLASSES = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
"""Codes 1 to 7."""
COUNTS = (45, 18, 59, 25, 69, 28, 83)
SUBJECTS = 118
SIX = tuple(name for name in CLASSES if name != "Contempt")
CLASS_MAPS = {
    "seven": CLASSES, "six": SIX, "seven+neutral": (*CLASSES, "Neutral"), "six+neutral": (*SIX, "Neutral"),
}  # fmt: skip
SAMPLES = ("sequence", "last_3")
LAST = 3
MISPOSED = 0.03
"""Share of the twin's sequences that show another expression; those of the original were checked by their action
units."""


@dataclass(frozen=True)
class Sequence:
    """A labelled sequence: who, which, its class, and its frames below the root."""

    subject: str
    name: str
    emotion: str
    frames: tuple[str, ...]


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the labelled sequences.

    Raises:
        DataError: pictures or labels are not there, more labels cannot be used than chance explains, or the neutral
            rule does not go with the classes.
    """
    classes = CLASS_MAPS[protocol.options["classes"]]
    with_neutral = "Neutral" in classes
    if with_neutral and protocol.neutral == "first_frame":
        raise DataError("ck_plus: with a neutral class a neutral sample would be its own reference: set neutral to "
                        "enrolment_frame or training_neutral")  # fmt: skip
    sequences, notes = open_sequences(root)
    sequences = [sequence for sequence in sequences if sequence.emotion in classes]
    bounds = np.cumsum([0, *(len(s.frames) for s in sequences)]).astype(np.int64)
    samples = [(t, *sample) for t, s in enumerate(sequences) for sample in samples_of(s, protocol, with_neutral)]
    track = np.array([t for t, *_ in samples], dtype=np.int64)
    return keep_present_classes(
        Corpus(
            dataset="ck_plus",
            root=root,
            classes=classes,
            frames=tuple(frame for s in sequences for frame in s.frames),
            track_start=bounds,
            track_subject=tuple(s.subject for s in sequences),
            sample_id=tuple(name for _, name, *_ in samples),
            track=track,
            start=bounds[track] + np.array([start for _, _, start, _, _ in samples], dtype=np.int64),
            stop=bounds[track] + np.array([stop for _, _, _, stop, _ in samples], dtype=np.int64),
            label=np.array([classes.index(emotion) for *_, emotion in samples], dtype=np.int64),
            part=("",) * len(samples),
            notes=notes,
            neutral_class=classes.index("Neutral") if with_neutral else None,
            track_neutral=next_first_frames([s.subject for s in sequences], bounds) if with_neutral else None,
        )
    )


def open_sequences(root: Path) -> tuple[list[Sequence], tuple[str, ...]]:
    """The labelled sequences in the order of their names, and what is to be said of labels that cannot be used."""
    pictures, labels = root / "cohn-kanade-images", root / "Emotion"
    for folder in (pictures, labels):
        if not folder.is_dir():
            raise DataError(f"{folder}: not there: expected cohn-kanade-images/S005/001/*.png and "
                            "Emotion/S005/001/*_emotion.txt of CK+")  # fmt: skip
        inside(root, folder)
    sequences, skipped = [], Skipped("labels")
    for file in sorted(labels.glob("*/*/*_emotion.txt")):
        inside(root, file)
        subject, take = file.parent.parent.name, file.parent.name
        try:
            emotion = emotion_in(file)
        except ItemError as error:
            skipped.add(error)
            continue
        sequences.append(Sequence(subject, f"{subject}/{take}", emotion, frames_in(pictures / subject / take, root)))
    if not sequences and not skipped.faults:
        raise DataError(f"{labels}: no label in it: the copy of CK+ is incomplete; copy it again")
    return sequences, skipped.notes(len(sequences), root)


def emotion_in(file: Path) -> str:
    """The class in a label file, such as `   3.0000000e+00`.

    Raises:
        ItemError: it is no code of 1 to 7.
    """
    try:
        code = float(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        code = 0.0
    if code not in range(1, 8):
        raise ItemError(f"{file}: not a code of 1 to 7: copy the file again")
    return CLASSES[int(code) - 1]


def samples_of(sequence: Sequence, protocol: Protocol, with_neutral: bool) -> list[tuple[str, int, int, str]]:
    """Name, first frame, end and class of each sample of a sequence, counted from its first frame."""
    frames = len(sequence.frames)
    first = 1 if with_neutral and frames > 1 else 0
    neutral = [(f"{sequence.name}/neutral", 0, 1, "Neutral")] if first else []
    if protocol.options["sample"] == "sequence":
        return [*neutral, (sequence.name, first, frames, sequence.emotion)]
    last = range(max(first, frames - LAST), frames)
    return [*neutral, *((f"{sequence.name}/{i + 1}", i, i + 1, sequence.emotion) for i in last)]


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: `scale` x the labelled sequences, dealt to `scale` x the people, grey, in one room, and for every
    third of them one more without a label."""
    codes = counted(COUNTS, scale)
    people = max(10, round(SUBJECTS * scale))
    order = np.random.default_rng(number_of("ck_plus", seed, "who")).permutation(len(codes))
    shots, labels = [], []
    takes: dict[int, int] = {}
    for place, i in enumerate(order.tolist()):
        person = place % people
        for labelled in (True, False) if place % 3 == 0 else (True,):
            takes[person] = takes.get(person, 0) + 1
            subject, take = f"S{person + 5:03d}", f"{takes[person]:03d}"
            names = ("ck_plus", seed, subject, take)
            rng = np.random.default_rng(number_of("performance", *names))
            emotion = CLASSES[codes[i]] if labelled else "Neutral"
            length = int(np.clip(round(17 * np.exp(rng.normal(0, 0.4))), 4, 60))
            units = sequence_units(mistaken(emotion, CLASSES, MISPOSED, rng), length, rng, float(rng.uniform(0.6, 1)))
            stem = f"{subject}/{take}/{subject}_{take}"
            shots.append(
                Shot(
                    identity=number_of("twin", "ck_plus", seed, subject),
                    units=units,
                    scene=number_of("scene", *names),
                    files=tuple(f"cohn-kanade-images/{stem}_{n:08d}.png" for n in range(1, length + 1)),
                    grey=True,
                )
            )
            if labelled:
                labels.append((f"{stem}_{length:08d}_emotion.txt", codes[i] + 1))
    return film_of("ck_plus", scale, seed, shots, annotate=lambda root: write_labels(root, labels))


def write_labels(root: Path, labels: list[tuple[str, int]]) -> None:
    """Writes the label files of the twin."""
    for name, code in labels:
        file = root / "Emotion" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"   {code:.7e}\n", encoding="utf-8")


DATASET = DataSet(
    name="ck_plus",
    title="CK+",
    source="Lucey et al., CVPR Workshops 2010",
    licence="on request from the University of Pittsburgh; research only",
    classes=CLASSES,
    protocol=Protocol(
        folds=10, image_frames=3, neutral="first_frame", options={"sample": "sequence", "classes": "seven"}
    ),
    options={"sample": SAMPLES, "classes": tuple(CLASS_MAPS)},
    official_counts={"subjects": SUBJECTS, "samples": sum(COUNTS)},
    marks=("cohn-kanade-images", "Emotion"),
    layouts=("cohn-kanade-images",),
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
