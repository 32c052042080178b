"""The frame store: built once, whole or not at all, with a stand-in for what cannot be read."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_corpus import made_corpus
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets import decoding, frames
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.decoding import Kind, content_hash, read_frame
from ferbench.datasets.frames import find_store, open_store, stand_ins, used_frames


def paint(file: Path, value: int, size: tuple[int, int] = (20, 20)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    grain = np.random.default_rng(value).integers(0, 9, (size[1], size[0], 3))
    Image.fromarray((grain + value).astype(np.uint8)).save(file)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Two tracks of three frames, frame i of grey level about 20 (i + 1)."""
    corpus = made_corpus(["anna", "ben"], [3, 3], root=tmp_path / "data")
    for i, frame in enumerate(corpus.frames):
        paint(corpus.root / frame, 20 * (i + 1))
    return corpus


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def grey_levels(corpus: Corpus, cache: Path) -> list[int]:
    """What is shown for each frame, as the number of the picture that it is."""
    store = open_store(corpus, 8, cache, corpus.fingerprint())
    return [round(float(image.mean()) / 20) for image in store.frames[store.stand_in]]


def test_frames_are_decoded_and_resized(corpus: Corpus, cache: Path) -> None:
    store = open_store(corpus, 8, cache, corpus.fingerprint())
    assert store.frames.shape == (6, 8, 8, 3)
    assert store.frames.dtype == np.uint8
    assert grey_levels(corpus, cache) == [1, 2, 3, 4, 5, 6]
    assert store.content.tolist() == [content_hash(image) for image in store.frames]
    assert not store.missing.any()


