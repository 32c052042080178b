"""Aff-Wild2, expression track: people in videos from the web, one of seven expressions in each frame.

Kollias, Zafeiriou: "Expression, affect, action unit recognition: Aff-Wild2, multi-task learning and ArcFace", BMVC 2019
(arXiv 1910.04855); the challenges are the ABAW competitions. Layout as released:

    cropped_aligned/VIDEO/00001.jpg                    crops, frame i of the video; no face was found: no file
    annotations/EXPR_Set/{Train_Set,Validation_Set}/VIDEO.txt                           ABAW 2021, 7 classes
    annotations/EXPR_Set/{Training_Set,Validation_Set}/VIDEO.txt                        ABAW 2020, 7 classes
    annotations/EXPR_Classification_Challenge/{Train_Set,Validation_Set}/VIDEO.txt      ABAW3 (2022), 8 classes
    annotations/EXPR_Recognition_Challenge/{Train_Set,Validation_Set}/VIDEO.txt         ABAW6 (2024), 8 classes

Frame i is line i after the header, which names the classes; -1 is no label. The folder of the annotations may have any
name or be left out, and further folders `cropped_aligned*` are read too. Seven and eight classes (`Other`) are two
tasks: this data set reads a release of seven, `aff_wild2_8` one of eight, and neither reads the other's.

`VIDEO_left` and `VIDEO_right` are two people of one video: each is a subject, and the video stays on one side of every
cut. Protocol: the official training part trains (a validation part is cut from it by video), the official validation
part tests. A sample is one labelled frame. A frame without a crop keeps its place and is filled by the nearest earlier
one, so that a window spans the same time everywhere. The training samples are every `train_step`-th labelled frame of
each track; `train_step` 0 is the rule: 10 where more than 100,000 training frames have a label, else 1. All labelled
frames of the test part are scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import ItemError, Skipped
from ferbench.datasets.numbered_frames import NumberedFrames, numbered_images
from ferbench.datasets.spelling import is_shown, whole_number
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.action_units import unit_vector
from ferbench.datasets.synthetic.expressions import add_blinks, add_speech, expression_units, smoothstep
from ferbench.datasets.synthetic.film import Film, Shot

CLASSES = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
EIGHT_CLASSES = (*CLASSES, "Other")
TREES = ("EXPR_Set", "EXPR_Classification_Challenge", "EXPR_Recognition_Challenge")
TRAINING, VALIDATION = ("Train_Set", "Training_Set"), "Validation_Set"
CROPS = "cropped_aligned"
MANY_FRAMES, MANY_STEP = 100_000, 10
"""The rule of `train_step` 0."""
MOST_MISSING = 0.2
"""Share of the labelled frames that may lack a crop; the release lacks about 2%."""


@dataclass(frozen=True)
class Person:
    """One person of one video: a label file and a folder of crops."""

    name: str
    """Name of both, as in `10-60-1280x720_right`."""
    part: str
    folder: str
    """Folder of the crops below the root."""
    frames: int
    """Frames from the first to the last that has a crop or a label."""
    label: NDArray[np.int8]
    """Label of each of the first frames; -1 where there is none."""
    missing: int
    """Labelled frames without a crop."""
    suffix: str
    """Ending of the names of its crops."""
    others: dict[int, str]
    """Names of those that are not called by their number in five digits and this ending, by number."""

    @property
    def video(self) -> str:
        """Name of the video: two people of one share it."""
        return video_of(self.name)


def video_of(name: str) -> str:
    """Name of the video of a person: `10-60-1280x720_right` is in `10-60-1280x720`."""
    return re.sub(r"_(left|right)$", "", name)


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens a release of seven classes.

    Raises:
        DataError: no such release is there, it is half copied, or an annotation cannot be used.
    """
    return read_release(root, protocol, "aff_wild2", CLASSES)


