"""What happens when parts share pictures or people: `data verify` and a run agree."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbench.benchmark.commands.data import verify
from ferbench.benchmark.planning import leaks
from ferbench.benchmark.planning.data import locate_folder
from ferbench.benchmark.planning.leaks import copies_of, one_content, parted, plain, under_two_classes
from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets.corpus import DataError
from ferbench.datasets.leaks import Copies
from tests.datasets.made_corpus import made_corpus

PROTOCOL = replace(data_sets.get("folder").protocol, folds=1)


def copies(*pairs: tuple[int, int]) -> Copies:
    return Copies(np.array(pairs, dtype=np.int64).reshape(-1, 2), np.ones(len(pairs), dtype=np.float32))


def contents(count: int) -> np.ndarray:
    return np.arange(1, count + 1, dtype=np.uint64)


@pytest.fixture
def own(twins: Path, tmp_path: Path) -> Path:
    """A folder of one's own, made of rendered faces that nobody knows; one test picture lies in the training part, too,
    mirrored and as a PNG file."""
    root = tmp_path / "data" / "folder"
    pictures = sorted((twins / "affectnet_small").rglob("*.jpg"))[:36]
    for i, file in enumerate(pictures):
        place = root / ("test" if i < 6 else "val" if i < 12 else "train") / ("happy" if i % 2 else "sad")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place / f"{i}.jpg")
    with Image.open(pictures[3]) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "train" / "sad" / "copy.png")
    return root


def test_verify_and_a_run_refuse_a_copy_in_another_form_and_allow_it_when_asked(own: Path) -> None:
    verification = verify("folder", own)
    out = str(verification)
    assert not verification.usable
    assert "same picture in another form: 1: test/happy/3.jpg = train/sad/copy.png" in out
    assert "same picture under two classes: 1: " in out
    fault = "the same image is in the train and the test part: train/sad/copy.png and test/happy/3.jpg (1 in all, with"
    assert f"FAULT: folder: {fault}" in out
    location = locate_folder("folder", own, PROTOCOL)
    corpus = data_sets.get("folder").read(own, PROTOCOL)
    found = copies_of(location, lambda text: None)
    content = contents(len(corpus.frames))
    with pytest.raises(DataError, match=r"same image is in the train and the test part.*--allow-leaks"):
        parted(corpus, PROTOCOL, 0, content, found)
    parts, notes = parted(corpus, PROTOCOL, 0, content, found, allowed=True)
    assert {name: len(rows) for name, rows in parts.parts.items()} == {"train": 25, "validation": 6, "test": 6}
    assert notes[0].startswith(f"leaks allowed: {fault}")
    assert notes[1] == "1 pictures stand under two classes"


def test_what_was_found_is_kept_and_a_damaged_file_is_made_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = locate_folder("folder", own, PROTOCOL)
    first = copies_of(location, lambda text: None)
    searched = []
    monkeypatch.setattr(leaks, "find_copies", lambda *args: searched.append(1) or copies((0, 1)))
    assert copies_of(location, lambda text: None).frames.tolist() == first.frames.tolist()
    assert not searched
    newest = max((leaks.cache_folder() / "leaks").glob("*.npz"), key=lambda file: file.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:50])
    assert len(copies_of(location, lambda text: None)) == 1
    assert searched == [1]


def test_copies_stay_in_one_part_where_folds_are_drawn() -> None:
    corpus = made_corpus([None] * 12)
    two = replace(PROTOCOL, folds=2)
    pairs = [(i, (i + 5) % 12) for i in range(0, 12, 3)]
    for fold in range(2):
        parts, _ = parted(corpus, two, fold, contents(12), copies(*pairs))
        place = {int(i): name for name, rows in parts.parts.items() for i in rows}
        assert all(place[i] == place[j] for i, j in pairs)


def test_copies_of_copies_have_one_content() -> None:
    found = one_content(contents(6), copies((0, 3), (3, 5), (1, 2)))
    assert found.tolist() == [1, 2, 2, 1, 5, 1]
    assert one_content(np.zeros(2, dtype=np.uint64), copies((0, 1))).tolist() == [0, 0]


def test_people_whose_names_differ_in_case_or_blanks_are_one() -> None:
    assert plain(" Subject 07") == plain("subject07 ")
    corpus = made_corpus(["S1", "s2", "s3", "S 1"], parts=["train", "train", "validation", "test"])
    with pytest.raises(DataError, match="subject 'S1' is in the train part and in the test part, as 'S 1'"):
        parted(corpus, PROTOCOL, 0, contents(4), copies())
    _, notes = parted(corpus, PROTOCOL, 0, contents(4), copies(), allowed=True)
    assert len(notes) == 1


def test_the_board_hears_of_what_is_not_shown_and_of_classes_that_were_never_learned() -> None:
    corpus = made_corpus([None] * 12, parts=["train"] * 5 + ["validation"] * 3 + ["test"] * 4)
    content = contents(12)
    content[[2, 5, 6, 9]] = 0  # the only training sample of the third class among them
    parts, notes = parted(corpus, PROTOCOL, 0, content, copies())
    assert len(parts.test) == 4
    assert notes == [
        "of 1 test samples no frame can be read: they are scored all the same, on the nearest earlier frame of the "
        "same recording, or else on a black picture",
        "of 3 samples no frame can be read: they are not trained on",
        "the training part of a fold has no Sadness",
    ]


def test_a_picture_under_two_classes_is_told_and_under_one_is_not() -> None:
    corpus = made_corpus([None] * 6, parts=["train"] * 4 + ["validation", "test"])
    assert under_two_classes(corpus, one_content(contents(6), copies((0, 3)))) == []
    assert under_two_classes(corpus, one_content(contents(6), copies((0, 1)))) == [("sample 0", "sample 1")]
    parts, notes = parted(corpus, PROTOCOL, 0, contents(6), copies((0, 1)))
    assert notes == ["1 pictures stand under two classes"]
    assert len(parts.train) == 4


def test_frames_of_one_track_or_person_are_not_compared() -> None:
    corpus = made_corpus(["a", "A ", None, None], lengths=[200, 3, 1, 1])
    assert leaks._groups(corpus).tolist() == [0, 0, 1, 2]
    compared = leaks._compared(corpus, np.append(contents(204), np.uint64(0)))
    assert compared.tolist() == [*range(0, 200, 4), 200, 201, 202, 203]
