"""What a reader found in a large folder is kept, and taken while the folder is as it was."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ferbench.benchmark.planning import corpus_index, data
from ferbench.benchmark.planning.corpus_index import keep_corpus, kept_corpus, state_of
from ferbench.benchmark.planning.data import locate_folder, read_corpus_once
from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.synthetic.writer import write_film


@pytest.fixture(autouse=True)
def small_folders_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(corpus_index, "FEWEST_FILES", 1)
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(data, "_corpora", {})


def twin(name: str, root: Path) -> Path:
    dataset = data_sets.get(name)
    write_film(dataset.film(0.002, 0, dataset.protocol, dataset.layouts[0]), root)
    return root


@pytest.mark.parametrize("name", ["aff_wild2", "sendv1_valence", "ferplus", "ck_plus", "ravdess", "folder"])
def test_it_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    root, protocol = twin(name, tmp_path / name), data_sets.get(name).protocol
    corpus = data_sets.get(name).read(root, protocol)
    state = state_of(root)
    assert state is not None
    keep_corpus(corpus, protocol, state, "mark")
    kept = kept_corpus(name, root, protocol, state=state)
    assert kept is not None
    assert kept[1] == "mark"
    for field in fields(Corpus):
        old, new = getattr(corpus, field.name), getattr(kept[0], field.name)
        assert type(old) is type(new), field.name
        if isinstance(old, np.ndarray):
            np.testing.assert_array_equal(old, new)
        else:
            assert (list(old) == list(new)) if field.name == "frames" else (old == new), field.name


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A folder of pictures, and a list of whenever its reader reads it."""
    reads: list[str] = []
    read = data.read_corpus
    monkeypatch.setattr(data, "read_corpus", lambda name, *rest: reads.append(name) or read(name, *rest))
    return twin("folder", tmp_path / "folder"), reads


def test_a_folder_is_read_once_and_again_when_it_has_changed(folder: tuple[Path, list[str]]) -> None:
    root, reads = folder
    protocol = data_sets.get("folder").protocol
    first = locate_folder("folder", root, protocol)
    assert locate_folder("folder", root, protocol) == first
    assert len(reads) == 1
    data._corpora.clear()  # as in a worker
    assert len(read_corpus_once(first)) > 0
    assert len(reads) == 1
    picture = next(root.rglob("train/*/*.jpg"))
    os.utime(picture, ns=(1, 1))
    changed = locate_folder("folder", root, protocol)
    assert changed.identity != first.identity
    assert len(reads) == 2
    picture.unlink()
    assert locate_folder("folder", root, protocol).identity != changed.identity
    assert len(reads) == 3


@pytest.mark.parametrize("fault", ["cut short", "empty", "another's"])
def test_an_index_that_is_not_whole_is_not_taken(folder: tuple[Path, list[str]], tmp_path: Path, fault: str) -> None:
    root, reads = folder
    protocol = data_sets.get("folder").protocol
    before = locate_folder("folder", root, protocol)
    (file,) = (tmp_path / "cache" / "corpora").glob("*.npz")
    content = file.read_bytes()
    file.write_bytes({"cut short": content[: len(content) // 2], "empty": b"", "another's": b"hello" * 99}[fault])
    assert locate_folder("folder", root, protocol) == before
    assert len(reads) == 2


def test_a_folder_with_a_linked_folder_is_always_read(folder: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, _ = folder
    (root / "train" / "elsewhere").symlink_to(root / "val", target_is_directory=True)
    assert state_of(root) is None


def test_a_small_folder_is_always_read(folder: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_index, "FEWEST_FILES", 100_000)
    assert state_of(folder[0]) is None


def test_a_folder_with_a_link_that_leads_nowhere_is_left_to_the_reader(tmp_path: Path) -> None:
    root = twin("oulu_casia", tmp_path / "oulu_casia")
    (root / "not fetched.png").symlink_to(tmp_path / "nowhere")
    assert state_of(root) is None
    assert locate_folder("oulu_casia", root, data_sets.get("oulu_casia").protocol).root == root