def read_release(root: Path, protocol: Protocol, dataset: str, classes: tuple[str, ...]) -> Corpus:
    """Opens the release of these classes. Its frames are listed, never held: a path is made when it is read.

    Raises:
        DataError: no such release is there, it is half copied, or an annotation cannot be used.
    """
    files = label_files(find_tree(root, classes))
    refuse_divided_videos(root, files)
    crops = crop_folders(root)
    people, skipped = [], Skipped("label files")
    for file, of in [(file, part) for part in files for file in files[part]]:
        try:
            people.append(person_of(file, of, crops, root, classes))
        except ItemError as error:
            skipped.add(error)
    left_out = skipped.notes(len(people), root)
    refuse_half_copy(root, people)
    bounds = np.concatenate([[0], np.cumsum([person.frames for person in people])]).astype(np.int64)
    step = train_step(people, protocol.options["train_step"], where=dataset)
    chosen = [labelled_frames(person, step) for person in people]
    track = np.repeat(np.arange(len(people)), [len(frames) for frames in chosen])
    place = np.concatenate([bounds[t] + frames for t, frames in enumerate(chosen)])
    unlabelled = len(crops) - len(people) - len(skipped.faults)
    return keep_present_classes(
        Corpus(
            dataset=dataset,
            root=root,
            classes=classes,
            frames=frames_of(people, bounds),
            track_start=bounds,
            track_subject=tuple(person.name for person in people),
            sample_id=tuple(f"{p.name}/{n:05d}" for p, f in zip(people, chosen, strict=True) for n in (f + 1).tolist()),
            track=track,
            start=place,
            stop=place + 1,
            label=np.concatenate([p.label[f] for p, f in zip(people, chosen, strict=True)]).astype(np.int64),
            part=tuple(p.part for p, f in zip(people, chosen, strict=True) for _ in range(len(f))),
            notes=(
                *((f"every {step}th labelled frame of the training part",) if step > 1 else ()),
                *((f"{unlabelled} folders of crops have no label file",) if unlabelled > 0 else ()),
                *left_out,
            ),
            neutral_class=0,
            split_group=tuple(person.video for person in people),
        )
    )


def frames_of(people: Sequence[Person], bounds: NDArray[np.int64]) -> NumberedFrames:
    """All frames of all people."""
    others = {
        first + number - 1: f"{person.folder}/{name}"
        for first, person in zip(bounds.tolist(), people, strict=False)
        for number, name in person.others.items()
    }
    folders, suffixes = zip(*((person.folder, person.suffix) for person in people), strict=True)
    return NumberedFrames(folders, bounds, suffixes, others)


def find_tree(root: Path, classes: tuple[str, ...]) -> Path:
    """The folder with the training and validation labels of these classes.

    Raises:
        DataError: there is none or more than one; says so where there is one of other classes.
    """
    trees = [tree for name in TREES for tree in (root / name, *sorted(root.glob(f"*/{name}"))) if tree.is_dir()]
    if not trees:
        raise DataError(f"{root}: no annotations of Aff-Wild2's expressions: expected annotations/{TREES[0]}/, "
                        f"{TREES[1]}/ or {TREES[2]}/ with {TRAINING[0]}/ and {VALIDATION}/")  # fmt: skip
    kind = {}
    for tree in trees:
        for folder in (tree.parent, tree, *tree.iterdir()):
            refuse_link_outside(root, folder)
        first = next(file for files in label_files(tree).values() for file in files)
        kind[tree] = header_of(first)
    own = [tree for tree in trees if kind[tree] == same_case(classes)]
    if len(own) > 1:
        raise DataError(f"{own[0]} and {own[1]} both hold labels of {len(classes)} classes: move one of them away")
    if not own:
        other = trees[0]
        raise DataError(f"{other}: the labels have {len(kind[other])} classes, not these {len(classes)}: "
                        f"{', '.join(classes)}: aff_wild2 reads 7 classes and aff_wild2_8 reads 8")  # fmt: skip
    return own[0]


