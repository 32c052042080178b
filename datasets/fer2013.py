"""FER2013: 35,887 grey pictures of 48 x 48 pixels from a web search, seven expressions.

Goodfellow et al.: "Challenges in Representation Learning", ICONIP 2013. Read are, in the root or in `fer2013/`:

    fer2013.csv, icml_face_data.csv         emotion, pixels, Usage (Training, PublicTest, PrivateTest)
    train.csv, test.csv                     of the competition: emotion, pixels; its test part has no labels
    train/angry/*.jpg, test/angry/*.jpg     class folders; PublicTest/ (or validation/) and PrivateTest/ where they are

Codes: 0 angry, 1 disgust, 2 fear, 3 happy, 4 sad, 5 surprise, 6 neutral; folders are read by their names, so that their
alphabetical order means nothing.

Protocol: `test: private` trains on Training, chooses on PublicTest and tests on PrivateTest. Copies in class folders
often hold the two test parts as one, which is another test set: `test: both`, with a validation part cut from
training. `parts: training file` reads the competition's train.csv alone and draws folds from it.

As published it holds 1,516 groups of identical pictures, 557 of them in two parts, 57 under two labels, so `copies` is
`drop from training` here: the test part stays whole, and nothing of it is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import Item, coded, corpus_of, inside
from ferbench.datasets.pixel_table import lines_of, row_name, write_table
from ferbench.datasets.spelling import folders_in, pictures_in
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import counted, film_of, mistaken, still

CLASSES = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral")
"""Codes 0 to 6."""
FOLDERS = {
    "angry": 0, "anger": 0, "disgust": 1, "disgusted": 1, "fear": 2, "fearful": 2, "happy": 3, "happiness": 3, "sad": 4,
    "sadness": 4, "surprise": 5, "surprised": 5, "neutral": 6,
}  # fmt: skip
USAGES = {"training": "train", "publictest": "validation", "privatetest": "test"}
COUNTS = {
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "validation": (467, 56, 496, 895, 653, 415, 607),
    "test": (491, 55, 528, 879, 594, 416, 626),
}
TABLES = ("fer2013.csv", "icml_face_data.csv")
TOPS = ("", "fer2013")
PART_FOLDERS = {
    "train": "train", "training": "train", "publictest": "validation", "validation": "validation", "val": "validation",
    "privatetest": "test", "test": "test",
}  # fmt: skip
LAYOUTS = ("csv", "competition", "folders")
SIDE = 48
LABEL_NOISE = 0.12
"""Share of the twin's pictures that show another expression; people agree with the original's labels in about 65%."""
COPIES = 0.04
"""Share of the twin's pictures that another row shows again; in the original 1,516 of 35,887 groups."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens whichever form is there, tables before folders.

    Raises:
        DataError: none is; rows that cannot be used, more than chance explains; test labels that are not there; test
            parts that cannot be told apart though the protocol asks for it.
    """
    skipped = Skipped("rows")
    both = protocol.options["test"] == "both"
    if protocol.options["parts"] == "training file":
        if protocol.folds < 2:
            raise DataError("fer2013: of the training file alone folds are drawn: set the protocol's folds to 10")
        items = [replace(item, part="") for item in table_items(root, training_file(root), skipped, part="train")]
    elif table := next((root / top / name for top in TOPS for name in TABLES if (root / top / name).is_file()), None):
        items = list(table_items(root, table, skipped))
    elif any((root / top / "train.csv").is_file() for top in TOPS):
        raise DataError(f"{training_file(root)}: the test part of the competition has no labels: put {TABLES[0]} or "
                        f"{TABLES[1]} there, or set the protocol's parts to 'training file'")  # fmt: skip
    else:
        items = folder_items(root, both)
    if both:
        items = [replace(item, part="test" if item.part == "validation" else item.part) for item in items]
    return corpus_of("fer2013", root, CLASSES, items, skipped.notes(len(items), root))


def training_file(root: Path) -> Path:
    """The competition's train.csv.

    Raises:
        DataError: it is not there.
    """
    for top in TOPS:
        if (root / top / "train.csv").is_file():
            return root / top / "train.csv"
    raise DataError(f"{root / 'train.csv'}: not there: the protocol asks for the competition's training file")


def table_items(root: Path, file: Path, skipped: Skipped, part: str = "") -> Iterator[Item]:
    """Rows of a table, named as FERPlus names them: `fer0000000` is the first.

    part: of all rows, where the table has no column that says so.
    """
    rows = lines_of(inside(root, file))
    _, header = next(rows, (0, b""))
    columns = [name.strip().lower() for name in header.decode("utf-8-sig", "replace").split(",")]
    wanted = ("emotion", "pixels") if part else ("emotion", "pixels", "usage")
    if lacking := [name for name in wanted if name not in columns]:
        raise DataError(f"{file}: no column {lacking[0]!r} in its first line: it has {', '.join(columns)[:80]!r}")
    below = file.relative_to(root).as_posix()
    codes = {str(code): code for code in range(len(CLASSES))}
    for number, (line, text) in enumerate((line, text) for line, text in rows if text.strip()):
        try:
            values = dict(zip(columns, text.split(b","), strict=True))
            label = coded(values["emotion"].decode("ascii"), codes, f"{file}, line {line}")
            if values["pixels"].count(b" ") < 3:
                raise ItemError(f"{file}, line {line}: there is no picture in it: copy the file again")
            usage = values["usage"].decode("ascii").strip().lower() if not part else ""
            yield Item(f"fer{number:07d}", label, (row_name(below, line),), part or USAGES[usage])
        except ItemError as error:
            skipped.add(error)
        except (ValueError, KeyError):
            skipped.add(f"{file}, line {line}: not a row of {', '.join(columns)}: copy the file again")


def folder_items(root: Path, both: bool) -> list[Item]:
    """Pictures in class folders.

    Raises:
        DataError: there are none; a folder has a name that is no class; the two test parts lie in one folder, or apart,
            and the protocol says otherwise.
    """
    items: list[Item] = []
    for top in TOPS:
        if not (root / top).is_dir():
            continue
        parts = {name: folder for name, folder in folders_in(root / top, root).items() if name in PART_FOLDERS}
        for name, folder in parts.items():
            for emotion, below in folders_in(folder, root).items():
                label = coded(emotion, FOLDERS, str(below))
                place = below.relative_to(root).as_posix()
                items += [
                    Item(f"{name}/{emotion}/{stem}", label, (f"{place}/{file}",), PART_FOLDERS[name])
                    for stem, file in sorted(pictures_in(below, root).items())
                ]
        if items:
            break
    found = {item.part for item in items}
    if not {"train", "test"} <= found:
        raise DataError(f"{root}: no FER2013 here: expected {TABLES[0]}, or train/ and test/ with a folder a class")
    if "validation" not in found and not both:
        raise DataError(f"{root}: PublicTest and PrivateTest are not told apart in its test/, another test set: "
                        f"put {TABLES[0]} there, or set the protocol's test to 'both'")  # fmt: skip
    return items


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the counts of the release, 48 pixels and grey, with its noise in labels and its copies, and
    the votes of FERPlus."""
    from ferbench.datasets.ferplus import votes_of, write_votes

    shots: list[Shot] = []
    rows: list[tuple[str, int]] = []
    votes: list[tuple[int, ...]] = []
    of_test, learned = scale if test_scale is None else test_scale, 0
    for part, share in (("train", scale), ("validation", scale), ("test", of_test)):
        codes = counted(COUNTS[part], share)
        for i in np.random.default_rng(number_of("fer2013", seed, part, "order")).permutation(len(codes)).tolist():
            names = ("fer2013", seed, part, i)
            rng = np.random.default_rng(number_of("performance", *names))
            place, label = len(shots), codes[i]
            if part == "train" or rng.random() >= COPIES:
                shown = mistaken(CLASSES[label], (*CLASSES, "Contempt"), LABEL_NOISE, rng)
                votes.append(votes_of(shown, rng))
                shot = still(names, shown, "", rng, grey=True)
            else:  # a picture of the training part once more, now and then under another label
                first = int(rng.integers(learned))
                shot, label = shots[first], rows[first][1] if rng.random() < 0.9 else label
                votes.append(votes[first])
            learned += part == "train"
            shots.append(replace(shot, files=(file_of(layout, part, label, place, learned),)))
            rows.append((part, label))

    def annotate(root: Path) -> None:
        write_tables(root, rows, layout)
        if layout == "csv":
            write_votes(root, [part for part, _ in rows], votes)

    return film_of("fer2013", scale, seed, shots, annotate=annotate, image_size=SIDE, test_scale=test_scale)


