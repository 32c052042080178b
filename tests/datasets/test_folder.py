"""A folder of one's own is read with no code: parts, classes, three kinds of samples, subjects."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.folder import DATASET, TWIN_CLASSES, film, read
from ferbench.datasets.splits import leaks_of, split
from ferbench.datasets.synthetic.writer import write_film
from ferbench.datasets.video import write_video

PROTOCOL = DATASET.protocol


def picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (len(file.name), 0, 0)).save(file)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two classes in two parts, in all three kinds."""
    root = tmp_path / "folder"
    for part in ("train", "test"):
        picture(root / part / "happy" / "a.jpg")
        picture(root / part / "Neutral" / "b.PNG")
    for number in (10, 2, 1):
        picture(root / "train" / "happy" / "smile" / f"frame{number}.jpg")
    write_video(root / "train" / "happy" / "laugh.mp4", np.zeros((10, 16, 16, 3), dtype=np.uint8), np.arange(10) / 10)
    return root


def samples(corpus: Corpus) -> dict[str, tuple[str, str, int]]:
    """Part, class and number of frames of each sample."""
    return {
        name: (corpus.part[i], corpus.classes[corpus.label[i]], int(corpus.stop[i] - corpus.start[i]))
        for i, name in enumerate(corpus.sample_id)
    }


def refused(root: Path, message: str, **options: object) -> None:
    """Reading fails with one line."""
    with pytest.raises(DataError, match=message) as caught:
        read(root, DATASET.changed_protocol(options, "test"))
    assert "\n" not in str(caught.value)


# What is read


def test_pictures_videos_and_folders_of_frames_are_samples(own: Path) -> None:
    corpus = read(own, PROTOCOL)
    assert samples(corpus) == {
        "test/happy/a.jpg": ("test", "happy", 1),
        "test/Neutral/b.PNG": ("test", "Neutral", 1),
        "train/happy/a.jpg": ("train", "happy", 1),
        "train/happy/laugh.mp4": ("train", "happy", 8),
        "train/happy/smile": ("train", "happy", 3),
        "train/Neutral/b.PNG": ("train", "Neutral", 1),
    }
    assert corpus.classes == ("Neutral", "happy")
    assert corpus.neutral_class == 0
    assert not corpus.subjects_known
    assert corpus.notes == ()
    assert (corpus.name, corpus.source) == ("folder", "real")


def test_frames_are_in_the_order_of_their_numbers_and_videos_are_read_by_time(own: Path) -> None:
    corpus = read(own, DATASET.changed_protocol({"rate": 4}, "test"))
    smile, laugh = (corpus.sample_id.index(f"train/happy/{name}") for name in ("smile", "laugh.mp4"))
    frames = [corpus.frames[i] for i in range(corpus.start[smile], corpus.stop[smile])]
    assert frames == [f"train/happy/smile/frame{i}.jpg" for i in (1, 2, 10)]
    assert corpus.frames[corpus.start[laugh] : corpus.stop[laugh]] == tuple(
        f"train/happy/laugh.mp4#t={second}" for second in ("0.000", "0.250", "0.500", "0.750")
    )


def test_folders_may_be_nested(own: Path) -> None:
    picture(own / "train" / "happy" / "by" / "anna" / "one" / "1.jpg")
    picture(own / "train" / "happy" / "by" / "anna" / "two" / "1.jpg")
    assert {"train/happy/by/anna/one", "train/happy/by/anna/two"} < set(read(own, PROTOCOL).sample_id)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_the_validation_part(own: Path, name: str) -> None:
    shutil.copytree(own / "test", own / name)
    parts = Counter(read(own, PROTOCOL).part)
    assert parts == {"train": 4, "validation": 2, "test": 2}


def test_without_a_test_folder_the_validation_folder_is_tested_and_the_board_says_so(own: Path) -> None:
    (own / "test").rename(own / "val")
    corpus = read(own, PROTOCOL)
    assert Counter(corpus.part) == {"train": 4, "test": 2}
    assert corpus.notes == ("no test/: val/ is the test part, and the validation part is cut from training",)


def test_other_files_are_left_out_with_a_note_and_hidden_ones_without(own: Path) -> None:
    for file in ("notes.txt", "happy/readme.md", ".DS_Store", "happy/.DS_Store", "happy/._a.jpg"):
        (own / "train" / file).write_text("-")
    (note,) = read(own, PROTOCOL).notes
    assert note == "2 files are neither a picture nor a video (train/happy/readme.md first): left out"


# Who is seen


def subjects(root: Path, *rows: str) -> None:
    (root / "subjects.csv").write_text("\n".join(("path,subject", *rows)) + "\n", encoding="utf-8")


def test_subjects_are_given_to_files_and_to_folders_and_the_longest_path_counts(own: Path) -> None:
    subjects(own, "train, Anna", "train/happy/smile,Björn", "test/happy/a.jpg,Carla", "test/Neutral,Carla")
    corpus = read(own, PROTOCOL)
    assert corpus.subjects_known
    who = dict(zip(corpus.sample_id, corpus.subject, strict=True))
    assert who["train/happy/smile"] == "Björn"
    assert who["train/happy/laugh.mp4"] == who["train/Neutral/b.PNG"] == "Anna"
    assert who["test/happy/a.jpg"] == "Carla"
    assert corpus.notes == ()