def label_files(tree: Path) -> dict[str, list[Path]]:
    """Label files of the parts `train` and `test`, by name.

    Raises:
        DataError: a part is missing, empty, or there twice.
    """
    training = [tree / name for name in TRAINING if (tree / name).is_dir()]
    if len(training) > 1:
        raise DataError(f"{tree}: both {TRAINING[0]}/ and {TRAINING[1]}/ are there: move one of them away")
    found = {}
    for part, folder in (("train", training[0] if training else tree / TRAINING[0]), ("test", tree / VALIDATION)):
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        found[part] = [file for file in files if is_shown(file) and file.suffix.lower() == ".txt"]
        if not found[part]:
            raise DataError(f"{folder}: no label files: the copy of Aff-Wild2 is incomplete; copy it again")
    return found


def text_of(file: Path) -> list[str]:
    """Lines of a label file, without empty ones at the end."""
    try:
        return file.read_bytes().decode("utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ItemError(f"{file}: not a text file: copy the file again") from error


def header_of(file: Path) -> tuple[str, ...]:
    """Classes that the first line names, in small letters."""
    lines = text_of(file)
    return same_case(lines[0].split(",")) if lines else ()


def same_case(names: Sequence[str]) -> tuple[str, ...]:
    """Names in small letters, without blanks around them."""
    return tuple(name.strip().lower() for name in names)


def labels_of(file: Path, classes: tuple[str, ...]) -> NDArray[np.int8]:
    """(frames,) label of each frame, -1 where there is none.

    Raises:
        DataError: the header names other classes, or a line is no label of them.
    """
    header, *lines = text_of(file) or [""]
    if same_case(header.split(",")) != same_case(classes):
        raise DataError(f"{file}: the header is {header[:80]!r}, not {','.join(classes)!r} as in the other files: "
                        "releases of 7 and of 8 classes must not be mixed")  # fmt: skip
    try:
        label = np.array(lines, dtype=np.int64)
    except ValueError:
        label = np.array([label_of(line) for line in lines], dtype=np.int64)
    wrong = np.flatnonzero((label < -1) | (label >= len(classes)))
    if len(wrong):
        raise ItemError(f"{file}, line {wrong[0] + 2}: {lines[wrong[0]][:40]!r} is no label: labels are -1 to "
                        f"{len(classes) - 1}")  # fmt: skip
    return label.astype(np.int8)


def label_of(line: str) -> int:
    """The label in a line; -2 where it holds none."""
    try:
        return whole_number(line)
    except ValueError:
        return -2


def refuse_divided_videos(root: Path, files: Mapping[str, Sequence[Path]]) -> None:
    """Raises DataError where a video is in the training and in the validation part."""
    videos = {part: {video_of(file.stem) for file in found} for part, found in files.items()}
    shared = sorted(videos["train"] & videos["test"])
    if shared:
        raise DataError(f"{root}: video {shared[0]} has labels in the training and in the validation part "
                        f"({len(shared)} in all): remove one of the two")  # fmt: skip


def crop_folders(root: Path) -> dict[str, list[Path]]:
    """Folders of crops by name; a name that is there twice has two.

    Raises:
        DataError: there is no folder of crops at all.
    """
    tops = sorted(folder for folder in root.glob(f"{CROPS}*") if folder.is_dir())
    if not tops:
        raise DataError(f"{root}: no {CROPS}/ here: expected {CROPS}/VIDEO/00001.jpg")
    found: dict[str, list[Path]] = {}
    for top in tops:
        refuse_link_outside(root, top)
        for folder in top.iterdir():
            if not folder.name.startswith(".") and folder.is_dir():
                found.setdefault(folder.name, []).append(folder)
    return found


def person_of(
    file: Path, part: str, crops: Mapping[str, Sequence[Path]], root: Path, classes: tuple[str, ...]
) -> Person:
    """The person of a label file.

    Of a label file with one line more than there are frames the last line is dropped: the release has such files.

    Raises:
        DataError: the crops are not there or there twice, most labels lie past the last one, or the file is wrong.
    """
    refuse_link_outside(root, file)
    label = labels_of(file, classes)
    folders = crops.get(file.stem, [])
    if len(folders) > 1:
        raise DataError(f"{folders[0]} and {folders[1]} both claim to be video {file.stem}: remove one of them")
    if not folders:
        raise ItemError(f"{file}: there are no crops {CROPS}/{file.stem}/: copy them, or remove the label file")
    refuse_link_outside(root, folders[0])
    images = numbered_images(folders[0], root)
    if not images:
        raise ItemError(f"{folders[0]}: no images: the copy of Aff-Wild2 is incomplete; copy it again")
    if 0 in images:
        raise DataError(f"{folders[0]}: there is a frame 0: frames of Aff-Wild2 are counted from 1; rename them")
    last = max(images)
    if len(label) == last + 1:
        label = label[:last]
    if len(label) > 2 * last:
        raise ItemError(f"{file}: {len(label)} labels but the last frame of {folders[0]} is {last}: the crops are "
                        "incomplete or belong to another video; copy them again")  # fmt: skip
    frames = max(last, len(label))
    present = np.zeros(frames, dtype=np.bool_)
    present[np.fromiter(images, dtype=np.int64, count=len(images)) - 1] = True
    missing = int(((label >= 0) & ~present[: len(label)]).sum())
    suffix = Path(images[min(images)]).suffix
    others = {number: name for number, name in images.items() if name != f"{number:05d}{suffix}"}
    return Person(file.stem, part, folders[0].relative_to(root).as_posix(), frames, label, missing, suffix, others)


def refuse_half_copy(root: Path, people: Sequence[Person]) -> None:
    """Raises DataError when more labelled frames lack a crop than the release explains, or nothing has a label."""
    labelled = sum(int((person.label >= 0).sum()) for person in people)
    if not labelled:
        raise DataError(f"{root}: no frame has a label: the copy of Aff-Wild2 is incomplete; copy it again")
    missing = sum(person.missing for person in people)
    if missing > MOST_MISSING * labelled:
        worst = max(people, key=lambda person: person.missing)
        raise DataError(f"{root}: {missing} of {labelled} labelled frames have no crop, most of them in {worst.folder} "
                        "(the release lacks about 2%): the copy is incomplete; copy it again")  # fmt: skip


def train_step(people: Sequence[Person], asked: int, where: str) -> int:
    """Every how many labelled frames of the training part one is a sample."""
    if asked < 0:
        raise DataError(f"{where}: train_step must be 0 (the rule) or more, not {asked}")
    labelled = sum(int((person.label >= 0).sum()) for person in people if person.part == "train")
    return asked or (MANY_STEP if labelled > MANY_FRAMES else 1)


def labelled_frames(person: Person, step: int) -> NDArray[np.int64]:
    """Places of the labelled frames that are samples, counted from 0: all of the test part."""
    labelled = np.flatnonzero(person.label >= 0)
    return labelled[(step - 1) // 2 :: step] if person.part == "train" else labelled


# The twin

RELEASES = {
    "abaw2021+abaw3": (f"EXPR_Set/{TRAINING[0]}", f"EXPR_Classification_Challenge/{TRAINING[0]}"),
    "abaw2020+abaw6": (f"EXPR_Set/{TRAINING[1]}", f"EXPR_Recognition_Challenge/{TRAINING[0]}"),
}
"""Layouts of the twin: where the training labels of seven and of eight classes lie."""
FILES = {"train": 248, "test": 70}
"""Label files of ABAW3."""
MEAN_FRAMES = 2_800
"""Frames of one of them, about."""
SHORTEST = 22.0
"""Mean frames of a video of the twin at any scale: two stretches."""
SHARES = {
    "Neutral": 0.36, "Anger": 0.06, "Disgust": 0.05, "Fear": 0.05, "Happiness": 0.16, "Sadness": 0.12,
    "Surprise": 0.07, "Other": 0.09, "": 0.04,
}  # fmt: skip
"""How often a stretch of the twin bears a label; the last is a stretch without one."""
OTHERS = (
    {"AU14": 0.8, "ASYM": 1.0}, {"AU18": 0.9}, {"AU4": 0.4, "AU17": 0.7, "AU24": 0.5}, {"AU43": 0.8},
    {"AU10": 0.6, "AU7": 0.5}, {"AU2": 0.8, "AU14": 0.5},
)  # fmt: skip
"""What a face does in a stretch of another expression: contempt, pout, doubt, drowsiness, squint, irony."""
MISTAKEN = 0.06
"""Share of stretches that show another expression than their label."""
ONSET = (6, 12)
"""Frames that a change of expression takes. Its label begins with it, so a still frame does not tell the two apart."""


@dataclass(frozen=True)
class Take:
    """What the twin shows and writes of one person."""

    name: str
    part: str
    units: NDArray[np.float32]
    codes: NDArray[np.int64]
    """(T,) of the eight classes, -1 for none."""
    found: NDArray[np.bool_]
    """(T,) whether a face was found in the frame."""
    extra_line: bool


def film(scale: float, seed: int, protocol: Protocol, layout: str, test_scale: float | None = None) -> Film:
    """The twin: `scale` x the original's frames, in shorter videos, with the labels of both tasks.

    There are as many people as that gives in the shortest videos, and from a scale of 0.008 on as many as in the
    original: a model that has seen few people learns them and not their expressions. A stretch of another expression
    has the label Other of eight and none of seven.
    """
    takes, shots = [], []
    for take in all_takes({"train": scale, "test": scale if test_scale is None else test_scale}, seed):
        takes.append(take)
        person = ("aff_wild2", seed, take.name)
        shots.append(
            Shot(
                identity=number_of("twin", *person),
                units=take.units,
                scene=number_of("scene", *person),
                files=tuple(
                    f"{CROPS}/{take.name}/{i + 1:05d}.jpg" if seen else "" for i, seen in enumerate(take.found)
                ),
                style="talk" if number_of("style", *person) % 4 else "wild",
            )
        )
    return Film(
        "aff_wild2", scale, seed, tuple(shots), lambda root: write_labels(root, takes, RELEASES[layout]),
        test_scale=test_scale,
    )  # fmt: skip


def all_takes(scales: Mapping[str, float], seed: int) -> Iterator[Take]:
    """Everyone of the twin, each part at its scale; every seventh is beside the one before, in one video."""
    for part, files in FILES.items():
        scale = scales[part]
        length = max(SHORTEST, MEAN_FRAMES * scale)
        people = max(7 if part == "train" else 4, min(files, round(files * MEAN_FRAMES * scale / SHORTEST)))
        rng = np.random.default_rng(number_of("aff_wild2", seed, part))
        frames = np.maximum(20, length * np.exp(rng.normal(0, 0.25, people))).astype(int)
        plans = [stretches(int(count), float(np.clip(length / 2.2, 12, 150)), rng) for count in frames]
        deck = iter(deck_of(sum(map(len, plans)), rng))
        for i, plan in enumerate(plans):
            number = i - 1 if i % 7 == 3 else i
            side = {2: "_left", 3: "_right"}.get(i % 7, "") if i - i % 7 + 3 < people else ""
            dealt = [(next(deck), count) for count in plan]
            yield take_of(f"{part}{number:03d}-30-1280x720{side}", part, dealt, seed)


def stretches(frames: int, mean: float, rng: np.random.Generator) -> list[int]:
    """Lengths of the stretches of a video, none shorter than 10 frames."""
    lengths: list[int] = []
    while sum(lengths) < frames:
        left = frames - sum(lengths)
        length = max(10, int(mean * rng.uniform(0.6, 1.5)))
        lengths.append(length if left - length >= 10 else left)
    return lengths


def deck_of(count: int, rng: np.random.Generator) -> list[str]:
    """Labels of all stretches of a part, in the order in which they are dealt: each at least twice if they suffice."""
    times = {name: max(2 if name else 1, int(share * count)) for name, share in SHARES.items() if name != "Neutral"}
    rest = [name for name, number in times.items() for _ in range(number)]
    neutral = max(round(SHARES["Neutral"] * count), count - len(rest))
    deck = [rest[i] for i in rng.permutation(len(rest))[: count - neutral]] + ["Neutral"] * neutral
    return [deck[i] for i in rng.permutation(count)]


def take_of(name: str, part: str, dealt: Sequence[tuple[str, int]], seed: int) -> Take:
    """A person's video: stretches of (label, frames), each expression growing out of the one before."""
    rng = np.random.default_rng(number_of("performance", "aff_wild2", seed, name))
    strength = float(np.clip(rng.normal(0.88, 0.12), 0.6, 1.0))
    now, parts, codes = unit_vector(), [], []
    for emotion, length in dealt:
        target = shown_units(emotion, strength, rng)
        begun = np.arange(1, length + 1)[:, None] / rng.uniform(*ONSET)
        delay = rng.uniform(0, 0.3, len(target))
        parts.append(now + (target - now) * smoothstep((begun - delay) / (1 - delay)))
        codes += [EIGHT_CLASSES.index(emotion) if emotion else -1] * length
        now = parts[-1][-1]
    units = np.concatenate(parts).astype(np.float32)
    if rng.random() < 0.6:
        units = add_speech(units, rng, rng.uniform(0.2, 0.45))
    found = found_frames(len(units), rng)
    return Take(name, part, add_blinks(units, rng), np.array(codes), found, bool(rng.random() < 0.3))


def shown_units(emotion: str, strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """(A,) action units of a stretch with this label, which is sometimes mistaken."""
    if emotion == "" or rng.random() < MISTAKEN:
        emotion = EIGHT_CLASSES[rng.integers(len(EIGHT_CLASSES))]
    power = float(np.clip(strength * rng.normal(1, 0.2), 0.35, 1))
    if emotion != "Other":
        return expression_units(emotion, rng, power)
    other = unit_vector(**OTHERS[rng.integers(len(OTHERS))])
    return (other * rng.uniform(0.7, 1.0)).astype(np.float32)


def found_frames(frames: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(T,) whether a face was found in each frame: now and then it is lost for one to six."""
    found = np.ones(frames, dtype=np.bool_)
    for start in np.flatnonzero(rng.random(frames) < 0.008):
        found[start : start + rng.integers(1, 7)] = False
    found[frames // 2] = True
    return found


def write_labels(root: Path, takes: Sequence[Take], training: tuple[str, str]) -> None:
    """Label files of both tasks."""
    for classes, train in zip((CLASSES, EIGHT_CLASSES), training, strict=True):
        folder = {"train": root / "annotations" / train}
        folder["test"] = folder["train"].with_name(VALIDATION)
        for take in takes:
            codes = np.where(take.codes < len(classes), take.codes, -1).tolist()
            lines = [",".join(classes), *map(str, codes), *([str(codes[-1])] if take.extra_line else [])]
            folder[take.part].mkdir(parents=True, exist_ok=True)
            (folder[take.part] / f"{take.name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


DATASET = DataSet(
    name="aff_wild2",
    title="Aff-Wild2 (7 classes)",
    source="Kollias, Zafeiriou, arXiv 1910.04855; the expression track of ABAW 2021, arXiv 2106.15318",
    licence="on request from the authors; research only",
    classes=CLASSES,
    protocol=Protocol(folds=1, image_frames=1, neutral="training_neutral", context=9, options={"train_step": 0}),
    official_counts={},
    marks=(f"{CROPS}*", *TREES, *(f"*/{tree}" for tree in TREES)),
    layouts=tuple(RELEASES),
    sparse=True,
    official_test=True,
    read=read,
    film=film,
)
