"""Faces found in a corpus without crops: the protocol's `faces: found`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.decoding import face_of, faces
from ferbench.datasets.faces import found
from ferbench.datasets.faces.detector import Detector
from ferbench.datasets.faces.found import found_in, kept_faces, with_found_faces
from ferbench.datasets.items import Item, corpus_of
from ferbench.datasets.synthetic.writer import write_film

BEYOND = 96
"""Pixels around each face."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A clip of six frames, one of nobody, a picture, and a picture of nobody; faces are right of the middle."""
    data_set = data_sets.get("oulu_casia")
    film = data_set.film(0.02, 3, data_set.protocol, "cropped")
    shots = [replace(shot, units=shot.units[:6], files=shot.files[:6]) for shot in film.shots[:2]]
    root = tmp_path_factory.mktemp("wide") / "twin"
    write_film(replace(film, shots=tuple(shots), image_size=128), root)
    files = [file for shot in shots for file in shot.files]
    for number, file in enumerate(files):
        with Image.open(root / file) as face:
            wide = Image.new("RGB", (128 + 4 * BEYOND, 128 + 2 * BEYOND), (90, 90, 90))
            if number not in (2, 7):
                wide.paste(face, (3 * BEYOND, BEYOND))
        wide.save(root / file, quality=95)
    items = [Item("clip", 0, tuple(files[:6])), Item("one", 1, (files[6],)), Item("nobody", 1, (files[7],))]
    return corpus_of("made", root, ("A", "B"), items)


def test_a_face_is_followed_and_what_does_not_show_it_is_counted(
    corpus: Corpus, finder: Detector, tmp_path: Path
) -> None:
    boxed = with_found_faces(corpus, tmp_path)
    assert boxed.boxes is not None
    middle = boxed.boxes[:7, 0] + boxed.boxes[:7, 2] / 2
    assert np.abs(middle - (3 * BEYOND + 64)).max() < 24
    assert boxed.boxes[2].tolist() in (boxed.boxes[1].tolist(), boxed.boxes[3].tolist())
    assert np.isnan(boxed.boxes[7]).all()
    (note,) = [note for note in boxed.notes if "faces found by MTCNN" in note]
    assert "in 6 of 8 frames; 1 take the square of the nearest frame, and 1 of 3 tracks show none" in note
    seen = dict(faces(boxed.root, list(boxed.frames), boxed.boxes, 32))
    assert all(face is not None for face in seen.values())


def test_what_was_found_is_not_looked_for_again(
    corpus: Corpus, finder: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found, "TRACKS_AT_ONCE", 1)
    first = with_found_faces(corpus, tmp_path)
    kept = sorted(tmp_path.glob("*.npz"))
    assert len(kept) == 3
    kept[1].write_bytes(kept[1].read_bytes()[:40])  # killed while it was written
    asked = []
    monkeypatch.setattr(found, "found_in", lambda corpus, track, detector: asked.append(track) or found_in(
        corpus, track, detector))  # fmt: skip
    again = with_found_faces(corpus, tmp_path)
    assert asked == [1]
    assert again.notes == first.notes
    assert np.array_equal(first.boxes, again.boxes, equal_nan=True)  # type: ignore[arg-type]


def test_a_track_that_no_sample_uses_is_not_opened(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(found, "Detector", lambda: None)
    monkeypatch.setattr(found, "found_in", lambda corpus, track, detector: asked.append(track) or found._nothing(
        corpus, track))  # fmt: skip
    assert kept_faces(corpus, tmp_path) is None
    closed = replace(
        corpus, sample_id=corpus.sample_id[:2], track=corpus.track[:2], start=corpus.start[:2], stop=corpus.stop[:2],
        label=corpus.label[:2],
    )  # fmt: skip
    boxed = with_found_faces(closed, tmp_path)
    assert asked == [0, 1]
    assert boxed.boxes is not None
    assert len(boxed.boxes) == len(corpus.frames)
    again = kept_faces(closed, tmp_path)
    assert again is not None
    assert again.notes == boxed.notes
    assert asked == [0, 1]


def test_a_frame_without_a_box_is_its_centred_square() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8))
    without = face_of(picture, 16, None)
    assert without is not None
    assert (face_of(picture, 16, np.full(4, np.nan)) == without).all()
