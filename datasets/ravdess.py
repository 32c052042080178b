"""RAVDESS: 24 actors say two sentences with eight emotions; the 1,440 videos of speech.

Livingstone, Russo: "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5), 2018 (Zenodo
1188976). Layout as released:

    Video_Speech_Actor_01/Actor_01/02-01-06-01-02-01-12.mp4      the top folder may be left out

A name says modality (01 with sound, 02 without), channel (01 speech, 02 song), emotion, intensity, sentence,
repetition and actor (odd numbers are men). One take is there with and without sound: it is counted once.

Protocol: six folds of four actors each, in the order of their numbers. Videos are read `rate` times a second. Results
are told apart by sex and by intensity.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Skipped
from ferbench.datasets.items import Item, corpus_of, frames_of_video, inside
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import clip, film_of, mistaken
from ferbench.datasets.video import frame_name

CLASSES = ("Neutral", "Calm", "Happiness", "Sadness", "Anger", "Fear", "Disgust", "Surprise")
"""Codes 01 to 08."""
ACTORS, FOLDS = 24, 6
VIDEOS = 1_440
NAME = re.compile(r"(0[12])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)\.mp4", re.IGNORECASE)
INTENSITIES = {"01": "normal", "02": "strong"}
MISPOSED = 0.05
"""Share of the twin's videos that show another expression than was asked for."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the videos of speech.

    Raises:
        DataError: there are none, or two files claim to be one take.
    """
    rate = protocol.options["rate"]
    if rate < 1:
        raise DataError(f"ravdess: protocol rate must be at least 1 frame a second, not {rate}")
    found: dict[str, dict[str, Path]] = {}
    skipped = Skipped("videos")
    for file in sorted([*root.glob("Actor_*/*.mp4"), *root.glob("Video_Speech_Actor_*/Actor_*/*.mp4")]):
        match = NAME.fullmatch(file.name)
        if match is None:
            skipped.add(f"{file}: no name of a video of RAVDESS, such as 02-01-06-01-02-01-12.mp4: rename it")
        if match is None or match[2] != "01":
            continue  # the other channel is song
        inside(root, file)
        forms = found.setdefault(file.stem[3:], {})
        if match[1] in forms:
            raise DataError(f"{forms[match[1]]} and {file} both claim to be take {file.stem}: remove one of them")
        forms[match[1]] = file
    if not found:
        raise DataError(f"{root}: no videos of RAVDESS: expected Actor_01/02-01-06-01-02-01-12.mp4")
    items = [item_of(root, take, forms.get("02") or forms["01"], rate) for take, forms in sorted(found.items())]
    twice = sum(len(forms) > 1 for forms in found.values())
    notes = [f"{twice} takes are there with and without sound: counted once"] if twice else []
    return corpus_of("ravdess", root, CLASSES, items, [*notes, *skipped.notes(len(items), root)])


def item_of(root: Path, take: str, video: Path, rate: int) -> Item:
    """A take, by its name without the modality."""
    _, emotion, intensity, _, _, actor = take.split("-")
    return Item(
        name=f"{actor}/{take}",
        label=int(emotion) - 1,
        frames=frames_of_video(video, root, rate),
        fold=(int(actor) - 1) * FOLDS // ACTORS,
        subject=f"Actor_{actor}",
        attributes={"sex": "male" if int(actor) % 2 else "female", "intensity": INTENSITIES[intensity]},
    )


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: 24 actors at any scale, `scale` x the 60 videos of each (at least one of each emotion), of 3 seconds at
    8 frames, spoken, in one room."""
    shots: list[Shot] = []
    for actor in range(1, ACTORS + 1):
        person = number_of("twin", "ravdess", seed, actor)
        takes = [  # neutral has no strong take
            (code, intensity, sentence, repetition)
            for code in range(len(CLASSES)) for intensity in (1, 2) for sentence in (1, 2) for repetition in (1, 2)
            if code or intensity == 1
        ]  # fmt: skip
        rng = np.random.default_rng(number_of("ravdess", seed, actor, "takes"))
        order = rng.permutation(len(takes)).tolist()
        first = [next(i for i in order if takes[i][0] == code) for code in range(len(CLASSES))]
        rest = [i for i in order if i not in first]
        kept = sorted([*first, *rest[: max(0, round(len(takes) * scale) - len(first))]])
        for code, intensity, sentence, repetition in (takes[i] for i in kept):
            name = f"02-01-{code + 1:02d}-{intensity:02d}-{sentence:02d}-{repetition:02d}-{actor:02d}"
            names = ("ravdess", seed, name)
            rng = np.random.default_rng(number_of("performance", *names))
            video = f"Video_Speech_Actor_{actor:02d}/Actor_{actor:02d}/{name}.mp4"
            files = tuple(frame_name(video, n / 8) for n in range(24))
            shown = mistaken(CLASSES[code], CLASSES, MISPOSED, rng)
            strength = (0.75, 1.0) if intensity == 2 else (0.45, 0.7)
            shots.append(clip(names, shown, files, rng, person, style="talk", strength=strength, speech=0.4))
    return film_of("ravdess", scale, seed, shots)


DATASET = DataSet(
    name="ravdess",
    title="RAVDESS",
    source="Livingstone, Russo, PLoS ONE 13(5), 2018; Zenodo 1188976",
    licence="CC BY-NC-SA 4.0",
    classes=CLASSES,
    protocol=Protocol(folds=FOLDS, image_frames=3, neutral="first_frame", options={"rate": 8}),
    official_counts={"subjects": ACTORS, "samples": VIDEOS},
    marks=("Actor_*", "Video_Speech_Actor_*"),
    layouts=("release",),
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
