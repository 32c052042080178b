"""FERPlus: FER2013's pictures, each labelled anew by ten people with eight expressions.

Barsoum et al.: "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution", ICMI
2016 (github.com/microsoft/FERPlus). In FER2013's folder, or in `ferplus/` in it:

    fer2013new.csv                            Usage, Image name, ten columns of votes; rows as in fer2013.csv
    FER2013Train/label.csv, fer0000000.png    written by the official script, with FER2013Valid/ and FER2013Test/

Protocol: `labels` chooses one of three rules in use, each another data set under one name. `majority`, the official:
single votes are dropped, and the winner needs more than half of the rest (25,060 / 3,199 / 3,153 pictures). `first`:
the most votes, the first column where two have as many (28,389 / 3,553 / 3,546). `unique`: the most votes, without ties
(26,940 / 3,396 / 3,376). Pictures whose winner is `unknown` or `NF` (no face) are left out. The votes are kept as the
share of each of the eight classes. `subset` tests on one of the published lists of hard pictures.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.fer2013 import DATASET as FER2013
from ferbench.datasets.fer2013 import TABLES, USAGES
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.items import Item, corpus_of, found_below, inside
from ferbench.datasets.items import lines_of as text_lines
from ferbench.datasets.pixel_table import row_name
from ferbench.datasets.spelling import csv_rows, whole_number

CLASSES = ("Neutral", "Happiness", "Surprise", "Sadness", "Anger", "Disgust", "Fear", "Contempt")
COLUMNS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
VOTES = "fer2013new.csv"
TOPS = ("", "ferplus", "FERPlus", "fer2013", "data")
FOLDERS = {"FER2013Train": "train", "FER2013Valid": "validation", "FER2013Test": "test"}
RULES = ("majority", "first", "unique")
COUNTS = {"train": 25_060, "validation": 3_199, "test": 3_153}
"""Of the official rule."""
SUBSETS = {
    "all": "", "occlusion": "jianfei_occlusion_list.txt", "pose30": "pose_30_ferplus_list.txt",
    "pose45": "pose_45_ferplus_list.txt",
}  # fmt: skip
VOTERS = 10


@dataclass(frozen=True)
class Voted:
    """The votes on one picture."""

    name: str
    part: str
    frame: str
    """Below the root."""
    votes: tuple[int, ...]
    """Of each of `COLUMNS`."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the votes, and the pictures that they are on.

    Raises:
        DataError: votes or pictures are not there, rows cannot be used, more than chance explains, or a list that the
            protocol asks for is not there.
    """
    skipped = Skipped("rows of votes")
    if base := found_below(root, TOPS, VOTES):
        voted = list(table_votes(root, base / VOTES, skipped))
    elif base := found_below(root, TOPS, "FER2013Train"):
        voted = [vote for name, part in FOLDERS.items() for vote in folder_votes(root, base / name, part, skipped)]
    else:
        raise DataError(f"{root}: no votes of FERPlus: put {VOTES} beside {TABLES[0]}, or FER2013Train/ with label.csv")
    notes = skipped.notes(len(voted), root)
    hard = None
    if subset := SUBSETS[protocol.options["subset"]]:
        if not (base / subset).is_file():
            raise DataError(f"{base / subset}: the protocol asks for this list: put it there, or leave the protocol")
        hard = {name for _, line in text_lines(inside(root, base / subset)) for name in re.findall(r"fer\d{7}", line)}
    items = []
    for vote in voted:
        label = winner(vote.votes, protocol.options["labels"])
        if label is None or (hard is not None and vote.part == "test" and vote.name not in hard):
            continue
        known = sum(vote.votes[: len(CLASSES)])
        shares = tuple(count / known if known else 0.0 for count in vote.votes[: len(CLASSES)])
        items.append(Item(vote.name, label, (vote.frame,), vote.part, votes=shares))
    return corpus_of("ferplus", root, CLASSES, items, notes)


def winner(votes: Sequence[int], rule: str) -> int | None:
    """The class that a rule gives to ten people's votes; None where it is none of the eight."""
    counted = [count if count > 1 or rule != "majority" else 0 for count in votes]
    most = max(counted)
    if rule == "majority" and not most > sum(counted) / 2:
        return None
    if rule == "unique" and counted.count(most) > 1:
        return None
    first = counted.index(most)
    return first if first < len(CLASSES) else None