def test_a_store_is_built_once(corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = corpus.fingerprint()
    first = open_store(corpus, 8, cache, fingerprint)
    monkeypatch.setattr(decoding, "read_frame", lambda *_: pytest.fail("decoded again"))
    second = open_store(corpus, 8, cache, fingerprint)
    assert np.array_equal(first.frames, second.frames)


def replace_a_frame(corpus: Corpus) -> None:
    paint(corpus.root / corpus.frames[2], 200, size=(30, 30))


def remove_a_frame(corpus: Corpus) -> None:
    (corpus.root / corpus.frames[2]).unlink()


@pytest.mark.parametrize("change", [replace_a_frame, remove_a_frame])
def test_changed_files_have_another_fingerprint(corpus: Corpus, change: Callable[[Corpus], None]) -> None:
    before = corpus.fingerprint()
    assert corpus.fingerprint() == before
    change(corpus)
    assert corpus.fingerprint() != before


def test_a_frame_that_is_missing_is_the_nearest_earlier_one_of_its_track(corpus: Corpus, cache: Path) -> None:
    (corpus.root / corpus.frames[2]).unlink()
    (corpus.root / corpus.frames[3]).unlink()  # the first of its track: the nearest later one
    assert grey_levels(corpus, cache) == [1, 2, 2, 5, 5, 6]
    assert open_store(corpus, 8, cache, corpus.fingerprint()).missing.tolist() == [False, False, True, True] + 2 * [
        False
    ]


def test_a_truncated_jpeg_is_a_missing_frame(tmp_path: Path) -> None:
    file = tmp_path / "face.jpg"
    paint(file, 100, size=(64, 64))
    whole = file.read_bytes()
    assert read_frame(file, 8) is not None
    for length in (0, 10, len(whole) // 2):
        file.write_bytes(whole[:length])
        assert read_frame(file, 8) is None


def test_a_track_that_cannot_be_read_at_all_keeps_its_frames(corpus: Corpus) -> None:
    present = np.array([False, False, False, False, True, False])
    assert stand_ins(corpus, present).tolist() == [0, 1, 2, 4, 4, 4]


def test_stand_ins_are_those_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 40)
    corpus, present = made_corpus(["anna"] * 40, lengths.tolist()), rng.random(lengths.sum()) < 0.4
    expected = []
    for begin, end in zip(corpus.start, corpus.stop, strict=True):
        for i in range(begin, end):
            earlier = [j for j in range(begin, i + 1) if present[j]]
            later = [j for j in range(i, end) if present[j]]
            expected.append(earlier[-1] if earlier else later[0] if later else i)
    assert stand_ins(corpus, present).tolist() == expected


def test_a_build_that_is_killed_leaves_nothing_half_valid(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(decoding, "content_hash", killed)
        with pytest.raises(KeyboardInterrupt):
            open_store(corpus, 8, cache, corpus.fingerprint())
    assert list(cache.iterdir()) == []
    assert grey_levels(corpus, cache) == [1, 2, 3, 4, 5, 6]


def test_what_a_killed_build_left_is_removed_by_the_next(corpus: Corpus, cache: Path) -> None:
    (cache / f"made-{corpus.fingerprint()}-8px.building-1").mkdir(parents=True)
    open_store(corpus, 8, cache, corpus.fingerprint())
    assert [folder.name for folder in cache.iterdir()] == [f"made-{corpus.fingerprint()}-8px"]


def test_a_store_without_its_index_is_built_again(corpus: Corpus, cache: Path) -> None:
    open_store(corpus, 8, cache, corpus.fingerprint())
    (folder,) = cache.iterdir()
    (folder / "index.json").unlink()
    (folder / "frames.npy").write_bytes(b"half")
    assert grey_levels(corpus, cache) == [1, 2, 3, 4, 5, 6]


def test_a_store_whose_files_are_cut_short_is_built_again(corpus: Corpus, cache: Path) -> None:
    open_store(corpus, 8, cache, corpus.fingerprint())
    (folder,) = cache.iterdir()
    whole = (folder / "frames.npy").read_bytes()
    (folder / "frames.npy").write_bytes(whole[:-1])
    assert find_store(corpus, 8, cache, corpus.fingerprint()) is None
    assert grey_levels(corpus, cache) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("index", ['{"version": 1, "frames": 6, "size": 8}', "[]", '{"version": 2}', "half"])
def test_a_store_of_an_older_version_is_built_again(corpus: Corpus, cache: Path, index: str) -> None:
    open_store(corpus, 8, cache, corpus.fingerprint())
    (folder,) = cache.iterdir()
    (folder / "index.json").write_text(index)
    np.save(folder / "frames.npy", np.zeros((6, 8, 8, 3), dtype=np.uint8))
    assert find_store(corpus, 8, cache, corpus.fingerprint()) is None
    assert grey_levels(corpus, cache) == [1, 2, 3, 4, 5, 6]


def test_a_store_that_is_there_is_opened_without_writing(corpus: Corpus, cache: Path) -> None:
    assert find_store(corpus, 8, cache, "x") is None
    assert not cache.exists()
    open_store(corpus, 8, cache, "x")
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*")}
    store = find_store(corpus, 8, cache, "x")
    assert store is not None
    assert not store.frames.flags.writeable
    assert open_store(corpus, 8, cache, "x").content.tolist() == store.content.tolist()
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*")} == before


def test_what_is_read_is_an_array_of_its_own_of_any_shape(corpus: Corpus, cache: Path) -> None:
    (corpus.root / corpus.frames[1]).unlink()
    store = open_store(corpus, 8, cache, "x")
    read = store.read(np.array([[1, 0], [5, 4], [3, 3]]))
    assert read.shape == (3, 2, 8, 8, 3)
    assert np.array_equal(read[0, 0], read[0, 1])
    assert np.array_equal(read[1, 0], store.frames[5])
    read[:] = 0
    assert store.read(np.array([0])).min() > 0


# Processes


def test_processes_decode_what_one_does(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "FEWEST_FOR_PROCESSES", 1)
    monkeypatch.setattr(decoding, "RUN", 2)
    (corpus.root / corpus.frames[4]).unlink()
    told: list[tuple[int, int]] = []
    for kind in ("pixels", "jpeg"):
        one = open_store(corpus, 8, tmp_path / "one", "x", kind=kind)
        two = open_store(corpus, 8, tmp_path / "two", "x", lambda *counts: told.append(counts), processes=2, kind=kind)
        assert np.array_equal(one.read(np.arange(6)), two.read(np.arange(6)))
        assert np.array_equal(one.content, two.content)
    assert told[-1] == (6, 6)


def test_a_decoding_process_that_fails_leaves_no_store_and_is_told(
    corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "FEWEST_FOR_PROCESSES", 1)
    monkeypatch.setattr(decoding, "RUN", 2)
    monkeypatch.setattr(frames, "reserve", lambda *_: None)  # so that there is no file to write the pixels into
    with pytest.raises(DataError, match=r"cannot write the frame store .*: No such file or directory: set FERBENCH"):
        open_store(corpus, 8, cache, "x", processes=2)
    assert list(cache.iterdir()) == []


def test_shares_are_even_and_keep_a_video_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "RUN", 3)
    entries = [f"a.mp4#t={t}.000" for t in range(5)] + [f"{i}.jpg" for i in range(7)] + ["b.mp4#t=0.000"]
    entries.append("a.mp4#t=7.000")  # another track of the first video
    dealt = decoding.shares_of(entries, 2)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(len(entries)))
    assert sorted(map(len, dealt)) == [7, 7]
    videos = [{entries[i].partition("#t=")[0] for i in places if "#t=" in entries[i]} for places in dealt]
    assert not videos[0] & videos[1]
    assert len(decoding.shares_of(entries[:5], 8)) == 1