def file_of(layout: str, part: str, label: int, place: int, learned: int) -> str:
    """Where a picture of the twin goes: the one at this place, after so many of the training part, which comes first.
    A table's first line is its header."""
    if layout == "csv":
        return row_name(TABLES[0], place + 2)
    if layout == "competition":
        return row_name("train.csv", place + 2) if part == "train" else row_name("test.csv", place - learned + 2)
    folder = {"train": "train", "validation": "PublicTest", "test": "PrivateTest"}[part]
    return f"{folder}/{('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')[label]}/{place}.png"


def write_tables(root: Path, rows: list[tuple[str, int]], layout: str) -> None:
    """Writes the tables of the twin, in the layouts that have some."""
    usages = {
        part: usage for usage, part in zip(("Training", "PublicTest", "PrivateTest"), USAGES.values(), strict=True)
    }
    if layout == "csv":
        content = [(str(label), None, usages[part]) for part, label in rows]
        write_table(root, TABLES[0], ("emotion", "pixels", "Usage"), content)
    if layout == "competition":
        learned = [(str(label), None) for part, label in rows if part == "train"]
        write_table(root, "train.csv", ("emotion", "pixels"), learned)
        write_table(root, "test.csv", ("pixels",), [(None,) for part, _ in rows if part != "train"])


DATASET = DataSet(
    name="fer2013",
    title="FER2013",
    source="Goodfellow et al., ICONIP 2013",
    licence="of the pictures unknown: found by a web search",
    classes=CLASSES,
    protocol=Protocol(
        folds=1,
        image_frames=1,
        neutral="training_neutral",
        copies="drop from training",
        options={"test": "private", "parts": "official"},
    ),
    options={"test": ("private", "both"), "parts": ("official", "training file")},
    official_counts={f"{part} samples": sum(counts) for part, counts in COUNTS.items()},
    marks=("fer2013.csv", "icml_face_data.csv", "fer2013", "PrivateTest"),
    layouts=LAYOUTS,
    official_test=True,
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
