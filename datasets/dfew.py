"""DFEW: clips from films, seven expressions, 11,697 of them with a single label in five official folds.

Jiang et al.: "DFEW: A Large-Scale Database for Recognizing Dynamic Facial Expressions in the Wild", ACM MM 2020.
Layout as released, below the root or `DFEW/`:

    Clip/clip_224x224/00001/00001_00001.jpg                     faces; also Clip/original/, Clip/clip_224x224_16f/
    EmoLabel_DataSplit/test(single-labeled)/set_1.csv           video_name,label; train(single-labeled)/ beside it

The names of the authors' code (`label/single_testset_1.csv`) are read too. Codes: 1 happy, 2 sad, 3 neutral, 4 angry,
5 surprise, 6 disgust, 7 fear.

Protocol: the five official folds, each clip tested in one; nobody is named, so folds may share people, and the
validation part is cut from training. `form` chooses the faces, the whole pictures (their centred square), or the clips
that were stretched to 16 frames: three sets of pixels, three protocols.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import Item, coded, corpus_of, found_below, frames_in, inside, short_clips
from ferbench.datasets.spelling import csv_rows, whole_number
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import clip, counted, film_of, mistaken

CLASSES = ("Happiness", "Sadness", "Neutral", "Anger", "Surprise", "Disgust", "Fear")
"""Codes 1 to 7."""
COUNTS = (2445, 1894, 2669, 2173, 1469, 145, 902)
FOLDS = 5
FORMS = {"face": "clip_224x224", "original": "original", "16f": "clip_224x224_16f"}
LAYOUTS = ("release", "authors' code")
SPLITS = ("EmoLabel_DataSplit/{part}(single-labeled)/set_{fold}.csv", "label/single_{part}set_{fold}.csv")
"""Lists of a part of a fold, as released and as the authors' code names them."""
TOPS = ("", "DFEW")
LABEL_NOISE = 0.1
"""Share of the twin's clips that show another expression than their label."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens one form of the clips.

    Raises:
        DataError: the form or a list is not there, more rows cannot be used than chance explains, or a clip is tested
            in two folds.
    """
    base = found_below(root, TOPS, "Clip")
    if base is None:
        raise DataError(f"{root}: no clips of DFEW: expected Clip/clip_224x224/00001/ and EmoLabel_DataSplit/")
    folder = base / "Clip" / FORMS[protocol.options["form"]]
    if not folder.is_dir():
        raise DataError(f"{folder}: no such form of DFEW: copy it, or set the protocol's form to another of "
                        f"{', '.join(FORMS)}")  # fmt: skip
    inside(root, folder)
    skipped = Skipped("rows")
    items: dict[str, Item] = {}
    for fold in range(FOLDS):
        for name, label in listed(root, base, "test", fold, skipped):
            if name in items:
                raise DataError(f"{base}: clip {name} is tested in folds {items[name].fold} and {fold}: each clip is "
                                "tested once; copy the lists again")  # fmt: skip
            items[name] = Item(name, label, frames_in(folder / name, root), fold=fold)
    refuse_other_training(root, base, items)
    ordered = [items[name] for name in sorted(items)]
    return corpus_of("dfew", root, CLASSES, ordered, [*skipped.notes(len(ordered), root), *short_clips(ordered)])


def list_of(base: Path, part: str, fold: int) -> Path | None:
    """The list of a part (`train` or `test`) of a fold, counted from 0; None where there is none."""
    names = (base / pattern.format(part=part, fold=fold + 1) for pattern in SPLITS)
    return next((file for file in names if file.is_file()), None)


def listed(root: Path, base: Path, part: str, fold: int, skipped: Skipped) -> Iterator[tuple[str, int]]:
    """Name in five digits and class of each clip in a part of a fold.

    Raises:
        DataError: there is no such list.
    """
    file = list_of(base, part, fold)
    if file is not None:
        inside(root, file)
    else:
        raise DataError(f"{base / SPLITS[0].format(part=part, fold=fold + 1)}: not there: DFEW is scored in all of its "
                        "five folds; copy the lists again")  # fmt: skip
    codes = {str(code + 1): code for code in range(len(CLASSES))}
    for line, row in csv_rows(file, ("video_name", "label")):
        where = f"{file}, line {line}"
        try:
            try:
                name = f"{whole_number(row['video_name']):05d}"
            except (ValueError, KeyError):
                raise ItemError(f"{where}: not the number of a clip: copy the file again") from None
            yield name, coded(row.get("label", "").removesuffix(".0"), codes, where)
        except ItemError as error:
            skipped.add(error)


def refuse_other_training(root: Path, base: Path, items: dict[str, Item]) -> None:
    """Raises DataError where a list of training clips is there and is not all that the fold does not test."""
    for fold in range(FOLDS):
        if list_of(base, "train", fold) is None:
            continue
        learned = {name for name, _ in listed(root, base, "train", fold, Skipped("rows"))}
        if both := sorted(name for name in learned if name in items and items[name].fold == fold):
            raise DataError(f"{list_of(base, 'train', fold)}: clip {both[0]} is tested in this fold ({len(both)} in "
                            "all): copy the lists again")  # fmt: skip


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: `scale` x the clips of each class, at least one a fold, everyone in one clip, of 11 to 200 frames."""
    form = protocol.options["form"]
    shots: list[Shot] = []
    rows = []
    codes = counted(COUNTS, scale, least=FOLDS)
    order = np.random.default_rng(number_of("dfew", seed, "order")).permutation(len(codes)).tolist()
    place = {i: number for number, i in enumerate(order, start=1)}
    for i, code in enumerate(codes):
        names = ("dfew", seed, i)
        rng = np.random.default_rng(number_of("performance", *names))
        length = 16 if form == "16f" else int(np.clip(round(70 * np.exp(rng.normal(0, 0.55))), 11, 200))
        name = f"{place[i]:05d}"
        files = tuple(f"Clip/{FORMS[form]}/{name}/{name}_{n:05d}.jpg" for n in range(1, length + 1))
        shown = mistaken(CLASSES[code], CLASSES, LABEL_NOISE, rng)
        shots.append(clip(names, shown, files, rng, speech=float(rng.choice([0.0, 0.5]))))
        rows.append((place[i], code, i % FOLDS))
    return film_of("dfew", scale, seed, shots, annotate=lambda root: write_lists(root, rows, layout))


def write_lists(root: Path, rows: list[tuple[int, int, int]], layout: str) -> None:
    """Writes the lists of the twin: clip, class and fold of each row."""
    for fold in range(FOLDS):
        for part in ("train", "test"):
            file = root / SPLITS[LAYOUTS.index(layout)].format(part=part, fold=fold + 1)
            file.parent.mkdir(parents=True, exist_ok=True)
            own = [
                f"{name},{code + 1}\n" for name, code, tested in sorted(rows) if (tested == fold) == (part == "test")
            ]
            file.write_text("video_name,label\n" + "".join(own), encoding="utf-8")


DATASET = DataSet(
    name="dfew",
    title="DFEW",
    source="Jiang et al., ACM MM 2020",
    licence="by a signed agreement; research only",
    classes=CLASSES,
    protocol=Protocol(
        folds=FOLDS, image_frames=3, neutral="first_frame", copies="drop from training", options={"form": "face"}
    ),
    options={"form": tuple(FORMS)},
    official_counts={"samples": sum(COUNTS)},
    marks=("Clip", "EmoLabel_DataSplit", "DFEW"),
    layouts=LAYOUTS,
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
