"""MAFW: 10,045 clips from films and shows, 9,172 of them with one of eleven emotions, in five official folds.

Liu et al.: "MAFW: A Large-scale, Multi-modal, Compound Affective Database for Dynamic Facial Expression Recognition in
the Wild", ACM MM 2022. Layout as released, below the root, `data/` or `MAFW/`:

    frames/00151/*.jpg, clips/00151.mp4
    split/single/no_caption/set_1/train.txt, test.txt      `00025.mp4 anger`

`split/` may also lie beside `data/`. Codes are names.

Protocol: the five official folds of single labels, each clip tested in one; nobody is named, so folds may share people,
and the validation part is cut from training. Folds differ widely: the spread over folds is part of the result. `form`
chooses the frames of the faces or the clips, read `rate` times a second: two sets of pixels, two protocols (frames of
one's own making have cost published methods twenty points).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import (
    Item,
    coded,
    corpus_of,
    found_below,
    frames_in,
    frames_of_video,
    inside,
    lines_of,
    short_clips,
)
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import clip, counted, film_of, mistaken
from ferbench.datasets.video import frame_name

CLASSES = (
    "Anger", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise", "Contempt", "Anxiety", "Helplessness",
    "Disappointment",
)  # fmt: skip
COUNTS = (1390, 639, 625, 1242, 1138, 1470, 1072, 236, 916, 262, 182)
FOLDS = 5
FORMS = ("frames", "clips")
TOPS = ("", "data", "MAFW", "MAFW/data")
LISTS = "split/single/no_caption"
LABEL_NOISE = 0.1
"""Share of the twin's clips that show another expression than their label."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens one form of the clips.

    Raises:
        DataError: the form or a list is not there, more rows cannot be used than chance explains, or a clip is tested
            in two folds.
    """
    form, rate = protocol.options["form"], protocol.options["rate"]
    if rate < 1:
        raise DataError(f"mafw: protocol rate must be at least 1 frame a second, not {rate}")
    base, lists = found_below(root, TOPS, form), found_below(root, TOPS, LISTS)
    if base is None or lists is None:
        lacking = f"{form}/" if base is None else f"{LISTS}/"
        raise DataError(f"{root}: no {lacking} of MAFW: expected data/frames/00151/ or data/clips/00151.mp4, and "
                        f"{LISTS}/set_1/test.txt")  # fmt: skip
    skipped = Skipped("rows")
    items: dict[str, Item] = {}
    for fold in range(FOLDS):
        for name, label in listed(inside(root, lists / LISTS / f"set_{fold + 1}" / "test.txt"), skipped):
            if name in items:
                raise DataError(f"{lists / LISTS}: clip {name} is tested in folds {items[name].fold} and {fold}: each "
                                "clip is tested once; copy the lists again")  # fmt: skip
            if form == "frames":
                frames = frames_in(base / "frames" / name, root)
            else:
                frames = frames_of_video(base / "clips" / f"{name}.mp4", root, rate)
            items[name] = Item(name, label, frames, fold=fold)
    ordered = [items[name] for name in sorted(items)]
    return corpus_of("mafw", root, CLASSES, ordered, [*skipped.notes(len(ordered), root), *short_clips(ordered)])


def listed(file: Path, skipped: Skipped) -> Iterator[tuple[str, int]]:
    """Name and class of each clip of a list.

    Raises:
        DataError: it is not there.
    """
    if not file.is_file():
        raise DataError(f"{file}: not there: MAFW is scored in all of its five folds; copy the lists again")
    codes = {name.lower(): code for code, name in enumerate(CLASSES)}
    for line, text in lines_of(file):
        where = f"{file}, line {line}"
        try:
            match = re.fullmatch(r"(\d+)\.mp4\s+(\w+)", text)
            if match is None:
                raise ItemError(f"{where}: {text[:40]!r} is not a clip and an emotion: copy the file again")
            yield match[1], coded(match[2], codes, where)
        except ItemError as error:
            skipped.add(error)


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: `scale` x the clips of each class, at least one a fold, everyone in one clip, in the form that the
    protocol asks for."""
    shots: list[Shot] = []
    rows = []
    codes = counted(COUNTS, scale, least=FOLDS)
    order = np.random.default_rng(number_of("mafw", seed, "order")).permutation(len(codes)).tolist()
    place = {i: number for number, i in enumerate(order, start=1)}
    for i, code in enumerate(codes):
        names = ("mafw", seed, i)
        rng = np.random.default_rng(number_of("performance", *names))
        length, name = int(np.clip(round(40 * np.exp(rng.normal(0, 0.4))), 12, 120)), f"{place[i]:05d}"
        if protocol.options["form"] == "frames":
            files = tuple(f"data/frames/{name}/{n:05d}.jpg" for n in range(1, length + 1))
        else:
            files = tuple(frame_name(f"data/clips/{name}.mp4", n / 8) for n in range(length))
        shown = mistaken(CLASSES[code], CLASSES, LABEL_NOISE, rng)
        shots.append(clip(names, shown, files, rng, speech=float(rng.choice([0.0, 0.5]))))
        rows.append((name, code, i % FOLDS))
    return film_of("mafw", scale, seed, shots, annotate=lambda root: write_lists(root / LISTS, rows))


def write_lists(folder: Path, rows: list[tuple[str, int, int]]) -> None:
    """Writes the lists of the twin: clip, class and fold of each row."""
    for fold in range(FOLDS):
        own = folder / f"set_{fold + 1}"
        own.mkdir(parents=True, exist_ok=True)
        for part in ("train", "test"):
            lines = [f"{name}.mp4 {CLASSES[code].lower()}\n" for name, code, tested in sorted(rows)
                     if (tested == fold) == (part == "test")]  # fmt: skip
            (own / f"{part}.txt").write_text("".join(lines), encoding="utf-8")


DATASET = DataSet(
    name="mafw",
    title="MAFW",
    source="Liu et al., ACM MM 2022",
    licence="by a signed agreement; research only",
    classes=CLASSES,
    protocol=Protocol(
        folds=FOLDS, image_frames=3, neutral="first_frame", copies="drop from training",
        options={"form": "frames", "rate": 8},
    ),
    options={"form": FORMS},
    official_counts={"samples": sum(COUNTS)},
    marks=("split", "MAFW", "clips", "frames"),
    layouts=("release",),
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)  # fmt: skip