# What is kept


def test_only_tracks_with_a_sample_or_an_enrolment_frame_are_kept(cache: Path, tmp_path: Path) -> None:
    corpus = made_corpus(["anna", "ben", "anna", "ben"], [2, 3, 2, 2], root=tmp_path / "data")
    for i, frame in enumerate(corpus.frames):
        paint(corpus.root / frame, 20 * (i + 1))
    (corpus.root / corpus.frames[3]).unlink()
    second = replace(
        corpus, sample_id=("one",), track=np.array([1]), start=np.array([3]), stop=np.array([5]), label=np.array([0]),
        part=("",),
    )  # fmt: skip
    assert used_frames(corpus) is None
    assert used_frames(second).tolist() == [2, 3, 4]
    enrolled = replace(second, track_neutral=np.array([0, 8, 0, 8]))
    assert used_frames(enrolled).tolist() == [2, 3, 4, 7, 8]
    store = open_store(enrolled, 8, cache, "x")
    assert store.frames.shape[0] == 5
    shown = store.read(np.array([2, 3, 4, 8]))
    assert [round(float(image.mean()) / 20) for image in shown] == [3, 3, 5, 9]
    assert np.flatnonzero(store.missing).tolist() == [3]
    with pytest.raises(IndexError, match="frame 5 is not in the store: no sample uses it"):
        store.read(np.array([[2, 5]]))
    assert len(open_store(second, 8, cache, "x").frames) == 3  # another choice of the same files is another store


@pytest.mark.parametrize("kind", ["pixels", "jpeg"])
def test_compressed_frames_answer_as_pixels_do(corpus: Corpus, cache: Path, kind: Kind) -> None:
    (corpus.root / corpus.frames[1]).unlink()
    for i in (3, 4, 5):
        (corpus.root / corpus.frames[i]).unlink()
    store = open_store(corpus, 16, cache, "x", kind=kind)
    assert store.compressed == (kind == "jpeg")
    assert store.frames.shape == (6, 16, 16, 3)
    shown = store.read(np.array([[0, 1], [2, 4]]))
    assert shown.dtype == np.uint8
    assert [round(float(image.mean()) / 20) for image in shown.reshape(4, 16, 16, 3)] == [1, 1, 3, 0]
    exact = open_store(corpus, 16, cache, "exact", kind="pixels")
    difference = shown.astype(int) - exact.read(np.array([[0, 1], [2, 4]]))
    assert np.abs(difference).max() <= (0 if kind == "pixels" else 8)
    assert store.content.tolist() == exact.content.tolist()  # of the decoded frame, however it is kept


