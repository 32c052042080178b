"""CREMA-D: 91 actors say twelve sentences with six emotions; 7,442 videos, each judged by about ten people.

Cao et al.: "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Transactions on Affective Computing 5(4),
2014 (github.com/CheyneyComputerScience/CREMA-D). Layout as released:

    VideoFlash/1001_DFA_ANG_XX.flv             actor, sentence, emotion, level; mp4 is read too
    VideoDemographics.csv                      ActorID, Age, Sex, Race, Ethnicity
    processedResults/summaryTable.csv          FileName, ..., FaceVote (`A`, or `A:D` where two have as many votes)
    processedResults/tabulatedVotes.csv        votes by video: of the face alone in rows 200000 and above

Protocol: five folds by actor, in the order of their numbers (18, 18, 18, 18 and 19 of 91). Videos are read `rate` times
a second. `truth: acted` is what the actor was asked for; `truth: face votes` what most people saw in the face alone:
videos without one winner are left out then, and counted. People agree with the actors in 66% of the videos: their votes
are kept, and are the row to which any other is to be compared. Results are told apart by sex, age, race and level.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Skipped
from ferbench.datasets.items import Item, corpus_of, frames_of_video, inside
from ferbench.datasets.spelling import csv_rows, whole_number
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film, Shot
from ferbench.datasets.synthetic.takes import clip, film_of, mistaken
from ferbench.datasets.video import frame_name

CODES = {"ANG": "Anger", "DIS": "Disgust", "FEA": "Fear", "HAP": "Happiness", "NEU": "Neutral", "SAD": "Sadness"}
CLASSES = tuple(CODES.values())
LETTERS = tuple(code[0] for code in CODES)
"""How votes are written: A, D, F, H, N, S."""
ACTORS, FOLDS, VIDEOS = 91, 5, 7_442
SENTENCES = ("IEO", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "ITH", "DFA", "ITS", "TSI", "WSI")
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_(LO|MD|HI|X|XX)\.(?:flv|mp4)", re.IGNORECASE)
TRUTHS = ("acted", "face votes")
AGES = ((30, "below 30"), (45, "30 to 44"), (200, "45 and above"))
DEMOGRAPHICS = "VideoDemographics.csv"
SUMMARY, TABULATED = "processedResults/summaryTable.csv", "processedResults/tabulatedVotes.csv"
OF_FACE = range(200_000, 300_000)
"""Rows of the tabulated votes that are on the face alone."""
SEEN_AS_ACTED = {
    "Anger": 0.66, "Disgust": 0.64, "Fear": 0.52, "Happiness": 0.95, "Neutral": 0.92, "Sadness": 0.36,
}  # fmt: skip
"""How often people see in the twin's faces what the actor was asked for, as they do in the original's."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the videos with one of the two truths.

    Raises:
        DataError: there are no videos, two files are one video, or the votes that the protocol asks for are not there.
    """
    rate = protocol.options["rate"]
    if rate < 1:
        raise DataError(f"crema_d: protocol rate must be at least 1 frame a second, not {rate}")
    misnamed, skipped = Skipped("videos"), Skipped("rows of votes and demographics")
    files = video_files(root, misnamed)
    for table in (DEMOGRAPHICS, SUMMARY, TABULATED):
        inside(root, root / table)
    people, votes = demographics(root / DEMOGRAPHICS, skipped), face_votes(root / TABULATED, skipped)
    items = [item_of(root, name, file, rate, people) for name, file in sorted(files.items())]
    if votes:
        items = [replace(item, votes=votes.get(item.name, (0.0,) * len(CLASSES))) for item in items]
    notes = [*misnamed.notes(len(items), root), *skipped.notes(len(items), root)]
    if protocol.options["truth"] == "face votes":
        winners = face_winners(root / SUMMARY)
        seen = [replace(item, label=winners[item.name]) for item in items if item.name in winners]
        notes.append(f"{len(items) - len(seen)} of {len(items)} videos have no one emotion that most saw: left out")
        items = seen
    return corpus_of("crema_d", root, CLASSES, items, notes)


def video_files(root: Path, skipped: Skipped) -> dict[str, Path]:
    """The video of each name.

    Raises:
        DataError: there is none, two files have one name, or a link leads out of the root.
    """
    found: dict[str, Path] = {}
    for top in ("VideoFlash", "."):
        for file in sorted((root / top).glob("*")) if (root / top).is_dir() else ():
            match = NAME.fullmatch(file.name)
            if match is None or match[3].upper() not in CODES or not file.is_file():
                if file.suffix.lower() == ".flv":
                    skipped.add(f"{file}: no name of a video of CREMA-D, such as 1001_DFA_ANG_XX.flv: rename it")
                continue
            inside(root, file)
            if file.stem in found:
                raise DataError(f"{found[file.stem]} and {file} both claim to be {file.stem}: remove one of them")
            found[file.stem] = file
        if found:
            return found
    raise DataError(f"{root}: no videos of CREMA-D: expected VideoFlash/1001_DFA_ANG_XX.flv (after `git lfs pull`)")


def item_of(root: Path, name: str, file: Path, rate: int, people: dict[str, dict[str, str]]) -> Item:
    """A video under what was acted."""
    actor, _, emotion, level = name.upper().split("_")
    return Item(
        name=name,
        label=CLASSES.index(CODES[emotion]),
        frames=frames_of_video(file, root, rate),
        fold=min(FOLDS - 1, (int(actor) - 1001) // (ACTORS // FOLDS)),
        subject=actor,
        attributes={**people.get(actor, UNKNOWN), "level": LEVELS.get(level, "unspecified")},
    )


UNKNOWN = {"sex": "", "age": "", "race": ""}


def demographics(file: Path, skipped: Skipped) -> dict[str, dict[str, str]]:
    """Sex, age and race of each actor; none where the file is not there."""
    found = {}
    for line, row in csv_rows(file, ("ActorID", "Age", "Sex", "Race")) if file.is_file() else ():
        try:
            age = whole_number(row["age"])
            group = next(name for limit, name in AGES if age < limit)
            found[row["actorid"].strip()] = {"sex": row["sex"].lower(), "age": group, "race": row["race"]}
        except (KeyError, ValueError, StopIteration):
            skipped.add(f"{file}, line {line}: not an actor with age, sex and race: copy the file again")
    return found


def face_votes(file: Path, skipped: Skipped) -> dict[str, tuple[float, ...]]:
    """Share of the people who chose each emotion on seeing the face alone, by video; none where the file is not
    there."""
    found = {}
    for line, row in csv_rows(file, ("A", "D", "F", "H", "N", "S", "fileName")) if file.is_file() else ():
        try:
            if whole_number(row[""]) in OF_FACE:
                counts = [whole_number(row[letter.lower()]) for letter in LETTERS]
                found[Path(row["filename"].strip()).stem] = tuple(count / max(1, sum(counts)) for count in counts)
        except (KeyError, ValueError):
            skipped.add(f"{file}, line {line}: not a row of votes: copy the file again")
    return found


def face_winners(file: Path) -> dict[str, int]:
    """The emotion that most saw in the face of each video that has one; two may have as many votes.

    Raises:
        DataError: the table is not there.
    """
    if not file.is_file():
        raise DataError(f"{file}: the protocol's truth is face votes: copy this table, or set truth to acted")
    return {
        Path(row["filename"].strip()).stem: LETTERS.index(vote)
        for _, row in csv_rows(file, ("FileName", "FaceVote"))
        if (vote := row.get("facevote", "").strip().upper()) in LETTERS
    }


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: 91 actors at any scale, `scale` x the 82 videos of each (at least one of each emotion), of 2.5 seconds
    at 8 frames, spoken, before one wall. What people see is often not what was acted, and that is what is shown."""
    shots: list[Shot] = []
    votes: list[tuple[str, tuple[int, ...]]] = []
    people: list[tuple[str, ...]] = []
    for actor in range(1001, 1001 + ACTORS):
        rng = np.random.default_rng(number_of("crema_d", seed, actor))
        sex, age, race = rng.choice(("Male", "Female")), int(rng.integers(20, 75)), rng.choice(RACES, p=SHARES)
        people.append((str(actor), str(age), str(sex), str(race), "Not Hispanic"))
        takes = [f"{sentence}_{code}_XX" for sentence in SENTENCES[1:] for code in CODES]
        takes += [f"IEO_{code}_{level}" for code in CODES for level in ("LO", "MD", "HI") if code != "NEU"]
        takes += ["IEO_NEU_XX"]
        order = rng.permutation(len(takes)).tolist()
        first = [next(i for i in order if f"_{code}_" in takes[i]) for code in CODES]
        rest = [i for i in order if i not in first]
        kept = sorted([*first, *rest[: max(0, round(len(takes) * scale) - len(first))]])
        if scale == 1 and actor in LOST:
            kept.remove(max(i for i in kept if f"_{LOST[actor]}_" in takes[i]))
        for take in (takes[i] for i in kept):
            name = f"{actor}_{take}"
            names = ("crema_d", seed, name)
            rng = np.random.default_rng(number_of("performance", *names))
            acted = CODES[take.split("_")[1]]
            shown = mistaken(acted, CLASSES, (1 - SEEN_AS_ACTED[acted]) * 0.8, rng)
            strength = {"LO": (0.35, 0.5), "MD": (0.5, 0.75), "HI": (0.75, 1.0)}.get(take[-2:], (0.45, 0.9))
            person = number_of("twin", "crema_d", seed, actor)
            files = tuple(frame_name(f"VideoFlash/{name}.flv", n / 8) for n in range(20))
            shots.append(clip(names, shown, files, rng, person, style="talk", strength=strength, speech=0.4))
            share = np.full(len(CLASSES), 0.06)
            share[CLASSES.index(shown)] += float(rng.beta(4, 1.5))
            votes.append((name, tuple(rng.multinomial(10, share / share.sum()).tolist())))
    return film_of("crema_d", scale, seed, shots, annotate=lambda root: write_tables(root, people, votes))


