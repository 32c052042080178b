"""Both releases are read back from a twin, and the tenth is drawn by its rule."""

from __future__ import annotations

import csv
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferbench.datasets import affectnet_small
from ferbench.datasets.affectnet_small import (
    CLASSES,
    COLUMNS,
    DATASET,
    IMAGES,
    SMALL_COUNTS,
    TRAIN_COUNTS,
    VALIDATION_COUNTS,
    Face,
    codes_of,
    draw_small,
    film,
    landmark_crop,
    npy_code,
    read,
)
from ferbench.datasets.corpus import DataError
from ferbench.datasets.synthetic.writer import write_film

PROTOCOL = DATASET.protocol
SCALE = 0.002


@pytest.fixture(scope="module")
def releases(twins: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The twin in each layout, with the same seed."""
    first = tmp_path_factory.mktemp("first") / "twin"
    write_film(film(SCALE, 0, PROTOCOL, "first"), first)
    return {"affectnet8": twins / "affectnet_small", "first": first}


@pytest.fixture
def release(releases: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of one layout, to be damaged."""
    return Path(shutil.copytree(releases[request.param], tmp_path / "copy"))


@pytest.mark.parametrize("layout", DATASET.layouts)
def test_a_twin_is_read_back(releases: dict[str, Path], layout: str) -> None:
    corpus = read(releases[layout], PROTOCOL)
    counts = [max(2, round(count * SCALE)) for count in SMALL_COUNTS]
    assert corpus.name == "affectnet_small-twin"
    assert corpus.classes == CLASSES
    assert not corpus.subjects_known
    assert corpus.neutral_class == CLASSES.index("Neutral")
    assert Counter(corpus.part) == {"train": sum(counts), "test": 16}
    train = np.array(corpus.part) == "train"
    assert np.bincount(corpus.label[train]).tolist() == counts
    assert np.bincount(corpus.label[~train]).tolist() == [2] * 8
    assert all((corpus.root / frame).is_file() for frame in corpus.frames)
    assert len(set(corpus.sample_id)) == len(corpus)


def test_a_face_of_the_first_release_is_cut_out_of_its_photograph(releases: dict[str, Path]) -> None:
    corpus = read(releases["first"], PROTOCOL)
    assert corpus.boxes is not None
    assert corpus.boxes.shape == (len(corpus), 4)
    assert corpus.boxes[:, 2:] == pytest.approx(64, abs=20)
    assert corpus.boxes.mean(axis=0) == pytest.approx([12, 14, 64, 64], abs=3)  # what the other layout shows
    assert all(name.endswith("@12.0,12.0,64.0,64.0") for name in corpus.sample_id)
    assert read(releases["affectnet8"], PROTOCOL).boxes is None


def test_both_releases_hold_the_landmarks_of_the_faces(releases: dict[str, Path]) -> None:
    points = np.load(releases["affectnet8"] / "train_set" / "annotations" / "0_lnd.npy").reshape(68, 2)
    assert points[36:42, 0].mean() < points[42:48, 0].mean()  # the left eye is on the left
    assert points[8, 1] > points[27:36, 1].max()  # the chin is below the nose
    with (releases["first"] / "training.csv").open(newline="") as lines:
        written = next(csv.DictReader(lines))["facial_landmarks"]
    assert np.array(written.split(";"), dtype=float).reshape(68, 2) == pytest.approx(points + 12, abs=0.01)


def labels_of_the_whole_film(folder: Path) -> dict[str, list[int]]:
    film(1.0, 0, PROTOCOL, "first").annotate(folder)  # without any picture
    labels = {}
    for part in ("training", "validation"):
        with (folder / f"{part}.csv").open(newline="") as lines:
            labels[part] = [int(row["expression"]) for row in csv.DictReader(lines)]
    return labels


def test_the_film_at_scale_1_has_the_counts_of_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(affectnet_small, "landmarks_of", lambda shots: np.zeros((len(shots), 0)))
    labels = labels_of_the_whole_film(tmp_path)
    assert np.bincount(labels["training"]).tolist() == [7487, 13441, 2545, 1409, 637, 380, 2488, 375]
    assert len(labels["training"]) == 28_762
    assert np.bincount(labels["validation"]).tolist() == list(VALIDATION_COUNTS)
    assert len(labels["validation"]) == 3_999


def test_the_release_of_2021_has_text_in_arrays_without_dimension(releases: dict[str, Path]) -> None:
    folder = releases["affectnet8"] / "train_set" / "annotations"
    expression = np.load(folder / "0_exp.npy")
    assert expression.shape == ()
    assert expression.item() == "0"
    assert {file.name for file in folder.glob("0_*.npy")} >= {"0_exp.npy", "0_val.npy", "0_aro.npy"}


# The tenth


@pytest.fixture(scope="module")
def whole_release() -> list[Face]:
    codes = np.repeat(np.arange(8), TRAIN_COUNTS)
    train = [Face(f"train_set/images/{i}.jpg", int(code), "train") for i, code in enumerate(codes)]
    return train + [Face(f"val_set/images/{i}.jpg", i % 8, "test") for i in range(80)]


def test_a_tenth_of_each_class_of_the_whole_release_is_drawn(whole_release: list[Face]) -> None:
    drawn, share = draw_small(whole_release, 0.0)
    assert share == 0.1
    train = Counter(face.code for face in drawn if face.part == "train")
    assert [train[code] for code in range(8)] == [7487, 13441, 2545, 1409, 637, 380, 2488, 375]
    assert sum(face.part == "test" for face in drawn) == 80


def test_the_tenth_does_not_depend_on_the_order(whole_release: list[Face]) -> None:
    order = np.random.default_rng(0).permutation(len(whole_release))
    shuffled, _ = draw_small([whole_release[i] for i in order], 0.0)
    assert set(shuffled) == set(draw_small(whole_release, 0.0)[0])


def test_a_release_that_lacks_a_few_images_is_still_the_release(whole_release: list[Face]) -> None:
    drawn, share = draw_small(whole_release[5:], 0.0)
    assert share == 0.1
    assert sum(face.part == "train" for face in drawn) == pytest.approx(28_762, abs=1)


def test_another_folder_is_used_whole_unless_a_fraction_is_asked_for(whole_release: list[Face]) -> None:
    some = whole_release[::50]
    assert draw_small(some, 0.0) == (some, 1.0)
    count = Counter(face.code for face in some if face.part == "train")
    drawn, share = draw_small(some, 0.5)
    assert share == 0.5
    assert Counter(face.code for face in drawn if face.part == "train") == {c: n // 2 for c, n in count.items()}


# Rules of the first release


def write_release(root: Path, rows: list[tuple[object, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    """A first release with these training rows (path, x, y, width, height, expression) and one validation face."""
    root.mkdir(exist_ok=True)
    for name, content in (("training", rows), ("validation", [("1/v.jpg", 0, 0, 8, 8, 0)])):
        with (root / f"{name}.csv").open("w", newline="") as lines:
            csv.writer(lines).writerows([columns, *content])
        for row in content:
            (root / IMAGES / str(row[0])).parent.mkdir(parents=True, exist_ok=True)
            (root / IMAGES / str(row[0])).touch()
    return root


def test_codes_without_an_expression_and_negative_widths_are_skipped(tmp_path: Path) -> None:
    rows = [(f"1/{code}.jpg", 0, 0, 8, 8, code) for code in range(11)] + [("1/negative.jpg", 0, 0, -1, 8, 1)]
    corpus = read(write_release(tmp_path / "copy", rows), PROTOCOL)
    assert corpus.frames[:-1] == tuple(f"{IMAGES}/1/{code}.jpg" for code in range(8))


def test_one_photograph_may_hold_several_faces(tmp_path: Path) -> None:
    rows = [("1/two.jpg", 0, 0, 8, 8, 0), ("1/two.jpg", 20.5, 0, 8.5, 8, 1)]
    corpus = read(write_release(tmp_path / "copy", rows), PROTOCOL)
    assert corpus.frames[0] == corpus.frames[1]
    assert corpus.sample_id[:2] == (f"{IMAGES}/1/two.jpg@0.0,0.0,8.0,8.0", f"{IMAGES}/1/two.jpg@20.5,0.0,8.5,8.0")
    assert corpus.boxes is not None
    assert corpus.boxes[1].tolist() == [20.5, 0, 8.5, 8]


def points(left: float, top: float, width: float, height: float) -> str:
    """68 landmarks in this rectangle, as the release writes them."""
    corners = [(left, top), (left + width, top + height)] * 34
    return ";".join(f"{x};{y}" for x, y in corners)


BOX = (0.0, 0.0, 100.0, 100.0)


def test_a_face_is_cut_out_by_its_landmarks() -> None:
    crop = landmark_crop(Path("training.csv"), 2, points(30, 40, 20, 40), BOX)
    assert crop == pytest.approx((40 - 26, 60 - 0.57 * 52, 52, 52))


@pytest.mark.parametrize("written", ["", points(120, 40, 20, 40), points(30, 40, 0, 0)])
def test_without_landmarks_of_its_own_the_box_is_cut_out(written: str) -> None:
    assert landmark_crop(Path("training.csv"), 2, written, BOX) is None


@pytest.mark.parametrize("written", ["1;2;3", points(1, 2, 3, 4) + ";5;6", points(1, 2, 3, 4)[:-1] + "x"])
def test_landmarks_that_cannot_be_read_are_named_with_their_line(written: str) -> None:
    with pytest.raises(DataError, match=r"training.csv, line 7: facial_landmarks are not 68 pairs of numbers"):
        landmark_crop(Path("training.csv"), 7, written, BOX)


@pytest.mark.parametrize("value", ["3", 3, 3.0, np.int64(3), np.float32(3), b"3"])
def test_a_code_is_read_whatever_its_type(tmp_path: Path, value: object) -> None:
    for array in (np.array(value), np.array([value])):
        np.save(tmp_path / "a_exp.npy", array)
        assert npy_code(str(tmp_path / "a_exp.npy")) == 3


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"3\n", b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}    "])
def test_an_annotation_that_is_no_array_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a_exp.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a_exp.npy: not an expression code: .*: copy the file again"):
        npy_code(str(tmp_path / "a_exp.npy"))


@pytest.mark.parametrize("what", ["val_set", "val_set/images", "val_set/images/0.jpg"])
@pytest.mark.parametrize("release", ["affectnet8"], indirect=True)
def test_a_link_that_leads_out_of_the_data_folder_is_refused(release: Path, tmp_path: Path, what: str) -> None:
    (release / what).rename(tmp_path / "elsewhere")
    (release / what).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the link leads out of the data folder: put the file itself there"):
        read(release, PROTOCOL)


def test_classes_that_a_folder_lacks_are_reported(tmp_path: Path) -> None:
    corpus = read(write_release(tmp_path / "copy", [("1/a.jpg", 0, 0, 8, 8, 6)]), PROTOCOL)
    assert corpus.classes == ("Neutral", "Anger")
    assert corpus.absent_classes == ("Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Contempt")
    assert corpus.label.tolist() == [1, 0]


FACE = ("1/a.jpg", 0, 0, 8, 8, 1)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([FACE], ("path", *COLUMNS[1:]), "training.csv: no column 'subDirectory_filePath'"),
        ([FACE], (*COLUMNS[:5], "emotion"), "training.csv: no column 'expression'"),
        ([("../a.jpg", *FACE[1:])], COLUMNS, "line 2: '../a.jpg' leads out of the data folder"),
    ],
)
def test_a_csv_file_that_is_wrong_is_named_with_its_line(
    tmp_path: Path, rows: list[tuple[object, ...]], columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(write_release(tmp_path / "copy", rows, columns), PROTOCOL)


BAD_ROWS = [
    ((*FACE[:5], 11), "expression 11 is out of range: codes are 0 to 10"),
    ((*FACE[:5], -1), "expression -1 is out of range"),
    ((*FACE[:5], "happy"), "a number cannot be read: copy the file again"),
    (FACE[:5], "a number cannot be read"),
    (("1/a.jpg", "NULL", "NULL", "NULL", "NULL", 1), "a number cannot be read"),  # as a row of the release has it
]


@pytest.mark.parametrize(("row", "message"), BAD_ROWS)
def test_a_bad_row_is_named_and_counted_and_many_are_refused(
    tmp_path: Path, row: tuple[object, ...], message: str
) -> None:
    faces = [(f"1/{name}.jpg", *FACE[1:]) for name in "abcdef"]
    corpus = read(write_release(tmp_path / "copy", [*faces, row]), PROTOCOL)
    (note,) = [note for note in corpus.notes if "cannot be used" in note]
    assert note.startswith(f"1 annotations cannot be used and are left out: training.csv, line 8: {message}")
    with pytest.raises(DataError, match=rf"training.csv, line 8: {message}.*annotations cannot be used: too many"):
        read(write_release(tmp_path / "other", [*faces, *[row] * 4]), PROTOCOL)


def test_a_csv_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    root = write_release(tmp_path / "copy", [FACE])
    (root / "training.csv").write_bytes(b"\xff\xfe\x00\x00" * 10)
    with pytest.raises(DataError, match=r"training.csv: not a text file in UTF-8: copy it again"):
        read(root, PROTOCOL)


# Copies that are not whole


@pytest.mark.parametrize("release", ["first"], indirect=True)
def test_a_first_release_without_its_images_is_refused(release: Path) -> None:
    shutil.rmtree(release / IMAGES)
    with pytest.raises(DataError, match=r"77 of 77 images are missing, .* incomplete; copy it again"):
        read(release, PROTOCOL)


@pytest.mark.parametrize("release", ["affectnet8"], indirect=True)
@pytest.mark.parametrize("kind", ["images", "annotations"])
def test_a_release_of_2021_with_images_and_annotations_that_do_not_match_is_refused(release: Path, kind: str) -> None:
    files = sorted((release / "train_set" / kind).glob("*_exp.npy" if kind == "annotations" else "*"))
    for file in files[:3]:
        file.unlink()
    assert len(read(release, PROTOCOL)) > 60  # a few cost no more than themselves
    files[3].unlink()
    with pytest.raises(DataError, match=r"61 images but 57 annotations|57 images but 61 annotations"):
        read(release, PROTOCOL)


@pytest.mark.parametrize("release", ["affectnet8"], indirect=True)
@pytest.mark.parametrize(("content", "message"), [("12", "expression 12 is out of range"), ("x", "not an expression")])
def test_an_annotation_that_is_wrong_is_named(release: Path, content: str, message: str) -> None:
    for name in range(4):
        codes_of.cache_clear()  # it knows a folder by the time of its last file
        np.save(release / "val_set" / "annotations" / f"{name}_exp.npy", np.array(content))
        if name == 0:
            (note,) = [note for note in read(release, PROTOCOL).notes if "cannot be used" in note]
            assert re.search(f"1 annotations cannot be used and are left out: .*0_exp.npy: {message}", note)
    with pytest.raises(DataError, match=rf"_exp.npy: {message}.*4 of \d+ annotations cannot be used: too many"):
        read(release, PROTOCOL)


@pytest.mark.parametrize("release", ["affectnet8"], indirect=True)
def test_half_a_release_is_refused(release: Path) -> None:
    shutil.rmtree(release / "val_set")
    with pytest.raises(DataError, match="no AffectNet here: expected train_set/ and val_set/"):
        read(release, PROTOCOL)


def test_two_films_of_different_seeds_share_nobody() -> None:
    one, other = film(0.01, 0, PROTOCOL, "first"), film(0.01, 1, PROTOCOL, "first")
    assert not {shot.identity for shot in one.shots} & {shot.identity for shot in other.shots}
    assert len({shot.identity for shot in one.shots}) == len(one.shots)


def test_a_fraction_is_part_of_the_protocol() -> None:
    changed = DATASET.changed_protocol({"fraction": 0.5}, "test")
    assert changed == replace(PROTOCOL, options={"fraction": 0.5})
    with pytest.raises(DataError, match="x: fraction must be a share"):
        DATASET.changed_protocol({"fraction": 1.5}, "x")
