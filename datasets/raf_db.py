"""RAF-DB, basic: 15,339 photographs from the internet, seven expressions, labelled by about 40 people each.

Li, Deng, Du: "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression Recognition in the Wild",
CVPR 2017. Layout as released (`basic` may be the root itself, or be called `raf-basic` or `RAF-DB`):

    basic/EmoLabel/list_patition_label.txt                      `train_00001.jpg 5`: the part is in the name
    basic/Image/aligned/train_00001_aligned.jpg                 100 x 100
    basic/Image/original/train_00001.jpg                        photographs
    basic/Annotation/boundingbox/train_00001_boundingbox.txt    left, top, right, bottom of the face in the photograph

Protocol: official parts; nobody is named, and there is no validation part: one is cut from training. `form` chooses
the aligned pictures or the face boxes of the originals: two sets of pixels, two protocols. `labels` trains on one of
the published lists of symmetric noise (`noise01.txt` to `noise03.txt` beside the labels: 10, 20 and 30% of training).
`subset` tests on one of the published lists of hard pictures: occluded faces, and heads turned by more than 30 or 45
degrees (github.com/kaiwang960112/Challenge-condition-FER-dataset; put the files into EmoLabel).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Skipped
from ferbench.datasets.items import Box, Item, corpus_of, found_below, inside, lines_of
from ferbench.datasets.spelling import pictures_in
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film
from ferbench.datasets.synthetic.takes import counted, film_of, mistaken, still

CLASSES = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")
"""Codes 1 to 7."""
COUNTS = {
    "train": (1290, 281, 717, 4772, 1982, 705, 2524),
    "test": (329, 74, 160, 1185, 478, 162, 680),
}
TOPS = ("", "basic", "raf-basic", "RAF-DB", "RAF-DB/basic")
LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""As released, and spelled right."""
NOISE = {"official": "", "noise10": "noise01.txt", "noise20": "noise02.txt", "noise30": "noise03.txt"}
SUBSETS = {
    "all": "", "occlusion": "rafdb_occlusion_list.txt", "pose30": "val_raf_db_list.txt",
    "pose45": "val_raf_db_list_45.txt",
}  # fmt: skip
FORMS = ("aligned", "original")
LABEL_NOISE = 0.06
"""Share of the twin's pictures that show another expression than their label."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens one form of the pictures.

    Raises:
        DataError: no list of labels, more rows that cannot be used than chance explains, or a list that the protocol
            asks for is not there.
    """
    base = found_below(root, TOPS, "EmoLabel")
    file = next((base / "EmoLabel" / name for name in LISTS if (base / "EmoLabel" / name).is_file()), None) if base else None  # fmt: skip # noqa: E501
    if base is None or file is None:
        raise DataError(f"{root}: no labels of RAF-DB: expected basic/EmoLabel/{LISTS[0]} and basic/Image/")
    skipped = Skipped("rows")
    codes = codes_of(inside(root, file), skipped)
    left_out = skipped.notes(len(codes), root)
    if noise := NOISE[protocol.options["labels"]]:
        noisy = codes_of(inside(root, listed(file.parent / noise)), Skipped("rows"))
        codes |= {name: code for name, code in noisy.items() if name in codes and name.startswith("train")}
    if subset := SUBSETS[protocol.options["subset"]]:
        hard = names_in(inside(root, listed(file.parent / subset)))
        codes = {name: code for name, code in codes.items() if name.startswith("train") or name in hard}
    form = protocol.options["form"]
    folder = base / "Image" / form
    if not folder.is_dir():
        raise DataError(f"{folder}: no {form} pictures of RAF-DB: copy them, or set the protocol's form to another of "
                        f"{', '.join(FORMS)}")  # fmt: skip
    inside(root, folder)
    ending = "_aligned" if form == "aligned" else ""
    files, below = pictures_in(folder, root), folder.relative_to(root).as_posix()
    items = [
        Item(name, code, (f"{below}/{files.get(name + ending, f'{name}{ending}.jpg')}",), name.partition("_")[0])
        for name, code in sorted(codes.items())
    ]
    notes = list(left_out)
    if form == "original":
        boxes = base / "Annotation" / "boundingbox"
        items = [replace(item, box=box_of(inside(root, boxes / f"{item.name}_boundingbox.txt"))) for item in items]
        if lacking := sum(item.box is None for item in items):
            notes.append(f"{lacking} photographs have no face box: the whole picture is read")
    return corpus_of("raf_db", root, CLASSES, items, notes)