LOST = {
    **dict.fromkeys(range(1001, 1006), "NEU"), **dict.fromkeys((1006, 1007, 1008), "ANG"),
    **dict.fromkeys((1009, 1010, 1011), "DIS"), **dict.fromkeys((1012, 1013, 1019), "FEA"),
    **dict.fromkeys((1020, 1021, 1022), "HAP"), **dict.fromkeys((1023, 1024, 1091), "SAD"),
}  # fmt: skip
"""Of whom the whole twin lacks a video: the release has 7,442 and not 91 x 82, in folds of 1,463 to 1,557."""
RACES, SHARES = ("Caucasian", "African American", "Asian"), (0.67, 0.24, 0.09)


def write_tables(root: Path, people: list[tuple[str, ...]], votes: list[tuple[str, tuple[int, ...]]]) -> None:
    """Writes demographics and votes of the twin."""
    (root / "processedResults").mkdir()
    lines = ["ActorID,Age,Sex,Race,Ethnicity", *(",".join(person) for person in people)]
    (root / DEMOGRAPHICS).write_text("\n".join(lines) + "\n", encoding="utf-8")
    tabulated, summary = ['"",A,D,F,H,N,S,fileName,numResponses'], ['"",FileName,VoiceVote,FaceVote,MultiModalVote']
    for number, (name, counts) in enumerate(votes, start=1):
        row = ",".join(map(str, counts))
        tabulated += [f"{kind + number},{row},{name},{sum(counts)}" for kind in (100_000, 200_000, 300_000)]
        vote = ":".join(letter for letter, count in zip(LETTERS, counts, strict=True) if count == max(counts))
        summary.append(f"{number},{name},{vote},{vote},{vote}")
    (root / TABULATED).write_text("\n".join(tabulated) + "\n", encoding="utf-8")
    (root / SUMMARY).write_text("\n".join(summary) + "\n", encoding="utf-8")


DATASET = DataSet(
    name="crema_d",
    title="CREMA-D",
    source="Cao et al., IEEE Transactions on Affective Computing 5(4), 2014",
    licence="Open Database Licence",
    classes=CLASSES,
    protocol=Protocol(folds=FOLDS, image_frames=3, neutral="first_frame", options={"rate": 8, "truth": "acted"}),
    options={"truth": TRUTHS},
    official_counts={"subjects": ACTORS, "samples": VIDEOS},
    marks=("VideoFlash", DEMOGRAPHICS),
    layouts=("release",),
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
