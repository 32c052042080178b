"""Harmless spellings are read by every reader alike; names and files that do harm are refused, and none hangs."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_corpus import made_corpus
from PIL import Image

from ferbench.datasets import aff_wild2, affectnet_small, ctbc, folder, oulu_casia, sendv1
from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet
from ferbench.datasets.numbered_frames import numbered_images
from ferbench.datasets.spelling import csv_rows, folders_in, pictures_in, whole_number


def picture(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(file, "JPEG")
    return file


def text(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


# Small releases, each with one thing spelled otherwise


def affectnet(root: Path, encoding: str = "utf-8", slash: str = "/", zero: str = "", ending: str = ".jpg") -> DataSet:
    for part in ("training", "validation"):
        rows = []
        for code in range(8):
            picture(root / affectnet_small.IMAGES / str(code) / f"{part}{ending}")
            rows.append([f"{code}{slash}{part}.jpg", 0, 0, 8, 8, f"{code}{zero}"])
        with (root / f"{part}.csv").open("w", newline="", encoding=encoding) as lines:
            csv.writer(lines).writerows([affectnet_small.COLUMNS, *rows])
    return affectnet_small.DATASET


def affectnet8(root: Path, ending: str) -> DataSet:
    for part in ("train_set", "val_set"):
        for code in range(8):
            picture(root / part / "images" / f"{code}{ending}")
            (root / part / "annotations").mkdir(exist_ok=True)
            np.save(root / part / "annotations" / f"{code}_exp.npy", np.array(str(code)))
    return affectnet_small.DATASET


def oulu(root: Path, ending: str = ".jpeg", change: Callable[[str], str] = str) -> DataSet:
    for person in ("P001", "P002"):
        for emotion in oulu_casia.CLASSES:
            for i in range(4):
                picture(root / "VL" / "Strong" / change(person) / change(emotion) / f"{i:03d}{ending}")
    (root / "VL" / "Strong" / "Preview").mkdir()
    return oulu_casia.DATASET


def affwild(root: Path, header: str = "", zero: str = "", ending: str = ".jpg", name: str = "{:05d}") -> DataSet:
    for video, part in (("1", "Train_Set"), ("2", "Validation_Set")):
        lines = [header or ",".join(aff_wild2.CLASSES), *(f"{i % 7}{zero}" for i in range(10))]
        text(root / "annotations" / "EXPR_Set" / part / f"{video}.txt", "\n".join(lines))
        for i in range(1, 11):
            picture(root / "cropped_aligned" / video / f"{name.format(i)}{ending}")
    return aff_wild2.DATASET


def cameras(root: Path, change: Callable[[str], str]) -> DataSet:
    for emotion in ctbc.CLASSES:
        for i in range(1, 4):
            picture(root / "CTBC" / "cam2" / "S01" / change(emotion) / f"{i:05d}.JPG")
    return ctbc.DATASET


RELEASES: dict[str, tuple[Callable[[Path], DataSet], int]] = {
    "a byte order mark": (lambda root: affectnet(root, encoding="utf-8-sig"), 16),
    "backslashes": (lambda root: affectnet(root, slash="\\"), 16),
    "codes as 3.0": (lambda root: affectnet(root, zero=".0"), 16),
    "another ending than the CSV file says": (lambda root: affectnet(root, ending=".PNG"), 16),
    "capitals of AffectNet8": (lambda root: affectnet8(root, ".JPG"), 16),
    "png of AffectNet8": (lambda root: affectnet8(root, ".png"), 16),
    "capitals of Oulu-CASIA": (lambda root: oulu(root, ".JPEG"), 12),
    "png of Oulu-CASIA": (lambda root: oulu(root, ".png"), 12),
    "small letters of Oulu-CASIA": (lambda root: oulu(root, change=str.lower), 12),
    "labels as 3.0": (lambda root: affwild(root, zero=".0"), 20),
    "a header in small letters": (lambda root: affwild(root, header=", ".join(aff_wild2.CLASSES).lower()), 20),
    "png of Aff-Wild2": (lambda root: affwild(root, ending=".png"), 20),
    "capitals of Aff-Wild2": (lambda root: affwild(root, ending=".JPG"), 20),
    "fewer digits of Aff-Wild2": (lambda root: affwild(root, name="{:03d}"), 20),
    "capitals of CTBC": (lambda root: cameras(root, str.upper), 20),
}


@pytest.mark.parametrize("release", RELEASES)
def test_a_harmless_spelling_is_read(tmp_path: Path, release: str) -> None:
    write, samples = RELEASES[release]
    dataset = write(tmp_path)
    corpus = dataset.read(tmp_path, dataset.protocol)
    assert len(corpus) == samples
    assert all((tmp_path / frame).is_file() for frame in corpus.frames)


def test_people_keep_the_official_spelling_of_their_names(tmp_path: Path) -> None:
    dataset = oulu(tmp_path, change=str.lower)
    assert set(dataset.read(tmp_path, dataset.protocol).track_subject) == {"P001", "P002"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("001.jpg", "001.jpeg and 001.jpg both claim to be frame 1: remove one of them"),
        ("cover.jpeg", "cover.jpeg: the name of an image is its frame number"),
        ("20160101.jpeg", "20160101.jpeg: frame 20160101 among 5 images: rename or remove it"),
    ],
)
def test_a_stray_picture_of_a_sequence_is_named(tmp_path: Path, name: str, message: str) -> None:
    dataset = oulu(tmp_path)
    picture(tmp_path / "VL" / "Strong" / "P001" / "Anger" / name)
    with pytest.raises(DataError, match=re.escape(message)):
        dataset.read(tmp_path, dataset.protocol)


def test_many_frames_may_have_high_numbers(tmp_path: Path) -> None:
    for i in range(1000, 150_000, 50):
        (tmp_path / f"{i}.jpg").touch()
    assert max(numbered_images(tmp_path, tmp_path)) == 149_950


# Names and files that do harm


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a#t=3.jpg", "has #t= or #row= in it, which marks a second of a video or a row of a table: rename it"),
        ("a#row=3.jpg", "has #t= or #row= in it, which marks a second of a video or a row of a table: rename it"),
        (os.fsdecode(b"\xff\xfe.jpg"), r"'train/happy/\udcff\udcfe.jpg' is not UTF-8 text: rename it"),
        ("a\nb.jpg", r"'train/happy/a\nb.jpg' has a control character in it: rename it"),
    ],
)
def test_a_name_that_does_harm_is_refused(tmp_path: Path, name: str, message: str) -> None:
    for part in ("train", "test"):
        for label in ("happy", "sad"):
            picture(tmp_path / part / label / "a.jpg")
    picture(tmp_path / "train" / "happy" / name)
    with pytest.raises(DataError, match=re.escape(message)):
        folder.DATASET.read(tmp_path, folder.DATASET.protocol)


def test_the_second_of_a_video_is_no_harm() -> None:
    assert len(made_corpus(["a"])) == 1
    names = ("a.mp4#t=0.000", "b#t=1.jpg")
    made = made_corpus(["a"], [2])
    assert Corpus(**{**vars(made), "frames": (names[0], "b.mp4#t=12.5")})
    with pytest.raises(DataError, match=r"b#t=1\.jpg"):
        Corpus(**{**vars(made), "frames": names})


def test_pipes_and_links_in_circles_do_not_hang_a_reader(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("happy", "sad"):
            picture(tmp_path / part / label / "a.jpg")
    for name in ("b.jpg", "b.mp4"):
        os.mkfifo(tmp_path / "train" / "happy" / name)
    corpus = folder.DATASET.read(tmp_path, folder.DATASET.protocol)
    assert len(corpus) == 4
    assert corpus.notes[0].startswith("2 files are neither a picture nor a video")
    (tmp_path / "train" / "happy" / "c.jpg").symlink_to("c.jpg")
    with pytest.raises(DataError, match=r"c\.jpg: the link leads in circles: remove it"):
        folder.DATASET.read(tmp_path, folder.DATASET.protocol)


@pytest.mark.parametrize("write", [affectnet, oulu, affwild])
def test_pipes_beside_the_files_of_a_release_are_passed_over(tmp_path: Path, write: Callable[[Path], DataSet]) -> None:
    dataset = write(tmp_path)
    known = len(dataset.read(tmp_path, dataset.protocol))
    for below in [path for path in tmp_path.rglob("*") if path.is_dir()]:
        for name in ("009.jpeg", "00012.jpg", "9.txt", "9_exp.npy"):
            os.mkfifo(below / name)
    assert len(dataset.read(tmp_path, dataset.protocol)) == known


def test_a_rating_that_is_a_pipe_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ratings" / "Train" / "observer_EWE").mkdir(parents=True)
    os.mkfifo(tmp_path / "ratings" / "Train" / "observer_EWE" / "results_1_1.csv")
    with pytest.raises(DataError, match="no ratings of SENDv1"):
        sendv1.read(tmp_path, sendv1.DATASET.protocol)


def test_folders_without_end_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "test" / "happy" / "a.jpg")
    deep = tmp_path / "train" / "happy" / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    with pytest.raises(DataError, match="more than 32 folders within one another below train/happy/d/d"):
        folder.DATASET.read(tmp_path, folder.DATASET.protocol)


# The parts that readers share


def test_one_picture_with_two_endings_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    text(tmp_path / "a.txt", "no picture")
    assert pictures_in(tmp_path, tmp_path) == {"a": "a.jpg"}
    picture(tmp_path / "a.PNG")
    with pytest.raises(DataError, match=r"a\.PNG and a\.jpg both claim to be picture a: remove one of them"):
        pictures_in(tmp_path, tmp_path)


def test_folders_whose_names_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    (tmp_path / "Anger").mkdir()
    assert folders_in(tmp_path, tmp_path) == {"anger": tmp_path / "Anger"}
    (tmp_path / "anger").mkdir()
    with pytest.raises(DataError, match=r"Anger and .*anger differ in case alone: join them"):
        folders_in(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'path' in its first line"),
        (b"\xff\xfe\x00", "not a text file in UTF-8: copy it again, or save it as such (UnicodeDecodeError)"),
        (b"path,who\n" + b"x" * 200_000, "not a text file in UTF-8: copy it again, or save it as such (Error)"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        list(csv_rows(text(tmp_path / "a.csv", content), ["path"]))


def test_a_path_with_a_nul_is_refused(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("happy", "sad"):
            picture(tmp_path / part / label / "a.jpg")
    text(tmp_path / "subjects.csv", b"path,subject\ntrain/\0happy,Anna\n")
    with pytest.raises(DataError, match=r"subjects.csv, line 2: 'train/\\x00happy' is no path of a file"):
        folder.DATASET.read(tmp_path, folder.DATASET.protocol)


@pytest.mark.parametrize(("written", "number"), [("3", 3), (" 3 ", 3), ("3.0", 3), ("3.", 3), ("-1.00", -1), ("+7", 7)])
def test_whole_numbers(written: str, number: int) -> None:
    assert whole_number(written) == number


@pytest.mark.parametrize("written", ["", "3.5", "three", "1e3", "0x3", "1" * 10, "nan", "3,0"])
def test_what_is_no_whole_number(written: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        whole_number(written)
