"""The layout of this project is written by the twin and read back; names that cannot be understood are refused."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferbench.datasets.corpus import DataError
from ferbench.datasets.ctbc import CAMERAS, CLASSES, DATASET, IMAGES, film, read
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.film import Film
from ferbench.datasets.synthetic.writer import write_film

PROTOCOL = DATASET.protocol


def small_film() -> Film:
    """Two subjects, three frames of each recording, all cameras."""
    whole = film(0.001, 7, PROTOCOL, "cam")
    return replace(whole, shots=whole.shots[: 2 * len(CAMERAS)])


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ctbc") / "twin"
    write_film(small_film(), folder)
    return folder


@pytest.fixture
def copy(twin: Path, tmp_path: Path) -> Path:
    """A copy of the twin, to be damaged."""
    return Path(shutil.copytree(twin, tmp_path / "copy"))


def made(root: Path, numbers: tuple[str, ...] = ("00001", "00002"), subjects: int = 2) -> Path:
    """Camera 2 of some subjects, with empty files of these names in each recording."""
    for subject in range(subjects):
        for emotion in CLASSES:
            folder = root / "CTBC" / "cam2" / f"S{subject + 1:02d}" / emotion
            folder.mkdir(parents=True)
            for number in numbers:
                (folder / f"{number}.jpg").touch()
    return root


def test_the_twin_is_read_back(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    assert corpus.name == "ctbc-twin"
    assert corpus.classes == CLASSES
    files = {file for shot in small_film().shots for file in shot.files if file.startswith("CTBC/cam2/")}
    assert {frame for frame in corpus.frames if (twin / frame).is_file()} == files
    assert set(corpus.subject) == {"S01", "S02"}
    assert all(Path(corpus.frames[i]).parts[-2] == CLASSES[code] for i, code in zip(corpus.start, corpus.label, strict=True))  # fmt: skip # noqa: E501
    assert (corpus.stop - corpus.start == 1).all()
    assert [corpus.frames[i] for i in corpus.start[:2]] == [f"CTBC/cam2/{name}.jpg" for name in corpus.sample_id[:2]]


def test_the_enrolment_image_is_the_first_neutral_one_and_no_sample(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    assert corpus.track_neutral is not None
    enrolment = [corpus.frames[corpus.track_neutral[t]] for t in corpus.track]
    assert enrolment == [f"CTBC/cam2/{subject}/Neutral/00001.jpg" for subject in corpus.subject]
    assert not set(corpus.track_neutral.tolist()) & set(corpus.start.tolist())
    assert len(corpus) == sum((twin / frame).is_file() for frame in corpus.frames) - 2


def test_every_image_but_the_enrolment_images_is_a_sample(tmp_path: Path) -> None:
    corpus = read(made(tmp_path), PROTOCOL)
    assert Counter(corpus.label.tolist()) == {0: 2, **dict.fromkeys(range(1, 7), 4)}


@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_a_camera_is_chosen_by_the_protocol(twin: Path, camera: int) -> None:
    corpus = read(twin, DATASET.changed_protocol({"camera": camera}, "test"))
    assert all(frame.startswith(f"CTBC/cam{camera}/") for frame in corpus.frames)
    assert corpus.sample_id == read(twin, PROTOCOL).sample_id


def test_the_cameras_see_one_performance_from_different_sides(twin: Path) -> None:
    shots = small_film().shots[: len(CAMERAS)]
    assert [shot.yaw for shot in shots] == [-0.5, 0.0, 0.5]
    assert all(np.array_equal(shot.units, shots[0].units) and shot.identity == shots[0].identity for shot in shots)
    first = [(twin / shot.files[0]).read_bytes() for shot in shots]
    assert len(set(first)) == 3


def test_the_top_folder_may_be_left_out(twin: Path) -> None:
    assert read(twin / "CTBC", PROTOCOL).sample_id == read(twin, PROTOCOL).sample_id


def test_a_number_that_is_missing_keeps_its_place_and_is_no_sample(tmp_path: Path) -> None:
    corpus = read(made(tmp_path, ("00003", "00004", "00007"), subjects=1), PROTOCOL)
    assert np.diff(corpus.track_start).tolist() == [5] * 7
    assert [Path(frame).name for frame in corpus.frames[:5]] == [f"0000{n}.jpg" for n in (3, 4, 5, 6, 7)]
    assert corpus.start[:5].tolist() == [1, 4, 5, 6, 9]


def test_each_fold_tests_one_subject(tmp_path: Path) -> None:
    corpus = read(made(tmp_path, subjects=10), PROTOCOL)
    content = np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)
    subject = np.array(corpus.subject)
    tested = [set(subject[split(corpus, PROTOCOL, fold, content).test].tolist()) for fold in range(10)]
    assert tested == [{f"S{number:02d}"} for number in range(1, 11)]


def test_the_film_at_scale_1_has_about_the_images_of_the_source() -> None:
    whole = film(1.0, 0, PROTOCOL, "cam")
    frontal = [file for shot in whole.shots for file in shot.files if "/cam2/" in file]
    assert len(frontal) == pytest.approx(IMAGES, rel=0.05)
    assert len({shot.identity for shot in whole.shots}) == 10
    assert all(len(shot.units) == len(shot.files) for shot in whole.shots)


def test_two_films_of_different_seeds_share_nobody() -> None:
    one, other = film(0.001, 0, PROTOCOL, "cam"), film(0.001, 1, PROTOCOL, "cam")
    assert not {shot.identity for shot in one.shots} & {shot.identity for shot in other.shots}


# What cannot be used


def test_a_camera_that_is_not_there_is_an_error_that_names_those_that_are(twin: Path) -> None:
    with pytest.raises(DataError, match="no camera 5 of CTBC: there are cam1, cam2, cam3"):
        read(twin, DATASET.changed_protocol({"camera": 5}, "test"))


def test_a_folder_without_cameras_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no camera 2 of CTBC: expected CTBC/cam2/<subject>/<Expression>/"):
        read(tmp_path, PROTOCOL)


def test_a_camera_without_subjects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cam2").mkdir()
    with pytest.raises(DataError, match="cam2: no subject folders"):
        read(tmp_path, PROTOCOL)


def test_a_recording_that_is_missing_is_counted_and_many_are_refused(copy: Path) -> None:
    camera = copy / "CTBC" / "cam2"
    shutil.rmtree(camera / "S02" / "Fear")
    corpus = read(copy, PROTOCOL)
    assert len(corpus.track_subject) == 13
    assert corpus.notes[0].startswith("1 recordings cannot be used and are left out: CTBC/cam2/S02/Fear: no images")
    for emotion in ("Anger", "Disgust", "Sadness"):
        shutil.rmtree(camera / "S02" / emotion)
    with pytest.raises(DataError, match=r"S02/Anger: no images of this expression: .*4 of 14 recordings cannot be"):
        read(copy, PROTOCOL)


def test_a_subject_without_the_recording_that_enrols_is_refused(copy: Path) -> None:
    shutil.rmtree(copy / "CTBC" / "cam2" / "S02" / "Neutral")
    with pytest.raises(DataError, match=r"S02/Neutral: no images of this expression: .* incomplete; copy it again"):
        read(copy, PROTOCOL)


def test_an_expression_by_another_name_is_refused(copy: Path) -> None:
    subject = copy / "CTBC" / "cam2" / "S02"
    (subject / "Happiness").rename(subject / "Happy")
    with pytest.raises(DataError, match="S02/Happy: not an expression of CTBC: rename it to one of Neutral, Anger"):
        read(copy, PROTOCOL)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("apex.jpg", "apex.jpg: the name of an image is its frame number, as in 00001.jpg: rename it"),
        ("1.jpg", "S01/Anger: 00001.jpg and 1.jpg both claim to be frame 1: remove one of them"),
        ("00001.png", "S01/Anger: 00001.jpg and 00001.png both claim to be frame 1: remove one of them"),
    ],
)
def test_names_that_do_not_number_the_frames_are_refused(copy: Path, name: str, message: str) -> None:
    (copy / "CTBC" / "cam2" / "S01" / "Anger" / name).touch()
    with pytest.raises(DataError, match=message):
        read(copy, PROTOCOL)


def test_files_that_are_no_images_are_passed_over(copy: Path) -> None:
    before = read(copy, PROTOCOL).frames
    for name in ("Thumbs.db", "._00009.jpg", "notes.txt"):
        (copy / "CTBC" / "cam2" / "S01" / "Anger" / name).touch()
    assert read(copy, PROTOCOL).frames == before


@pytest.mark.parametrize(
    "what", ["CTBC", "CTBC/cam2", "CTBC/cam2/S01", "CTBC/cam2/S01/Anger", "CTBC/cam2/S01/Anger/00001.jpg"]
)
def test_a_link_that_leads_out_of_the_data_folder_is_refused(copy: Path, tmp_path: Path, what: str) -> None:
    (copy / what).rename(tmp_path / "elsewhere")
    (copy / what).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the link leads out of the data folder: put the file itself there"):
        read(copy, PROTOCOL)


def test_the_data_folder_itself_may_be_a_link(twin: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(twin)
    assert len(read(tmp_path / "link", PROTOCOL)) == len(read(twin, PROTOCOL))
