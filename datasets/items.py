"""Releases that are a list: pictures and clips with a label each, and their columns as a corpus."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ferbench.datasets.containment import path_inside
from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.integrity import ItemError
from ferbench.datasets.spelling import PICTURES, files_in
from ferbench.datasets.video import frame_name, read_duration, sample_times

SHORT = 16
"""Frames that most clip architectures of the field see; a clip that has no more of them repeats some."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One picture or clip of a release. What is left at its default is not known or not there."""

    name: str
    label: int
    frames: tuple[str, ...]
    """Below the root, in order."""
    part: str = ""
    fold: int | None = None
    """Official fold that tests it."""
    subject: str | None = None
    box: Box | None = None
    """Where the face is in each of its frames: x, y, width and height in pixels."""
    votes: tuple[float, ...] = ()
    """Share of the people asked who chose each class."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Scene, sex, age...; every item has the same keys."""


def corpus_of(
    dataset: str, root: Path, classes: Sequence[str], items: Sequence[Item], notes: Iterable[str] = ()
) -> Corpus:
    """Each item is a track and a sample. The class map is cut to the classes that the items hold.

    Raises:
        DataError: there is no item, or two have one name.
    """
    if not items:
        raise DataError(f"{root}: no labelled picture or clip of {dataset}: the copy is incomplete; copy it again")
    bounds = np.cumsum([0, *(len(item.frames) for item in items)]).astype(np.int64)
    boxes = [item.box or (np.nan,) * 4 for item in items for _ in item.frames]
    return keep_present_classes(
        Corpus(
            dataset=dataset,
            root=root,
            classes=tuple(classes),
            frames=tuple(frame for item in items for frame in item.frames),
            track_start=bounds,
            track_subject=tuple(item.subject for item in items),
            sample_id=tuple(item.name for item in items),
            track=np.arange(len(items)),
            start=bounds[:-1],
            stop=bounds[1:],
            label=np.array([item.label for item in items], dtype=np.int64),
            part=tuple(item.part for item in items),
            boxes=np.array(boxes) if any(item.box for item in items) else None,
            notes=tuple(notes),
            neutral_class=classes.index("Neutral") if "Neutral" in classes else None,
            fold=None if items[0].fold is None else np.array([item.fold for item in items], dtype=np.int64),
            attributes={key: tuple(item.attributes[key] for item in items) for key in items[0].attributes},
            votes=np.array([item.votes for item in items]) if items[0].votes else None,
        )
    )


def inside(root: Path, path: Path) -> Path:
    """The path, which is below the root, whatever links it goes through.

    Raises:
        DataError: a link leads out of the root.
    """
    path_inside(root, path.relative_to(root).as_posix(), str(path))
    return path


def found_below(root: Path, tops: Sequence[str], wanted: str) -> Path | None:
    """The first of these folders below the root (an empty text: the root itself) that holds `wanted`."""
    for top in tops:
        if (root / top / wanted).exists():
            inside(root, root / top / wanted)
            return root / top
    return None


def lines_of(file: Path) -> list[tuple[int, str]]:
    """Number and text of each line that is not empty.

    Raises:
        DataError: it is no text.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not a text file in UTF-8: copy it again ({type(error).__name__})") from None
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def frames_in(folder: Path, root: Path) -> tuple[str, ...]:
    """The pictures of a folder below the root, in the order of the last number in their names. Where there are none the
    first frame that is looked for: it is missing then, and the clip is scored all the same.

    Raises:
        DataError: a link leads out of the root.
    """
    below = folder.relative_to(root).as_posix()
    if not folder.is_dir():
        return (f"{below}/00001.jpg",)
    inside(root, folder)
    names = [name for name, _, ending in files_in(folder, root) if ending in PICTURES]
    return tuple(f"{below}/{name}" for name in sorted(names, key=_by_last_number)) or (f"{below}/00001.jpg",)


def _by_last_number(name: str) -> tuple[int, str]:
    numbers = re.findall(r"\d+", name.rpartition(".")[0])
    return int(numbers[-1]) if numbers else -1, name


def frames_of_video(video: Path, root: Path, rate: int) -> tuple[str, ...]:
    """Frames of a video at `rate` a second; of one that is missing or cannot be read its start, which is counted as
    missing.

    Raises:
        DataError: a link leads out of the root.
    """
    inside(root, video)
    try:
        length = read_duration(video)
    except DataError:
        length = 0
    below = video.relative_to(root).as_posix()
    return tuple(frame_name(below, time) for time in sample_times(length, rate).tolist())


def coded(written: str, codes: Mapping[str, int], where: str) -> int:
    """The class that a code stands for.

    Raises:
        ItemError: it is none of the codes.
    """
    plain = written.strip().lower()
    if plain not in codes:
        raise ItemError(f"{where}: {written[:40]!r} is no class: use one of {', '.join(codes)}")
    return codes[plain]


def short_clips(items: Sequence[Item]) -> tuple[str, ...]:
    """What a reader of the board must know of clips that architectures see whole, or longer than they are."""
    short = sum(len(item.frames) <= SHORT for item in items)
    if not short:
        return ()
    return (
        f"{short} of {len(items)} clips have at most {SHORT} frames: where an architecture sees more frames than there "
        "are, each is repeated in its place",
    )