def test_samples_without_a_subject_and_entries_without_a_sample_are_told(own: Path) -> None:
    subjects(own, "train,Anna", "test/happy/gone.jpg,Carla")
    corpus = read(own, PROTOCOL)
    assert not corpus.subjects_known
    assert corpus.notes == (
        "2 of 6 samples have no subject in subjects.csv (test/Neutral/b.PNG first)",
        "1 entries of subjects.csv name no sample (test/happy/gone.jpg first)",
    )


def test_a_subject_in_two_parts_is_found(own: Path) -> None:
    subjects(own, "train/Neutral,Bert", "train/happy,Anna", "test,anna")
    corpus = read(own, PROTOCOL)
    content = np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)
    leaks = leaks_of(corpus, split(corpus, PROTOCOL, 0, content), content)
    assert any("subject 'Anna'" in leak and "as 'anna'" in leak for leak in leaks)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["../elsewhere/a.jpg,Anna"],
            r"line 2: '\.\./elsewhere/a\.jpg' leads out of the data folder: name a file below",
        ),
        (["/etc/passwd,Anna"], "line 2: '/etc/passwd' leads out of the data folder"),
        (["train/../../x,Anna"], "line 2: .* leads out of the data folder"),
        (["train,Anna", "train,Bert"], "line 3: 'train' is there already: name each file or folder once"),
        (["train"], "line 2: a path or a subject is missing: give both"),
        ([",Anna"], "line 2: a path or a subject is missing: give both"),
    ],
)
def test_a_wrong_line_of_subjects_is_named(own: Path, rows: list[str], message: str) -> None:
    subjects(own, *rows)
    refused(own, rf"subjects\.csv, {message}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,subject\ntrain,Björn\n".encode("latin-1"), "not a text file in UTF-8: copy it again"),
        (b"file,person\ntrain,Anna\n", "no column .path. in its first line"),
        (b"", "no column .path. in its first line"),
    ],
)
def test_a_subjects_file_that_cannot_be_read_is_named(own: Path, content: bytes, message: str) -> None:
    (own / "subjects.csv").write_bytes(content)
    refused(own, rf"subjects\.csv: {message}")


# What is refused


@pytest.mark.parametrize("place", ["train", "train/happy", "train/happy/smile", "train/happy/a.jpg"])
def test_a_link_that_leads_out_is_refused(own: Path, tmp_path: Path, place: str) -> None:
    (own / place).rename(tmp_path / "outside")
    (own / place).symlink_to(tmp_path / "outside")
    refused(own, r"the link leads out of the data folder")


def test_the_folder_itself_may_be_a_link_and_a_link_within_it_is_no_way_in_circles(own: Path, tmp_path: Path) -> None:
    (own / "train" / "happy" / "smile" / "again").symlink_to(own / "train" / "happy")
    (tmp_path / "link").symlink_to(own)
    corpus = read(tmp_path / "link", PROTOCOL)
    assert len(corpus) == 6
    assert corpus.notes == ("1 files are neither a picture nor a video (train/happy/smile/again first): left out",)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 a photograph"])
def test_a_video_that_cannot_be_decoded_is_a_sample_that_cannot_be_shown(own: Path, content: bytes) -> None:
    (own / "train" / "happy" / "laugh.mp4").write_bytes(content)
    corpus = read(own, PROTOCOL)
    (place,) = (i for i, name in enumerate(corpus.sample_id) if name == "train/happy/laugh.mp4")
    assert corpus.stop[place] - corpus.start[place] == 1
    assert corpus.frames[corpus.start[place]].startswith("train/happy/laugh.mp4#t=0")


def test_a_class_that_is_tested_and_not_learned_is_refused(own: Path) -> None:
    picture(own / "test" / "Happy" / "c.jpg")
    refused(own, "the class 'Happy' is not in train/, which has Neutral, happy: name it alike in every part")


def test_one_class_is_too_few(own: Path) -> None:
    for part in ("train", "test"):
        shutil.rmtree(own / part / "Neutral")
    refused(own, r"folder/train: 1 classes with a picture or a video: there must be two at least")


def test_two_folders_of_one_part_are_refused(own: Path) -> None:
    for name in ("val", "valid"):
        shutil.copytree(own / "test", own / name)
    refused(own, "val and valid are both the validation part: join them")


@pytest.mark.parametrize("missing", ["train", "test"])
def test_parts_that_are_not_there_are_asked_for(own: Path, missing: str) -> None:
    shutil.rmtree(own / missing)
    refused(own, r"expected train/<class>/\.\.\. and test/<class>/\.\.\.")


def test_a_rate_below_one_is_refused(own: Path) -> None:
    refused(own, "protocol rate must be at least 1 frame a second, not 0", rate=0)


# The twin


def test_the_twin_has_all_three_kinds_and_names_its_people(tmp_path: Path) -> None:
    write_film(film(0.01, 0, PROTOCOL, "folders"), tmp_path / "twin")
    corpus = read(tmp_path / "twin", PROTOCOL)
    assert corpus.name == "folder-twin"
    assert corpus.classes == TWIN_CLASSES
    assert corpus.subjects_known
    assert corpus.notes == ()
    assert Counter(corpus.part) == {"train": 12, "validation": 12, "test": 12}
    assert Counter((corpus.stop - corpus.start).tolist()) == {1: 12, 16: 24}
    with (tmp_path / "twin" / "subjects.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == len(corpus)
    with np.load(tmp_path / "twin" / "truth.npz") as truth:
        assert sorted(truth["files"].tolist()) == sorted(corpus.frames)