def table_votes(root: Path, file: Path, skipped: Skipped) -> Iterator[Voted]:
    """Votes of the official table, whose rows are those of FER2013's; a row without a name is no picture of a face."""
    table = next((root / top / name for top in TOPS for name in TABLES if (root / top / name).is_file()), None)
    if table is None:
        raise DataError(f"{root}: {VOTES} is here and no {TABLES[0]}: put the pictures beside the votes")
    below = inside(root, table).relative_to(root).as_posix()
    for number, (line, row) in enumerate(csv_rows(inside(root, file), ("Usage", "Image name", *COLUMNS))):
        where = f"{file}, line {line}"
        name = row["image name"].strip()
        try:
            part = USAGES.get(row["usage"].strip().lower())
            if part is None or (name and Path(name).stem != f"fer{number:07d}"):
                raise ItemError(f"{where}: its usage, or its name, is not that of row {number}: copy the file again")
            votes = votes_in([row[column.lower()] for column in COLUMNS], where)
        except ItemError as error:
            skipped.add(error)
            continue
        if name:
            yield Voted(Path(name).stem, part, row_name(below, number + 2), votes)


def folder_votes(root: Path, folder: Path, part: str, skipped: Skipped) -> Iterator[Voted]:
    """Votes beside the pictures that the official script writes: name, box, and ten columns, without a header."""
    if not (folder / "label.csv").is_file():
        raise DataError(f"{folder / 'label.csv'}: not there: the copy of FERPlus is incomplete; copy it again")
    below = folder.relative_to(root).as_posix()
    lines = text_lines(inside(root, folder / "label.csv"))
    for (number, _), row in zip(lines, csv.reader(text for _, text in lines), strict=True):
        try:
            if len(row) != 2 + len(COLUMNS):
                raise ItemError(f"{folder / 'label.csv'}, line {number}: not a name, a box and {len(COLUMNS)} votes")
            votes = votes_in(row[2:], f"{folder / 'label.csv'}, line {number}")
        except ItemError as error:
            skipped.add(error)
            continue
        yield Voted(Path(row[0]).stem, part, f"{below}/{row[0].strip()}", votes)


def votes_in(written: Sequence[str], where: str) -> tuple[int, ...]:
    """The votes that a row holds.

    Raises:
        ItemError: one is not a number of 0 or more.
    """
    try:
        votes = tuple(whole_number(value) for value in written)
    except ValueError as error:
        raise ItemError(f"{where}: {error}: copy the file again") from None
    if min(votes) < 0 or not any(votes):
        raise ItemError(f"{where}: {', '.join(map(str, votes))} are no votes: copy the file again")
    return votes


NEAR = {
    "Neutral": ("Sadness", "Contempt"), "Happiness": ("Neutral", "Surprise"), "Surprise": ("Fear", "Happiness"),
    "Sadness": ("Neutral", "Fear"), "Anger": ("Disgust", "Neutral"), "Disgust": ("Anger", "Sadness"),
    "Fear": ("Surprise", "Sadness"), "Contempt": ("Neutral", "Happiness"),
}  # fmt: skip
"""What people take an expression of the twin for, beside what it is."""


def votes_of(shown: str, rng: np.random.Generator) -> tuple[int, ...]:
    """The twin's ten votes on a picture: most on what it shows, by people of whom some see something near."""
    sure = float(rng.beta(5, 1.6))
    share = np.full(len(COLUMNS), 0.02)
    share[CLASSES.index(shown)] += sure
    for near, weight in zip(NEAR[shown], (0.7, 0.3), strict=True):
        share[CLASSES.index(near)] += (1 - sure) * weight
    if rng.random() < 0.005:  # no face in the picture, say most
        share[-1] += 5
    return tuple(rng.multinomial(VOTERS, share / share.sum()).tolist())


def write_votes(root: Path, parts: Sequence[str], votes: Sequence[tuple[int, ...]]) -> None:
    """Writes the table of votes of FER2013's twin."""
    usages = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}
    with (root / VOTES).open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("Usage", "Image name", *COLUMNS))
        for number, (part, row) in enumerate(zip(parts, votes, strict=True)):
            name = "" if row[-1] > VOTERS / 2 else f"fer{number:07d}.png"
            table.writerow((usages[part], name, *row))


DATASET = DataSet(
    name="ferplus",
    title="FERPlus",
    source="Barsoum et al., ICMI 2016",
    licence="of the votes MIT; of the pictures unknown",
    classes=CLASSES,
    protocol=Protocol(
        folds=1,
        image_frames=1,
        neutral="training_neutral",
        copies="drop from training",
        options={"labels": "majority", "subset": "all"},
    ),
    options={"labels": RULES, "subset": tuple(SUBSETS)},
    official_counts={f"{part} samples": count for part, count in COUNTS.items()},
    marks=(VOTES, "FER2013Train"),
    layouts=FER2013.layouts[:1],
    official_test=True,
    optional=True,
    field_measures=True,
    folder="fer2013",
    read=read,
    film=FER2013.film,
)
