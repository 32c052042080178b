"""From a cell to its data: a folder of one's own where there is one, else the twin; written and decoded once."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.closed import without_test
from ferbench.benchmark.planning.corpus_index import keep_corpus, kept_corpus, state_of
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell, Twin
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import alone
from ferbench.benchmark.records.installation import cache_folder
from ferbench.benchmark.records.provenance import code_hash, hash_of
from ferbench.datasets.corpus import TWIN_FILE, Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.frames import FrameStore, find_store, open_store

Report = Callable[[str], None]


@dataclass(frozen=True)
class Location:
    """Where a data set lies, and what tells its content apart."""

    dataset: str
    """Name of the data set, without `-twin`."""
    name: str
    """Name on the board: `<dataset>` or `<dataset>-twin`."""
    root: Path
    identity: str
    """Changes when the content does. Of a twin that the project writes itself it is what the twin is made from, so
    it is the same on every machine; of a folder of one's own it is the fingerprint of its files."""
    protocol: Protocol
    own_twin: Twin | None
    """The twin to write if it is not there yet; None for a folder of one's own."""

    @property
    def source(self) -> str:
        """`twin` or `real`."""
        return "twin" if self.name.endswith("-twin") else "real"


def data_folder(asked: Path | None) -> Path | None:
    """The folder that holds a user's data sets: the one asked for, else FERBENCH_DATA.

    Raises:
        RequestError: it is not a folder, or holds no data set that is known.
    """
    root = asked or (Path(os.environ["FERBENCH_DATA"]) if os.environ.get("FERBENCH_DATA") else None)
    if root is None:
        return None
    if not root.is_dir():
        raise RequestError(f"{root}: no such folder: --data takes a folder with one folder a data set")
    folders = list(dict.fromkeys(data_sets.get(name).folder_name for name in data_sets.names()))
    if not any((root / name).is_dir() for name in folders):
        raise RequestError(f"{root}: none of {', '.join(folders)} is in it: --data takes a folder with one "
                           "folder a data set")  # fmt: skip
    return root


def locate(cell: Cell, data: Path | None) -> Location:
    """Where a cell's data are or will be; reads a folder of one's own to fingerprint it.

    Raises:
        RequestError: the folder is not what its name says.
    """
    folder = data_sets.get(cell.dataset).folder_name
    if data is not None and (data / folder).is_dir():
        return locate_folder(cell.dataset, data / folder, cell.protocol)
    made_from = (
        folder, cell.twin.scale, cell.twin.seed, sorted(cell.protocol.options.items()),
        code_hash(data_sets.module(folder)), code_hash("ferbench.datasets.synthetic.writer"),
        *(() if cell.twin.test_scale is None else (cell.twin.test_scale,)),
    )  # fmt: skip
    identity = hash_of(made_from)
    root = cache_folder() / "twins" / f"{folder}-{identity}"
    return Location(cell.dataset, f"{cell.dataset}-twin", root, identity, cell.protocol, cell.twin)


def locate_folder(dataset: str, root: Path, protocol: Protocol) -> Location:
    """A folder of one's own as a location; reads it to fingerprint it.

    Raises:
        RequestError: the folder is not what its name says.
    """
    state = state_of(root) if root.is_dir() else None
    kept = kept_corpus(dataset, root, protocol, state=state) if state else None
    corpus = kept[0] if kept else read_corpus(dataset, root, protocol)
    identity = kept[1] if kept else corpus.fingerprint()
    if state and not kept:
        keep_corpus(corpus, protocol, state, identity)
    location = Location(dataset, corpus.name, root, identity, protocol, None)
    _corpora[dataset] = location, corpus
    return location


def read_corpus(dataset: str, root: Path, protocol: Protocol) -> Corpus:
    """Opens a folder with its data set's reader.

    Raises:
        RequestError: it cannot be read; says so where it looks like another data set.
    """
    if not root.is_dir():
        raise RequestError(f"{root}: no such folder")
    try:
        return data_sets.get(dataset).read(root, protocol)
    except DataError as error:
        if not any(root.iterdir()):
            raise RequestError(
                f"{root}: the folder is empty: put {dataset} there, or remove it to run the twin"
            ) from None
        whole = [name for name in data_sets.names() if not data_sets.get(name).folder]  # no further task on another's
        others = [name for name in whole if name != dataset and _looks_like(root, name)]
        own = _looks_like(root, dataset)
        hint = f" (it looks like {others[0]})" if others and not own else ""
        raise RequestError(f"{error}{hint}") from None


def _looks_like(root: Path, dataset: str) -> bool:
    return any(any(root.glob(mark)) for mark in data_sets.get(dataset).marks)


def open_data(
    location: Location, size: int, report: Report, processes: int = 1, closed: int | None = None
) -> tuple[Corpus, FrameStore]:
    """The corpus and its frame store, both made when they are not there. Processes wait for one another to make one.

    What is there already is opened without a lock and without writing: the cache folder may be read-only then.

    Args:
        closed: a fold whose test part stays closed: no picture of it is opened, and the corpus is without its samples.

    Raises:
        RequestError: the cache cannot be written; the files of a folder of one's own have changed since the run began.
    """
    if location.own_twin is not None and not (location.root / TWIN_FILE).is_file():
        _make_twin(location, report)
    try:
        corpus = read_corpus_once(location)
    except RequestError:
        if location.own_twin is None or is_whole(location.root):
            raise
        _make_twin(location, report)
        corpus = read_corpus_once(location)
    read, corpus = corpus, _with_faces(location, _opened(corpus, location, closed), report, closed)
    cache, content = cache_folder() / "frames", hash_of((*_content(location), code_hash("ferbench.datasets.frames")))
    store = find_store(corpus, size, cache, content)
    if store is not None:
        return corpus, store
    if location.own_twin is not None and not is_whole(location.root):
        _make_twin(location, report)
        read = read_corpus(location.dataset, location.root, location.protocol)
        corpus = _with_faces(location, _opened(read, location, closed), report, closed)
    with alone(f"{location.name}-{content}-{size}"):
        if location.own_twin is None and read.fingerprint() != location.identity:
            raise RequestError(f"{location.root}: files there have changed since the run began: run again")
        store = open_store(
            corpus, size, cache, content, processes=processes,
            progress=lambda done, total: report(f"{location.name}: decoding frame {done}/{total} at {size} px"),
        )  # fmt: skip
    return corpus, store


