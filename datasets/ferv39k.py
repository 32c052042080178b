"""FERV39k: 38,935 clips from 22 scenes, seven expressions.

Wang et al.: "FERV39k: A Large-Scale Multi-Scene Dataset for Facial Expression Recognition in Videos", CVPR 2022.
Layout as released, below the root or `FERV39k/`:

    2_ClipsforFaceCrop/Action/Happy/0267/*.jpg
    4_setups/All_scenes/train_All.csv, test_All.csv      `Action/Happy/0267 Happy`, no header

Protocol: official parts; nobody is named, and the validation part is cut from training. Results are told apart by
scene. Clips have 8 to 47 frames: where an architecture sees more, each is repeated in its place, and such clips are
counted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ferbench.datasets.containment import path_inside
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import Item, coded, corpus_of, found_below, frames_in, inside, lines_of, short_clips
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import clip, counted, film_of, mistaken

CLASSES = ("Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear")
NAMES = ("Happy", "Sad", "Neutral", "Angry", "Surprise", "Disgust", "Fear")
"""As the release spells them."""
SCENES = (
    "Action", "Argue", "Business", "Conflict", "Contest", "Crime", "Crisis", "DailyLife", "ElegantArt", "Experiment",
    "History", "Interview", "Liveshow", "Medicine", "OfficialEvent", "School", "ScholarReport", "Social", "Speech",
    "Talkshow", "Terror", "War",
)  # fmt: skip
COUNTS = {"train": (5854, 5523, 7790, 5906, 2502, 1833, 1680), "test": (1473, 1393, 1958, 1487, 638, 467, 431)}
SEATED = ("Interview", "OfficialEvent", "ScholarReport", "Speech", "Talkshow")
"""Scenes whose people sit or stand and talk."""
CLIPS, LISTS = "2_ClipsforFaceCrop", "4_setups/All_scenes"
TOPS = ("", "FERV39k", "FERV39K")
LABEL_NOISE = 0.14
"""Share of the twin's clips that show another expression than their label."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens all scenes.

    Raises:
        DataError: clips or lists are not there, or more rows cannot be used than chance explains.
    """
    base = found_below(root, TOPS, CLIPS)
    if base is None:
        raise DataError(f"{root}: no clips of FERV39k: expected {CLIPS}/Action/Happy/0267/ and {LISTS}/train_All.csv")
    codes = {name.lower(): code for code, name in enumerate(NAMES)}
    items, skipped = [], Skipped("rows")
    for part in COUNTS:
        file = base / LISTS / f"{part}_All.csv"
        if not file.is_file():
            raise DataError(f"{file}: not there: the copy of FERV39k is incomplete; copy it again")
        for line, text in lines_of(inside(root, file)):
            where = f"{file}, line {line}"
            try:
                path, _, label = text.replace(",", " ").rpartition(" ")
                code, place = coded(label, codes, where), path_inside(base, path.strip(), where)
                if place.count("/") != 2:
                    raise ItemError(f"{where}: {path[:40]!r} is not a scene, a class and a clip: copy the file again")
            except ItemError as error:
                skipped.add(error)
                continue
            scene = {"scene": place.partition("/")[0]}
            items.append(Item(place, code, frames_in(base / CLIPS / place, root), part, attributes=scene))
    notes = [*skipped.notes(len(items), root), *short_clips(items)]
    return corpus_of("ferv39k", root, CLASSES, items, notes)


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the clips of each class, everyone in one clip, dealt to the scenes, of 8 to 47 frames."""
    shots: list[Shot] = []
    rows: dict[str, list[str]] = {}
    number = 0
    for part, share in (("train", scale), ("test", scale if test_scale is None else test_scale)):
        rows[part] = []
        for i, code in enumerate(counted(COUNTS[part], share)):
            number += 1
            names = ("ferv39k", seed, part, i)
            rng = np.random.default_rng(number_of("performance", *names))
            length = int(np.clip(round(rng.normal(28, 9)), 8, 47))
            scene = str(rng.choice(SCENES))
            path = f"{scene}/{NAMES[code]}/{'' if part == 'train' else '9'}{i + 1:04d}"
            files = tuple(f"{CLIPS}/{path}/{n:05d}.jpg" for n in range(1, length + 1))
            shown = mistaken(CLASSES[code], CLASSES, LABEL_NOISE, rng)
            seated = scene in SEATED
            speech = 0.5 if seated else 0.2
            shots.append(clip(names, shown, files, rng, style="talk" if seated else "wild", speech=speech))
            rows[part].append(f"{path} {NAMES[code]}\n")
    return film_of(
        "ferv39k", scale, seed, shots, annotate=lambda root: write_lists(root / LISTS, rows), test_scale=test_scale
    )


def write_lists(folder: Path, rows: dict[str, list[str]]) -> None:
    """Writes the lists of the twin."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, lines in rows.items():
        (folder / f"{part}_All.csv").write_text("".join(lines), encoding="utf-8")


DATASET = DataSet(
    name="ferv39k",
    title="FERV39k",
    source="Wang et al., CVPR 2022",
    licence="on request from its authors; research only",
    classes=CLASSES,
    protocol=Protocol(folds=1, image_frames=3, neutral="first_frame", copies="drop from training"),
    official_counts={f"{part} samples": sum(counts) for part, counts in COUNTS.items()},
    marks=(CLIPS, "4_setups", "FERV39*"),
    layouts=("release",),
    official_test=True,
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
