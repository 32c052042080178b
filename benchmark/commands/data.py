"""`data twin` and `data verify`."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location, Report, locate_folder, open_data, read_corpus_once, twin_facts
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.provenance import available_cores
from ferbench.benchmark.running.processes import guarded
from ferbench.datasets.corpus import Corpus, DataError, divided
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Fault, copy_state, faults_of, too_much_lost
from ferbench.datasets.splits import plain

if TYPE_CHECKING:  # it imports torch
    from ferbench.datasets.leaks import Copies

NAMED = 5
"""How many files of a kind a report names."""
PARTS = ("train", "validation", "test")
COUNTED = (
    "samples",
    "frames",
    "tracks",
    "subjects",
    *(f"{part} {what}" for part in PARTS for what in ("samples", "tracks")),
)
"""What is counted of a copy: the keys that a data set's `official_counts` may have."""


def write_twin(
    name: str, folder: Path, scale: float, test_scale: float | None, seed: int, layout: str, options: list[str],
    workers: int,
) -> None:  # fmt: skip
    """Writes a twin in its official layout.

    Raises:
        RequestError: an unknown data set, layout or option; a scale outside 0 to 1, or of a test part that is none.
    """
    dataset = data_sets.get(name)
    for option, share in (("--scale", scale), ("--test-scale", test_scale)):
        if share is not None and not 0 < share <= 1:
            raise RequestError(f"{option} {share}: a share of the original counts, above 0 and up to 1")
    if test_scale is not None and not dataset.official_test:
        raise RequestError(f"--test-scale {test_scale}: {name} has no test part of its own: leave it out")
    layout = layout or dataset.layouts[0]
    if layout not in dataset.layouts:
        raise RequestError(f"unknown layout {layout!r} of {name}: use one of {', '.join(dataset.layouts)}")
    protocol = _with_options(dataset, options)
    from rich.progress import Progress

    from ferbench.datasets.synthetic.writer import write_film

    of_test = {} if test_scale is None else {"test_scale": test_scale}
    film = dataset.film(scale, seed, protocol, layout, **of_test)
    _remove_drafts(folder.absolute())
    with guarded(), Progress(transient=True) as bar:
        task = bar.add_task(f"{name}: frames", total=film.num_frames)
        write_film(film, folder, lambda done, _: bar.update(task, completed=done), workers or available_cores())
    print(f"{folder}: {film.num_frames} frames of {name} at scale {scale:g} (seed {seed}, layout {layout})")


def _remove_drafts(folder: Path) -> None:
    """Removes what writers of this folder left beside it when they were killed: `.NAME.PROCESS`, full of pictures."""
    for draft in folder.parent.glob(f".{escape(folder.name)}.*"):
        process = draft.name.rpartition(".")[2]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            shutil.rmtree(draft, ignore_errors=True)


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
    copy: str
    """Whether the files are whole, half-copied, damaged, or both."""
    missing: list[str]
    cut_short: list[str]
    damaged: list[str]
    duplicates: list[list[str]]
    """Groups of files with the same content."""
    copies: list[list[str]]
    """Pairs of files that show the same picture: re-encoded, resized, cropped, mirrored, turned, brighter or grey."""
    two_classes: list[list[str]]
    """Pairs of samples that are the same picture under two classes."""
    subjects: int | None
    shared_subjects: list[str]
    """Subjects in more than one of the official parts."""
    notes: list[str] = field(default_factory=list)
    """What the reader says of this copy: what it lacks, what is left out."""
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
            "found: " + ", ".join(f"{count} {what}" for what, count in self.counts.items() if self._is_told(what)),
            f"of the release under this protocol: {of_release or 'it states no counts'}",
            "labels: " + ", ".join(f"{name} {count}" for name, count in self.labels.items()),
            f"classes that are absent: {', '.join(self.absent_classes) or 'none'}",
            f"files: {self.copy}",
            f"missing: {_some(self.missing)}",
            f"cut short (empty, or end before their end): {_some(self.cut_short)}",
            f"damaged (of full length, bytes wrong): {_some(self.damaged)}",
            f"same content: {_some([_equal(group) for group in self.duplicates])}",
            f"same picture in another form: {_some([_equal(pair) for pair in self.copies])}",
            f"same picture under two classes: {_some([_equal(pair) for pair in self.two_classes])}",
            "subjects: " + ("unknown" if self.subjects is None else str(self.subjects)),
            f"subjects in two parts: {_some(self.shared_subjects)}",
            *(f"note: {note}" for note in self.notes),
            *(f"FAULT: {fault}" for fault in self.faults),
            "can be used" if self.usable else "cannot be used",
        ]
        return "\n".join(lines)

    def _is_told(self, what: str) -> bool:
        """Where every sample is a track of its own, tracks say nothing that samples do not."""
        return not what.endswith("tracks") or self.counts["tracks"] < self.counts["samples"]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)}: {', '.join(names[:NAMED])}{more}" if names else "none"


def _equal(files: list[str]) -> str:
    more = f" = {len(files) - NAMED} more" if len(files) > NAMED else ""
    return " = ".join(files[:NAMED]) + more