def codes_of(file: Path, skipped: Skipped) -> dict[str, int]:
    """Class of each picture that a list names, by its name without ending."""
    found: dict[str, int] = {}
    for line, text in lines_of(file):
        match = re.fullmatch(r"((?:train|test)_\d+)\.\w+\s+([1-7])", text)
        if match is None:
            skipped.add(
                f"{file}, line {line}: {text[:40]!r} is not a picture and a code of 1 to 7: copy the file again"
            )
        elif found.setdefault(match[1], int(match[2]) - 1) != int(match[2]) - 1:
            skipped.add(f"{file}, line {line}: {match[1]} is there already, under another code")
    return found


def listed(file: Path) -> Path:
    """A list that the protocol asks for.

    Raises:
        DataError: it is not there.
    """
    if not file.is_file():
        raise DataError(f"{file}: the protocol asks for this list: put it there, or leave the protocol as it is")
    return file


def names_in(file: Path) -> set[str]:
    """Names of the test pictures that a list of hard ones holds, whatever else stands in its lines."""
    return {match[0] for _, text in lines_of(file) if (match := re.search(r"test_\d+", text))}


def box_of(file: Path) -> Box | None:
    """Face box of a photograph; None where there is none that can be read."""
    try:
        left, top, right, bottom = map(float, file.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return None
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the counts of the release, everyone another person, photographed anywhere; in the form that
    the protocol asks for."""
    original = protocol.options["form"] == "original"
    margin, size = ((40, 30), 100) if original else ((0, 0), 100)
    shots, rows = [], []
    for part, share in (("train", scale), ("test", scale if test_scale is None else test_scale)):
        for i, code in enumerate(counted(COUNTS[part], share)):
            names = ("raf_db", seed, part, i)
            rng = np.random.default_rng(number_of("performance", *names))
            name = f"{part}_{i + 1:0{5 if part == 'train' else 4}d}"
            file = f"original/{name}.jpg" if original else f"aligned/{name}_aligned.jpg"
            shown = mistaken(CLASSES[code], CLASSES, LABEL_NOISE, rng)
            shots.append(still(names, shown, f"basic/Image/{file}", rng, margin=margin))
            rows.append((name, code))
    box = (margin[0], margin[1], size, size) if original else None
    return film_of(
        "raf_db", scale, seed, shots, annotate=lambda root: write_labels(root / "basic", rows, box), image_size=size,
        test_scale=test_scale,
    )  # fmt: skip


def write_labels(base: Path, rows: list[tuple[str, int]], box: tuple[int, int, int, int] | None) -> None:
    """Writes the label files of the twin: the official list, lists of noise and of hard pictures, and face boxes."""
    folder = base / "EmoLabel"
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict(rows))
    (folder / LISTS[0]).write_text("".join(f"{name}.jpg {code + 1}\n" for name, code in rows), encoding="utf-8")
    for share, file in zip((0.1, 0.2, 0.3), list(NOISE.values())[1:], strict=True):
        (folder / file).write_text("".join(f"{name}.jpg {code + 1}\n" for name, code in noisy(rows, share)), "utf-8")
    for every, file in zip((4, 3, 5), list(SUBSETS.values())[1:], strict=True):
        hard = [name for name in names if name.startswith("test")][::every]
        (folder / file).write_text("".join(f"{name}_aligned.jpg\n" for name in hard), encoding="utf-8")
    if box:
        boxes = base / "Annotation" / "boundingbox"
        boxes.mkdir(parents=True, exist_ok=True)
        corners = f"{box[0]} {box[1]} {box[0] + box[2]} {box[1] + box[3]}"
        for name in names:
            (boxes / f"{name}_boundingbox.txt").write_text(corners, encoding="utf-8")


def noisy(rows: list[tuple[str, int]], share: float) -> Iterator[tuple[str, int]]:
    """The labels, those of a share of the training pictures replaced by any other."""
    rng = np.random.default_rng(number_of("raf_db", "noise", share))
    for name, code in rows:
        changed = name.startswith("train") and rng.random() < share
        yield name, int((code + rng.integers(1, len(CLASSES))) % len(CLASSES)) if changed else code


DATASET = DataSet(
    name="raf_db",
    title="RAF-DB",
    source="Li, Deng, Du, CVPR 2017",
    licence="on request from its authors; non-commercial research only",
    classes=CLASSES,
    protocol=Protocol(
        folds=1,
        image_frames=1,
        neutral="training_neutral",
        copies="drop from training",
        options={"form": "aligned", "labels": "official", "subset": "all"},
    ),
    options={"form": FORMS, "labels": tuple(NOISE), "subset": tuple(SUBSETS)},
    official_counts={"train samples": sum(COUNTS["train"]), "test samples": sum(COUNTS["test"])},
    marks=("basic", "EmoLabel", "raf-basic", "RAF-DB"),
    layouts=("basic",),
    official_test=True,
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
