"""What is wrong with files: what a half copy leaves is told apart from damage, and a little of it is no harm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_corpus import made_corpus
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.integrity import Fault, ItemError, Skipped, copy_state, fault_of, faults_of, too_much_lost


def picture(file: Path, seed: int, side: int = 64, **options: object) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, **options)
    return file


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two tracks of four pictures."""
    corpus = made_corpus(["anna", "ben"], [4, 4], root=tmp_path)
    for i, frame in enumerate(corpus.frames):
        picture(tmp_path / frame, i)
    return corpus


def lost(corpus: Corpus, places: Iterable[int]) -> NDArray[np.bool_]:
    return np.isin(np.arange(len(corpus.frames)), list(places))


def test_what_a_half_copy_leaves_is_told_apart_from_damage(corpus: Corpus) -> None:
    files = [corpus.root / frame for frame in corpus.frames]
    whole = files[0].read_bytes()
    files[0].unlink()
    files[1].write_bytes(b"")
    files[2].write_bytes(whole[:-200])
    files[3].write_bytes(bytes(len(whole)))  # its place on the disk was taken, and never written
    files[4].write_bytes(whole[:60] + bytes(range(200)) + whole[260:])
    found = faults_of(corpus, lost(corpus, range(5)))
    faults = ["missing", "cut short", "cut short", "cut short", "damaged"]
    assert found == dict(zip(corpus.frames, faults, strict=False))


@pytest.mark.parametrize("length", [0, 2, 100, 0.5, 0.99])
def test_a_jpeg_that_is_cut_anywhere_is_cut_short(tmp_path: Path, length: float) -> None:
    file = picture(tmp_path / "face.jpg", 0)
    data = file.read_bytes()
    file.write_bytes(data[: int(length if length >= 2 or not length else length * len(data))])
    assert fault_of(file) == "cut short"


def test_text_under_the_name_of_a_picture_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "face.jpg"
    file.write_text("<html>404</html>")
    assert fault_of(file) == "damaged"


def test_a_video_is_named_once(tmp_path: Path) -> None:
    names = [f"{video}.mp4#t={second}.000" for video in "ab" for second in (0, 1)]
    corpus = replace(made_corpus(["anna"] * 2, [2] * 2, root=tmp_path), frames=tuple(names))
    assert faults_of(corpus, lost(corpus, [1, 2, 3])) == {"a.mp4": "missing", "b.mp4": "missing"}


@pytest.mark.parametrize(
    ("faults", "state"),
    [
        ([], "whole"),
        (["missing", "cut short"], "half-copied (1 missing, 1 cut short): copy the rest"),
        (["damaged"], "damaged (1 with wrong bytes): copy these again and look at the disk"),
        (
            ["damaged", "cut short"],
            "half-copied (0 missing, 1 cut short): copy the rest; damaged (1 with wrong bytes): copy these again and "
            "look at the disk",
        ),
    ],
)
def test_a_half_copy_asks_for_something_else_than_a_damaged_one(faults: list[Fault], state: str) -> None:
    assert copy_state({str(i): fault for i, fault in enumerate(faults)}, sparse=False) == state


def test_one_frame_of_a_hundred_may_be_lost_and_in_small_data_a_few_files() -> None:
    large, small = made_corpus(["anna"], [500]), made_corpus(["anna"] * 20)
    assert too_much_lost(large, lost(large, range(5)), sparse=False) is None
    assert too_much_lost(large, lost(large, range(6)), sparse=False) == (
        "6 of 500 frames cannot be read, 000.png first, more than 1% and in more than 3 files: half-copied (6 missing, "
        "0 cut short): copy the rest"
    )
    assert too_much_lost(small, lost(small, range(3)), sparse=False) is None
    assert too_much_lost(small, lost(small, range(4)), sparse=False)


def test_one_bad_clip_of_a_few_costs_one_clip() -> None:
    names = [f"{video:02d}.mp4#t={second}.000" for video in range(28) for second in range(10)]
    clips = replace(made_corpus(["anna"] * 28, [10] * 28), frames=tuple(names))
    assert too_much_lost(clips, lost(clips, range(30)), sparse=False) is None
    assert too_much_lost(clips, lost(clips, range(31)), sparse=False)


def test_a_sparse_release_lacks_frames_but_no_whole_tracks_and_has_no_damage(corpus: Corpus) -> None:
    tracks = made_corpus(["anna"] * 10, [4] * 10, root=corpus.root)
    gaps = [4 * track for track in range(2, 10)]
    assert too_much_lost(tracks, lost(tracks, gaps), sparse=False)
    assert too_much_lost(tracks, lost(tracks, gaps), sparse=True) is None
    assert copy_state(faults_of(tracks, lost(tracks, gaps)), sparse=True) == "whole"
    gone = lost(tracks, [*gaps, *range(12, 16)])
    assert str(too_much_lost(tracks, gone, sparse=True)).startswith("4 of 40 frames cannot be read, 012.png first")
    damaged = lost(tracks, [*gaps, *range(4)])  # these files are there
    assert str(too_much_lost(tracks, damaged, sparse=True)).startswith("4 of 40 frames cannot be read, 000.png first")


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


LIMITS = [(0, 0, False), (1, 1, False), (3, 3, False), (2, 1, True), (4, 9, True), (4, 395, True), (4, 396, False)]


@pytest.mark.parametrize(("bad", "used", "stops"), LIMITS)
def test_few_bad_items_are_named_and_counted_and_many_stop_the_reader(bad: int, used: int, stops: bool) -> None:
    """More than three and more than 1%, or more than half."""
    skipped = Skipped("rows")
    for i in range(bad):
        skipped.add(ItemError(f"/data/set/table.csv, line {i}: wrong"))
    if stops:
        with pytest.raises(DataError, match=rf"line 0: wrong \({bad} of {used + bad} rows cannot be used: too many"):
            skipped.notes(used, Path("/data/set"))
    else:
        notes = skipped.notes(used, Path("/data/set"))
        said = f"{bad} rows cannot be used and are left out: table.csv, line 0: wrong"
        assert notes == ((said,) if bad else ())