def verify(name: str, folder: Path, options: list[str] | None = None) -> Verification:
    """Reads every file of a copy, as far as a protocol asks for them, and compares it with what the release holds.

    Args:
        options: of the protocol, as KEY=VALUE, where it is not the data set's own; the release's counts hold for that.

    Raises:
        RequestError: an unknown option; the folder is not a copy of this data set at all, or half copied; the data set
            states a count of something that is not counted.
    """
    from rich.progress import Progress

    dataset = data_sets.get(name)
    if uncounted := [what for what in dataset.official_counts if what not in COUNTED]:
        raise RequestError(
            f"data set {name}: official_counts has {uncounted[0]!r}, which is not counted: use {', '.join(COUNTED)}"
        )
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder")
    protocol = _with_options(dataset, options or [])
    from ferbench.benchmark.planning.leaks import NO_COPIES, copies_of, one_content, under_two_classes

    location = locate_folder(name, folder, protocol)
    corpus = read_corpus_once(location)
    with guarded(), Progress(transient=True) as bar:
        task = bar.add_task(f"{name}: files")

        def report(text: str) -> None:
            bar.update(task, description=text)

        content, lost = _read_all(location, report)
        copies = copies_of(location, report, available_cores()) if content.any() else NO_COPIES
    faults = faults_of(corpus, lost)
    labels = Counter(corpus.classes[label] for label in corpus.label.tolist())
    subjects = len(set(corpus.track_subject)) if corpus.subjects_known else None
    return Verification(
        dataset=name,
        folder=str(folder),
        twin=twin_facts(folder),
        counts=_counts(corpus, subjects),
        official=dict(dataset.official_counts) if protocol == dataset.protocol else {},
        labels={name: labels[name] for name in corpus.classes},
        absent_classes=list(corpus.absent_classes),
        copy=copy_state(faults, sparse=dataset.sparse),
        missing=_files(faults, "missing"),
        cut_short=_files(faults, "cut short"),
        damaged=_files(faults, "damaged"),
        duplicates=duplicates(corpus, content),
        copies=other_forms(corpus, content, copies),
        two_classes=[list(pair) for pair in under_two_classes(corpus, one_content(content, copies))],
        subjects=subjects,
        shared_subjects=shared_subjects(corpus),
        notes=list(corpus.notes),
        faults=[
            *([reason] if (reason := too_much_lost(corpus, lost, dataset.sparse)) else []),
            *refusals(corpus, protocol, content, copies),
        ],
    )


def _read_all(location: Location, report: Report) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """(N,) content of each frame as a run reads it, and (N,) which of those that it uses cannot be read."""
    from ferbench.datasets.leaks import SIDE

    corpus = read_corpus_once(location)
    try:
        _, store = open_data(location, SIDE, report, available_cores())
    except DataError:  # none of them
        return np.zeros(len(corpus.frames), dtype=np.uint64), np.ones(len(corpus.frames), dtype=np.bool_)
    return store.content, store.missing


def _files(faults: dict[str, Fault], fault: Fault) -> list[str]:
    return [file for file, found in faults.items() if found == fault]


def duplicates(corpus: Corpus, content: NDArray[np.uint64]) -> list[list[str]]:
    """Groups of files with the same content, each group in the order of the corpus."""
    _, group, size = np.unique(content, return_inverse=True, return_counts=True)
    shared = np.flatnonzero((size[group] > 1) & (content != 0))
    groups: dict[int, dict[str, None]] = {}
    for i in shared.tolist():
        groups.setdefault(int(group[i]), {})[_file_of(corpus.frames[i])] = None
    distinct = {tuple(files): None for files in groups.values() if len(files) > 1}  # a video's frames are one file
    return [list(files) for files in distinct]


def _file_of(frame: str) -> str:
    """The file of a frame; of a table of pixels its row, which is a picture of its own."""
    file, where = divided(frame)
    return frame if where.startswith("#row=") else file


def shared_subjects(corpus: Corpus) -> list[str]:
    """Subjects who are in more than one of the official parts, by one of their spellings."""
    parts: dict[str, set[str]] = {}
    spelled: dict[str, str] = {}
    for subject, part in zip(corpus.subject, corpus.part, strict=True):
        if subject is not None and part:
            parts.setdefault(spelled.setdefault(plain(subject), subject), set()).add(part)
    return sorted(subject for subject, where in parts.items() if len(where) > 1)


def other_forms(corpus: Corpus, content: NDArray[np.uint64], copies: Copies) -> list[list[str]]:
    """Pairs of files that show the same picture with another content, each pair once."""
    pairs = copies.frames[content[copies.frames[:, 0]] != content[copies.frames[:, 1]]]
    files = (tuple(_file_of(corpus.frames[i]) for i in pair) for pair in pairs.tolist())
    return [list(pair) for pair in dict.fromkeys(files)]


def refusals(corpus: Corpus, protocol: Protocol, content: NDArray[np.uint64], copies: Copies) -> list[str]:
    """Why a run on these data would be refused: what every fold's split finds."""
    from ferbench.benchmark.planning.leaks import parted

    faults: dict[str, None] = {}
    for fold in range(protocol.folds):
        try:
            parted(corpus, protocol, fold, content, copies)
        except DataError as error:
            faults[str(error)] = None
    return list(faults)


def _counts(corpus: Corpus, subjects: int | None) -> dict[str, int]:
    """By the words of `COUNTED`, parts and subjects only where they are known."""
    samples = Counter(part for part in corpus.part if part)
    tracks = Counter(part for _, part in set(zip(corpus.track.tolist(), corpus.part, strict=True)) if part)
    counts = {"samples": len(corpus), "frames": len(corpus.frames)}
    counts |= {f"{part} samples": count for part, count in sorted(samples.items())}
    counts |= {"tracks": len(corpus.track_subject)}
    counts |= {f"{part} tracks": count for part, count in sorted(tracks.items())}
    return counts if subjects is None else {**counts, "subjects": subjects}
