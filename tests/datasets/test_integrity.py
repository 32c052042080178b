"""Whether a copy is whole: what a half copy leaves is told apart from damage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_corpus import made_corpus
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets import integrity
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.integrity import examine, fault_of, picture_hash


def picture(file: Path, seed: int, side: int = 64, **options: object) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, **options)
    return file


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two tracks of three pictures, all different."""
    corpus = made_corpus(["anna", "ben"], [3, 3], root=tmp_path)
    for i, frame in enumerate(corpus.frames):
        picture(tmp_path / frame, i)
    return corpus


def test_a_whole_copy_has_no_faults_and_its_pictures_differ(corpus: Corpus) -> None:
    told: list[tuple[int, int]] = []
    found = examine(corpus, progress=lambda *counts: told.append(counts))
    assert found.faults == {}
    assert len(set(found.content.tolist())) == 6
    assert told == [(6, 6)]


def test_what_a_half_copy_leaves_is_told_apart_from_damage(corpus: Corpus) -> None:
    files = [corpus.root / frame for frame in corpus.frames]
    whole = files[0].read_bytes()
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(whole[:-200])
    files[3].write_bytes(bytes(len(whole)))  # its place on the disk was taken, and never written
    files[4].write_bytes(whole[:60] + bytes(range(200)) + whole[260:])
    found = examine(corpus)
    names = corpus.frames
    assert found.files("missing") == [names[0]]
    assert found.files("cut short") == [names[1], names[2], names[3]]
    assert found.files("damaged") == [names[4]]
    assert np.flatnonzero(found.content).tolist() == [5]


@pytest.mark.parametrize("length", [0, 2, 100, 0.5, 0.99])
def test_a_jpeg_that_is_cut_anywhere_is_cut_short(tmp_path: Path, length: float) -> None:
    file = picture(tmp_path / "face.jpg", 0)
    data = file.read_bytes()
    assert picture_hash(file)
    file.write_bytes(data[: int(length if length >= 2 or not length else length * len(data))])
    assert picture_hash(file) == 0
    assert fault_of(file) == "cut short"


def test_a_picture_of_another_kind_under_a_wrong_name_is_read_and_text_is_damaged(tmp_path: Path) -> None:
    file = picture(tmp_path / "face.jpg", 0, format="PNG")
    assert picture_hash(file)
    file.write_text("<html>404</html>")
    assert picture_hash(file) == 0
    assert fault_of(file) == "damaged"


def test_the_same_face_has_the_same_hash_in_another_file_and_another_box_another(tmp_path: Path) -> None:
    one, other = (picture(tmp_path / name, 0, side=400, quality=90) for name in ("a.jpg", "b.jpg"))
    box = np.array([100.0, 50.0, 150.0, 150.0])
    assert picture_hash(one) == picture_hash(other) != picture_hash(one, box)
    assert picture_hash(one, box) == picture_hash(other, box) != 0
    assert picture_hash(one, np.array([500.0, 0.0, 50.0, 50.0])) == 0


def box_of(kind: bytes, body: bytes = b"", length: int | None = None) -> bytes:
    return (8 + len(body) if length is None else length).to_bytes(4, "big") + kind + body


FTYP, MOOV = box_of(b"ftyp", b"isom"), box_of(b"moov", b"x" * 100)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "cut short"),
        (FTYP + box_of(b"mdat", b"x" * 80, length=1000), "cut short"),
        (FTYP + box_of(b"mdat", b"x" * 80), "cut short"),  # the index, written last, is not there yet
        (FTYP + MOOV + box_of(b"mdat", b"x" * 80), "damaged"),
        (FTYP + MOOV + box_of(b"mdat", b"x" * 80, length=0), "damaged"),
        (FTYP + MOOV + b"\0\0\0\1mdat" + (10**6).to_bytes(8, "big") + b"x" * 80, "cut short"),
        (FTYP + b"\0\0\0\4" + b"y" * 80, "damaged"),
        (b"RIFF" + (500).to_bytes(4, "little") + b"AVI " + b"x" * 80, "cut short"),
        (b"RIFF" + (84).to_bytes(4, "little") + b"AVI " + b"x" * 80, "damaged"),
    ],
)
def test_a_video_that_ends_too_early_is_cut_short(tmp_path: Path, data: bytes, fault: str) -> None:
    file = tmp_path / "talk.mp4"
    file.write_bytes(data)
    assert fault_of(file) == fault


def test_a_video_that_cannot_be_opened_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of these videos only those whose bytes begin with `good` can be decoded, and `short` ones only at their start."""

    def read_frames(file: Path, seconds: NDArray[np.float64]) -> Iterator[NDArray[np.uint8] | None]:
        data = file.read_bytes() if file.is_file() else b""
        for second in seconds:
            readable = data.startswith(b"good") or (data.startswith(b"short") and second == 0)
            yield np.zeros((4, 4, 3), dtype=np.uint8) if readable else None

    monkeypatch.setitem(sys.modules, "ferbench.datasets.video", SimpleNamespace(read_frames=read_frames))
    for name, data in {"a": b"good 1", "b": b"bad", "c": b"short", "d": b"good 1"}.items():
        (tmp_path / f"{name}.mp4").write_bytes(data)
    names = [f"{video}.mp4#t={second}.000" for video in "abcde" for second in (0, 1)]
    corpus = replace(made_corpus(["anna"] * 5, [2] * 5, root=tmp_path), frames=tuple(names))
    found = examine(corpus)
    assert found.faults == {"b.mp4": "damaged", "c.mp4": "damaged", "e.mp4": "missing"}
    assert np.flatnonzero(found.content).tolist() == [0, 1, 6, 7]
    assert found.content[0] == found.content[6] != found.content[1] == found.content[7]


def test_processes_find_what_one_does(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    (corpus.root / corpus.frames[2]).unlink()
    alone = examine(corpus)
    monkeypatch.setattr(integrity, "FEWEST_FOR_PROCESSES", 1)
    monkeypatch.setattr(integrity, "RUN", 2)
    found = examine(corpus, processes=2)
    assert found.faults == alone.faults
    assert np.array_equal(found.content, alone.content)