def _opened(corpus: Corpus, location: Location, closed: int | None) -> Corpus:
    """What of a corpus is opened: all of it, or all but the test part of a fold."""
    return corpus if closed is None else without_test(corpus, location.protocol, closed)


def _content(location: Location) -> tuple[str, ...]:
    """What tells apart the pixels that are read of a location."""
    return (location.identity, *faces_key(location.protocol))


def faces_key(protocol: Protocol) -> tuple[str, ...]:
    """What finds the faces, where the protocol asks for it: another detector finds others."""
    if protocol.faces != "found":
        return ()
    from ferbench.datasets.faces.detector import finder

    return finder(), code_hash("ferbench.datasets.faces.found")


_found: dict[str, Corpus] = {}
"""The corpora with the faces that were found in them, by what tells their pixels apart."""


def _with_faces(location: Location, corpus: Corpus, report: Report, closed: int | None) -> Corpus:
    """The corpus with boxes where the protocol asks to find the faces; looked for once, then kept in the cache."""
    if location.protocol.faces != "found":
        return corpus
    name = hash_of((location.dataset, *_content(location), *(() if closed is None else (f"without test {closed}",))))
    if name not in _found:
        from ferbench.datasets.faces.found import kept_faces, with_found_faces

        folder = cache_folder() / "faces" / name
        boxed = kept_faces(corpus, folder)  # without a lock: the cache may be read-only by now
        if boxed is None:
            with alone(f"faces-{name}"):
                try:
                    boxed = with_found_faces(
                        corpus, folder,
                        lambda done, tracks: report(f"{location.name}: looking for faces in track {done}/{tracks}"),
                    )  # fmt: skip
                except OSError as error:
                    raise RequestError(f"{cache_folder()}: found faces cannot be kept: {error.strerror}") from None
        _found[name] = boxed
    return _found[name]


def _make_twin(location: Location, report: Report) -> None:
    """Renders a twin that is not there, or not whole; processes wait for one another."""
    with alone(location.root.name):  # two sizes or two data sets may want the same twin at once
        if is_whole(location.root):
            return
        if location.root.exists():
            print(f"{location.root}: files of this twin are damaged or gone: it is made again", file=sys.stderr)
            shutil.rmtree(location.root)
        write_twin(location, report)


def is_whole(root: Path) -> bool:
    """Whether every file of a twin in the cache has the size that it was written with.

    Asked before its pictures are decoded, once: later cells read what was decoded.
    """
    try:
        known = json.loads(_sizes_of(root).read_text(encoding="utf-8"))
        return bool(known) and known == _sizes(root)
    except (OSError, ValueError):
        return False


def _sizes_of(root: Path) -> Path:
    """Where the sizes of a twin's files are kept: beside it, since the twin is a copy in the official layout."""
    return root.with_name(f"{root.name}.sizes.json")


def _sizes(root: Path) -> dict[str, int]:
    files = (file for file in sorted(root.rglob("*")) if file.is_file())
    return {file.relative_to(root).as_posix(): file.stat().st_size for file in files}


_corpora: dict[str, tuple[Location, Corpus]] = {}
"""The corpus that this process read last of each data set: a worker makes many cells of one, and a release may lie in
some hundred thousand small files."""


def read_corpus_once(location: Location) -> Corpus:
    """The corpus of a location, from this process's memory where it was the last of its data set.

    A location knows its content by its identity, so a corpus that is remembered is never one of other files than the
    run was planned with.
    """
    known = _corpora.get(location.dataset)
    if known is None or known[0] != location:
        place = location.dataset, location.root, location.protocol
        kept = None if location.own_twin else kept_corpus(*place, fingerprint=location.identity)
        known = location, kept[0] if kept else read_corpus(*place)
        _corpora[location.dataset] = known
    return known[1]


def write_twin(location: Location, report: Report) -> None:
    """Renders the twin of a location into its folder; one process at a time."""
    from ferbench.datasets.synthetic.writer import write_film

    assert location.own_twin is not None
    for left in location.root.parent.glob(f".{location.root.name}.*"):  # by runs that were killed
        shutil.rmtree(left, ignore_errors=True)
    dataset = data_sets.get(location.dataset)
    twin = location.own_twin
    of_test = {} if twin.test_scale is None else {"test_scale": twin.test_scale}
    film = dataset.film(twin.scale, twin.seed, location.protocol, dataset.layouts[0], **of_test)
    write_film(film, location.root, lambda done, total: report(f"{location.name}: rendering frame {done}/{total}"))
    with drafted(_sizes_of(location.root)) as draft:
        draft.write_text(json.dumps(_sizes(location.root)), encoding="utf-8")


def twin_facts(root: Path) -> dict[str, object] | None:
    """Content of a folder's `twin.json`; None where it is no twin."""
    try:
        facts: dict[str, object] = json.loads((root / TWIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts
