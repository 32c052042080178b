"""The frame store: built once, whole or not at all, with a stand-in for what cannot be read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_corpus import made_corpus
from PIL import Image

from datasets import decoding
from datasets.corpus import Corpus, DataError
from datasets.decoding import content_hash, read_frame
from datasets.frames import find_store, open_store, stand_ins


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


def test_progress_and_processes_change_nothing_in_the_store(corpus: Corpus, cache: Path) -> None:
    told: list[tuple[int, int]] = []
    threaded = open_store(corpus, 8, cache / "a", "x", progress=lambda *numbers: told.append(numbers), processes=4)
    assert told[-1] == (6, 6)
    assert np.array_equal(threaded.frames, open_store(corpus, 8, cache / "b", "x").frames)


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