def test_large_corpora_are_compressed(corpus: Corpus, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not open_store(corpus, 8, cache, "x").compressed
    monkeypatch.setattr(frames, "LARGEST_PIXELS", 6 * 8 * 8 * 3 - 1)
    assert open_store(corpus, 8, cache, "x").compressed
    assert find_store(corpus, 8, cache, "x").compressed


def test_a_video_is_decoded_once_whatever_tracks_it_has(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Second t of a video shows grey level 20 (t + 1); the picture at 2 s cannot be decoded."""
    asked: list[tuple[str, list[float]]] = []

    def read_frames(file: Path, seconds: NDArray[np.float64]) -> Iterator[NDArray[np.uint8] | None]:
        asked.append((file.name, seconds.tolist()))
        for second in seconds:
            yield None if second == 2 else np.full((12, 18, 3), 20 * (second + 1), dtype=np.uint8)

    monkeypatch.setitem(sys.modules, "ferbench.datasets.video", SimpleNamespace(read_frames=read_frames))
    names = ["a.mp4#t=0.000", "a.mp4#t=2.000", "b.mp4#t=4.000", "a.mp4#t=1.000", "a.mp4#t=3.000", "b.mp4#t=5.500"]
    corpus = replace(made_corpus(["anna", "ben"], [3, 3], root=tmp_path), frames=tuple(names))
    store = open_store(corpus, 8, cache, "x")
    assert asked == [("a.mp4", [0, 1, 2, 3]), ("b.mp4", [4, 5.5])]
    assert store.read(np.arange(6)).mean(axis=(1, 2, 3)).tolist() == [20, 20, 100, 40, 80, 130]
    assert np.flatnonzero(store.missing).tolist() == [1]


# Faces


def test_a_box_is_cut_out_and_one_that_leaves_the_picture_is_clipped(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), dtype=np.uint8)
    picture[10:30, 20:40] = 255
    Image.fromarray(picture).save(tmp_path / "face.png")
    inside = read_frame(tmp_path / "face.png", 10, np.array([20.0, 10.0, 20.0, 20.0]))
    clipped = read_frame(tmp_path / "face.png", 10, np.array([20.0, -10.0, 20.0, 40.0]))
    assert inside is not None
    assert clipped is not None
    assert inside[1:-1, 1:-1].min() == 255  # the filter mixes in a little from beyond the edge
    assert clipped[:2].max() == 0
    assert clipped[5:-1, 1:-1].min() == 255
    assert read_frame(tmp_path / "face.png", 10, np.array([100.0, 0.0, 20.0, 20.0])) is None


def test_without_a_box_the_centred_square_is_read(tmp_path: Path) -> None:
    picture = np.zeros((20, 60, 3), dtype=np.uint8)
    picture[:, 20:40] = (250, 0, 0)  # RGB: the colour order is part of the protocol
    Image.fromarray(picture).save(tmp_path / "face.png")
    square = read_frame(tmp_path / "face.png", 4)
    assert square is not None
    assert (square[:, 1:-1] == (250, 0, 0)).all()


def test_a_folder_without_any_readable_picture_is_an_error(corpus: Corpus, cache: Path) -> None:
    shutil.rmtree(corpus.root)
    with pytest.raises(DataError, match=r"none of the 6 images below .* can be read"):
        open_store(corpus, 8, cache, "x")


def test_a_cache_that_cannot_be_written_is_an_error_that_says_what_to_do(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="set FERBENCH_CACHE to a folder with space"):
        open_store(corpus, 8, tmp_path / "file", "x")
