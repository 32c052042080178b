"""What a reader found in a large folder of one's own, kept: a run with nothing to do need not read it again.

It is taken where the folder is as it was: every file below it has the name, the size and the time that it had. It lies
in the cache as numbers and JSON; nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.installation import cache_folder
from ferbench.benchmark.records.provenance import code_hash, hash_of
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.numbered_frames import NumberedFrames

FEWEST_FILES = 2_000
"""A folder of fewer is read as fast as its index is."""
ABOUT, FRAMES = "about", "frames."
"""Entries of the file: what is no array, as JSON, and the arrays of frames that bear numbers."""


def state_of(root: Path) -> str | None:
    """Hash of the names, sizes and times of all files below a folder; None where they are few, where a folder is a
    link, whose content nobody looks through, or where something cannot be looked at, such as a link that leads nowhere:
    whether that matters is for the reader to say."""
    try:
        return _state_of(root)
    except OSError:
        return None


def _state_of(root: Path) -> str | None:
    digest, count = hashlib.blake2b(digest_size=16), 0
    for folder, entries in _folders(str(root)):
        lines = []
        for entry in entries:
            if entry.is_symlink() and entry.is_dir():
                return None
            state = entry.stat()
            lines.append(f"{entry.name}\0{state.st_size}\0{state.st_mtime_ns}")
        digest.update("\n".join([folder, *sorted(lines)]).encode(errors="surrogateescape"))
        count += len(lines)
    return digest.hexdigest() if count >= FEWEST_FILES else None


def _folders(folder: str) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder from here downwards, in the order of their names, with what is in it but further folders."""
    with os.scandir(folder) as found:
        entries = list(found)
    below = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    yield folder, [entry for entry in entries if not entry.is_dir(follow_symlinks=False)]
    for path in below:
        yield from _folders(path)


def _file(dataset: str, root: Path, protocol: Protocol) -> Path:
    code = code_hash(data_sets.module(dataset)), code_hash(__name__)
    name = hash_of((dataset, str(root.resolve()), sorted(protocol.as_dict().items()), code))
    return cache_folder() / "corpora" / f"{name}.npz"


def kept_corpus(
    dataset: str, root: Path, protocol: Protocol, *, state: str | None = None, fingerprint: str | None = None
) -> tuple[Corpus, str] | None:
    """The corpus of a folder with its fingerprint, where it was kept in this state or with this fingerprint."""
    try:
        with np.load(_file(dataset, root, protocol), allow_pickle=False) as kept:
            about: dict[str, Any] = json.loads(kept[ABOUT].tobytes())
            if about["state"] != state and about["fingerprint"] != fingerprint:
                return None
            arrays = {name: kept[name] for name in kept.files if name != ABOUT}
        return _corpus(root, about["fields"], arrays), str(about["fingerprint"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile):  # not there, cut short, or of another time
        return None


def keep_corpus(corpus: Corpus, protocol: Protocol, state: str, fingerprint: str) -> None:
    """Keeps what was read of a folder in this state; where that cannot be, it is read again."""
    plain: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for field in fields(corpus):
        value = getattr(corpus, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif isinstance(value, NumberedFrames):
            arrays[f"{FRAMES}track_start"] = value.track_start
            plain["frames"] = {"folders": value.folders, "suffixes": value.suffixes, "others": dict(value.others)}
        elif field.name != "root":
            plain[field.name] = dict(value) if field.name == "attributes" else value
    if not isinstance(plain["frames"], tuple | dict):  # a third party's own kind of frames
        return
    about = {"state": state, "fingerprint": fingerprint, "fields": plain}
    file = _file(corpus.dataset, corpus.root, protocol)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft, draft.open("wb") as opened:
            arrays[ABOUT] = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
            np.savez(opened, allow_pickle=False, **arrays)
    except OSError:
        return


def _corpus(root: Path, plain: dict[str, Any], arrays: dict[str, Any]) -> Corpus:
    found: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in plain.items()}
    found["attributes"] = {name: tuple(values) for name, values in plain["attributes"].items()}
    if isinstance(frames := plain["frames"], dict):
        others = {int(place): path for place, path in frames["others"].items()}
        found["frames"] = NumberedFrames(
            tuple(frames["folders"]), arrays.pop(f"{FRAMES}track_start"), tuple(frames["suffixes"]), others
        )
    return Corpus(root=root, **found, **arrays)
