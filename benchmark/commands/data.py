"""`data twin` and `data verify`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.data import read_corpus, twin_facts
from benchmark.errors import RequestError
from benchmark.provenance import available_cores
from benchmark.registry import data_sets
from datasets.corpus import Corpus, DataError
from datasets.dataset import DataSet, Protocol

NAMED = 5
"""How many files of a kind a report names."""


def write_twin(name: str, folder: Path, scale: float, seed: int, layout: str, options: list[str], workers: int) -> None:
    """Writes a twin in its official layout.

    Raises:
        RequestError: an unknown data set, layout or option; a scale outside 0 to 1.
    """
    dataset = data_sets.get(name)
    if not 0 < scale <= 1:
        raise RequestError(f"--scale {scale}: a share of the original counts, above 0 and up to 1")
    layout = layout or dataset.layouts[0]
    if layout not in dataset.layouts:
        raise RequestError(f"unknown layout {layout!r} of {name}: use one of {', '.join(dataset.layouts)}")
    protocol = _with_options(dataset, options)
    from rich.progress import Progress

    from datasets.synthetic.writer import write_film

    film = dataset.film(scale, seed, protocol, layout)
    with Progress(transient=True) as bar:
        task = bar.add_task(f"{name}: frames", total=film.num_frames)
        write_film(film, folder, lambda done, _: bar.update(task, completed=done), workers or available_cores())
    print(f"{folder}: {film.num_frames} frames of {name} at scale {scale:g} (seed {seed}, layout {layout})")


def _with_options(dataset: DataSet, options: list[str]) -> Protocol:
    changes: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise RequestError(f"--protocol {option}: write it as KEY=VALUE")
        now = dataset.protocol.as_dict().get(key)
        try:
            changes[key] = value if now is None or isinstance(now, str) else type(now)(value)
        except ValueError:
            raise RequestError(f"--protocol {option}: {key} takes a {type(now).__name__}") from None
    return dataset.changed_protocol(changes, "--protocol")


@dataclass(frozen=True)
class Verification:
    """What was found in a copy."""

    dataset: str
    folder: str
    twin: dict[str, object] | None
    counts: dict[str, int]
    official: dict[str, int]
    labels: dict[str, int]
    absent_classes: list[str]
    missing: list[str]
    damaged: list[str]
    duplicates: list[list[str]]
    """Groups of files with the same content."""
    subjects: int | None
    faults: list[str] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether a run on this copy would give numbers that mean something."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "usable": self.usable}

    def __str__(self) -> str:
        """One line a finding."""
        of_release = ", ".join(f"{self.counts.get(what, 0)} of {count} {what}" for what, count in self.official.items())
        lines = [
            f"{self.dataset} in {self.folder}" + (f", a twin at scale {self.twin.get('scale')}" if self.twin else ""),
            "found: " + ", ".join(f"{count} {what}" for what, count in self.counts.items()),
            f"of the release under this protocol: {of_release}",
            "labels: " + ", ".join(f"{name} {count}" for name, count in self.labels.items()),
            f"classes that are absent: {', '.join(self.absent_classes) or 'none'}",
            f"missing frames: {_some(self.missing)}",
            f"damaged frames: {_some(self.damaged)}",
            f"same content: {_some([' = '.join(group) for group in self.duplicates])}",
            "subjects: " + ("unknown" if self.subjects is None else str(self.subjects)),
            *(f"FAULT: {fault}" for fault in self.faults),
            "can be used" if self.usable else "cannot be used",
        ]
        return "\n".join(lines)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)}: {', '.join(names[:NAMED])}{more}" if names else "none"


def verify(name: str, folder: Path) -> Verification:
    """Reads every file of a copy and compares it with what the release holds.

    Raises:
        RequestError: the folder is not a copy of this data set at all, or half copied.
    """
    dataset = data_sets.get(name)
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder")
    corpus = read_corpus(name, folder, dataset.protocol)
    content = _content(corpus)
    unread = [frame for frame, hash_ in zip(corpus.frames, content.tolist(), strict=True) if not hash_]
    missing = [frame for frame in unread if not (folder / frame).is_file()]
    labels = Counter(corpus.classes[label] for label in corpus.label)
    subjects = len(set(corpus.track_subject)) if corpus.subjects_known else None
    return Verification(
        dataset=name,
        folder=str(folder),
        twin=twin_facts(folder),
        counts=_counts(corpus, subjects),
        official=dict(dataset.official_counts),
        labels={name: labels[name] for name in corpus.classes},
        absent_classes=list(corpus.absent_classes),
        missing=missing,
        damaged=[frame for frame in unread if frame not in set(missing)],
        duplicates=_duplicates(corpus, content),
        subjects=subjects,
        faults=_faults(corpus, dataset.protocol, content),
    )


def _content(corpus: Corpus) -> NDArray[np.uint64]:
    """(N,) hash of each face as it is decoded at 32 pixels a side; 0 where a frame cannot be read."""
    from concurrent.futures import ThreadPoolExecutor

    from datasets.decoding import content_hash, read_frame

    def hash_of_frame(i: int) -> int:
        face = read_frame(corpus.root / corpus.frames[i], 32, None if corpus.boxes is None else corpus.boxes[i])
        return 0 if face is None else content_hash(face)

    with ThreadPoolExecutor(available_cores()) as pool:
        return np.array(list(pool.map(hash_of_frame, range(len(corpus.frames)))), dtype=np.uint64)


def _duplicates(corpus: Corpus, content: NDArray[np.uint64]) -> list[list[str]]:
    groups: dict[int, list[str]] = {}
    for frame, hash_ in zip(corpus.frames, content.tolist(), strict=True):
        if hash_:
            groups.setdefault(hash_, []).append(frame)
    return [frames for frames in groups.values() if len(frames) > 1]


def _faults(corpus: Corpus, protocol: Protocol, content: NDArray[np.uint64]) -> list[str]:
    """Why a run on these data would be refused or mean nothing: what every fold's split finds, and lost frames."""
    from datasets.splits import split

    faults: dict[str, None] = {}
    lost = int((content == 0).sum())
    if lost > 0.01 * len(content):
        faults[f"{lost} of {len(content)} frames are missing or damaged, more than 1%"] = None
    for fold in range(protocol.folds):
        try:
            split(corpus, protocol, fold, content)
        except DataError as error:
            faults[str(error)] = None
    return list(faults)


def _counts(corpus: Corpus, subjects: int | None) -> dict[str, int]:
    counts = {"samples": len(corpus), "frames": len(corpus.frames)}
    parts = Counter(part for part in corpus.part if part)
    counts |= {f"{part} samples": count for part, count in sorted(parts.items())}
    return counts if subjects is None else {**counts, "subjects": subjects}
