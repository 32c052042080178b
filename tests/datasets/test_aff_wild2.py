"""The twin is read back under every official name; a window keeps its time; what cannot be used is refused."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from ferbench.datasets import aff_wild2_8
from ferbench.datasets.aff_wild2 import (
    CLASSES,
    CROPS,
    DATASET,
    EIGHT_CLASSES,
    RELEASES,
    SHARES,
    TRAINING,
    VALIDATION,
    Person,
    all_takes,
    film,
    labels_of,
    read,
    train_step,
    write_labels,
)
from ferbench.datasets.corpus import DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.frames import stand_ins
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.writer import write_film
from ferbench.datasets.views import instances

PROTOCOL = DATASET.protocol
SCALE, SEED = 0.00000001, 9
EIGHT = aff_wild2_8.DATASET


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven people who train and four who test, about 24 frames each."""
    folder = tmp_path_factory.mktemp("aff_wild2") / "twin"
    write_film(film(SCALE, SEED, PROTOCOL, "abaw2021+abaw3"), folder)
    return folder


def made(
    root: Path,
    train: Mapping[str, Sequence[int]],
    test: Mapping[str, Sequence[int]],
    classes: Sequence[str] = CLASSES,
    tree: str = "annotations/EXPR_Set",
    training: str = TRAINING[0],
    missing: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """A release with these labels of each video, and an empty file for each frame that is not missing."""
    for part, videos in ((training, train), (VALIDATION, test)):
        for name, labels in videos.items():
            write_label_file(root / tree / part / f"{name}.txt", labels, classes)
            (root / CROPS / name).mkdir(parents=True, exist_ok=True)
            for i in range(1, len(labels) + 1):
                if i not in (missing or {}).get(name, ()):
                    (root / CROPS / name / f"{i:05d}.jpg").touch()
    return root


def write_label_file(file: Path, labels: Sequence[object], classes: Sequence[str] = CLASSES) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([",".join(classes), *map(str, labels)]) + "\n")


def small(root: Path, **changes: object) -> Path:
    """Two videos that train and one that tests."""
    return made(root, {"a": [0, 0, 1, -1, 6], "b": [4, 4]}, {"c": [0, 5, -1]}, **changes)  # type: ignore[arg-type]


# Layout


def test_the_twin_is_read_back(twin: Path) -> None:
    corpus = read(twin, PROTOCOL)
    takes = list(all_takes({"train": SCALE, "test": SCALE}, SEED))
    assert corpus.name == "aff_wild2-twin"
    assert set(corpus.classes) | set(corpus.absent_classes) == set(CLASSES)
    assert sorted(corpus.track_subject) == sorted(take.name for take in takes)
    for take in takes:
        rows = [i for i, name in enumerate(corpus.sample_id) if name.rpartition("/")[0] == take.name]
        codes = np.where(take.codes < 7, take.codes, -1)
        written = [CLASSES[code] for code in codes if code >= 0]
        assert [corpus.classes[corpus.label[i]] for i in rows][: len(written)] == written
        assert {corpus.part[i] for i in rows} <= {take.part}


@pytest.mark.parametrize("layout", RELEASES)
@pytest.mark.parametrize(("data_set", "other"), [(DATASET, 7), (EIGHT, 8)], ids=["7", "8"])
def test_each_annotation_folder_is_read_by_its_task(
    twin: Path, tmp_path: Path, layout: str, data_set: DataSet, other: int
) -> None:
    write_labels(tmp_path, list(all_takes({"train": SCALE, "test": SCALE}, SEED)), RELEASES[layout])
    shutil.copytree(twin / CROPS, tmp_path / CROPS)
    folder = RELEASES[layout][other - 7]
    assert (tmp_path / "annotations" / folder).is_dir()
    corpus = data_set.read(tmp_path, data_set.protocol)
    assert corpus.dataset == data_set.name
    assert len(corpus.classes) + len(corpus.absent_classes) == other
    assert len(corpus) == len(data_set.read(twin, data_set.protocol))


def test_other_is_a_class_of_eight_and_no_label_of_seven(twin: Path) -> None:
    seven, eight = read(twin, PROTOCOL), EIGHT.read(twin, EIGHT.protocol)
    assert "Other" not in seven.classes
    others = [name for name, code in zip(eight.sample_id, eight.label, strict=True) if eight.classes[code] == "Other"]
    assert others
    assert set(seven.sample_id) == set(eight.sample_id) - set(others)


@pytest.mark.parametrize("place", ["EXPR_Set", "annotations/EXPR_Set", "3rd ABAW Annotations/EXPR_Set"])
def test_the_folder_above_the_annotations_may_have_any_name(tmp_path: Path, place: str) -> None:
    assert len(read(small(tmp_path, tree=place), PROTOCOL)) == 8


def test_a_sample_is_a_frame_with_a_label(tmp_path: Path) -> None:
    corpus = read(small(tmp_path), PROTOCOL)
    assert corpus.sample_id == ("a/00001", "a/00002", "a/00003", "a/00005", "b/00001", "b/00002", "c/00001", "c/00002")
    assert [corpus.frames[i] for i in corpus.start] == [f"{CROPS}/{name}.jpg" for name in corpus.sample_id]
    assert corpus.classes == ("Neutral", "Anger", "Happiness", "Sadness", "Surprise")
    assert corpus.absent_classes == ("Disgust", "Fear")
    assert corpus.label.tolist() == [0, 0, 1, 4, 2, 2, 0, 3]
    assert corpus.part == ("train",) * 6 + ("test",) * 2
    assert (corpus.stop - corpus.start == 1).all()


def test_a_frame_without_a_crop_keeps_its_place_and_is_scored(tmp_path: Path) -> None:
    labels = {"a": [0] * 10}, {"c": [1] * 10}
    corpus = read(made(tmp_path, *labels, missing={"a": [4, 5], "c": [1]}), PROTOCOL)
    assert len(corpus) == 20
    present = np.array([(tmp_path / frame).is_file() for frame in corpus.frames])
    assert np.flatnonzero(~present).tolist() == [3, 4, 10]
    filled = stand_ins(corpus, present)
    assert filled[[3, 4, 10]].tolist() == [2, 2, 11]


def test_a_window_spans_the_same_time_everywhere_and_stays_in_its_video(tmp_path: Path) -> None:
    corpus = read(made(tmp_path, {"a": [0] * 20}, {"c": [1] * 12}, missing={"a": [8, 9]}), PROTOCOL)
    seen = instances("clip", corpus, PROTOCOL, np.arange(len(corpus)), 9, np.arange(20)).frames
    assert seen[9].tolist() == list(range(5, 14))
    assert seen[19].tolist() == [15, 16, 17, 18, 19, 19, 19, 19, 19]
    assert seen[20].tolist() == [20, 20, 20, 20, 20, 21, 22, 23, 24]


def test_two_people_of_one_video_are_two_subjects_of_one_group(tmp_path: Path) -> None:
    train = {"x_left": [0], "x_right": [1], "y": [2], "left": [3], "z_left": [4]}
    corpus = read(made(tmp_path, train, {"c": [0]}), PROTOCOL)
    assert corpus.track_subject == ("left", "x_left", "x_right", "y", "z_left", "c")
    assert corpus.split_group == ("left", "x", "x", "y", "z", "c")


def test_both_people_of_a_video_are_on_one_side_of_every_cut(tmp_path: Path) -> None:
    train = {f"v{i}_{side}": [i % 7] * 2 for i in range(20) for side in ("left", "right")}
    corpus = read(made(tmp_path, train, {"c": [0]}), PROTOCOL)
    content = np.arange(1, len(corpus.frames) + 1, dtype=np.uint64)
    parts = split(corpus, PROTOCOL, 0, content)
    groups = np.array(corpus.group)
    assert not set(groups[parts.train].tolist()) & set(groups[parts.validation].tolist())
    assert len(set(groups[parts.validation].tolist())) == 3


def test_a_label_line_that_exceeds_the_frames_by_one_is_dropped(tmp_path: Path) -> None:
    small(tmp_path)
    write_label_file(tmp_path / "annotations" / "EXPR_Set" / VALIDATION / "c.txt", [0, 5, -1, 3])
    corpus = read(tmp_path, PROTOCOL)
    assert corpus.sample_id[-1] == "c/00002"
    assert len(corpus.frames) == 10


def test_labels_past_the_last_crop_are_frames_without_a_face(tmp_path: Path) -> None:
    corpus = read(made(tmp_path, {"a": [0] * 20}, {"c": [1] * 20}, missing={"c": [18, 19, 20]}), PROTOCOL)
    assert corpus.sample_id[-1] == "c/00020"
    assert corpus.frames[-1] == f"{CROPS}/c/00020.jpg"


def test_crops_in_several_folders_are_read_together(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / f"{CROPS}_new").mkdir()
    (tmp_path / CROPS / "b").rename(tmp_path / f"{CROPS}_new" / "b")
    corpus = read(tmp_path, PROTOCOL)
    assert f"{CROPS}_new/b/00001.jpg" in list(corpus.frames)


def test_crops_without_a_label_file_are_counted_and_not_used(tmp_path: Path) -> None:
    (small(tmp_path) / CROPS / "of the test set").mkdir()
    corpus = read(tmp_path, PROTOCOL)
    assert corpus.notes == ("1 folders of crops have no label file",)
    assert len(corpus) == 8


# Thinned training


def test_training_samples_are_thinned_by_label_and_test_samples_never(tmp_path: Path) -> None:
    made(tmp_path, {"a": [-1, 0, 1, 2, 3, 4, 5]}, {"c": [0, 1, 2, 3]})
    corpus = read(tmp_path, DATASET.changed_protocol({"train_step": 3}, "test"))
    assert corpus.sample_id == ("a/00003", "a/00006", "c/00001", "c/00002", "c/00003", "c/00004")
    assert corpus.notes == ("every 3th labelled frame of the training part",)
    assert len(corpus.frames) == 11


@pytest.mark.parametrize(("frames", "asked", "step"), [(100_000, 0, 1), (100_001, 0, 10), (100_001, 2, 2), (5, 4, 4)])
def test_the_rule_thins_only_where_there_are_many_training_frames(frames: int, asked: int, step: int) -> None:
    train = Person("a", "train", "", frames, np.zeros(frames, dtype=np.int8), 0, ".jpg", {})
    test = Person("c", "test", "", 10**6, np.zeros(10**6, dtype=np.int8), 0, ".jpg", {})
    assert train_step([train, test], asked, "x") == step


# The twin


@pytest.mark.parametrize("scale", [0.002, 1.0])
def test_the_twin_has_the_shares_of_its_classes(scale: float) -> None:
    for part in ("train", "test"):
        takes = [take for take in all_takes({"train": scale, "test": scale}, 0) if take.part == part]
        codes = np.concatenate([take.codes for take in takes])
        share = np.bincount(codes + 1, minlength=9) / len(codes)
        assert (share[1:] > 0.01).all()
        assert share[1] == share.max()
        if scale == 1.0:
            assert share.tolist() == pytest.approx([SHARES[name] for name in ("", *EIGHT_CLASSES)], abs=0.02)
            assert len(takes) == {"train": 248, "test": 70}[part]
            assert np.mean([len(take.codes) for take in takes]) == pytest.approx(2_800, rel=0.1)


def test_the_twin_lacks_crops_and_has_two_people_in_some_videos() -> None:
    takes = list(all_takes({"train": 0.002, "test": 0.002}, 0))
    lost = 1 - np.concatenate([take.found for take in takes]).mean()
    assert 0.005 < lost < 0.06
    names = {take.name for take in takes}
    lefts = {name.removesuffix("_left") for name in names if name.endswith("_left")}
    assert lefts == {name.removesuffix("_right") for name in names if name.endswith("_right")}
    assert len(lefts) == len([name for name in names if name.endswith("_left")]) > 5
    assert any(take.extra_line for take in takes)


def test_an_expression_of_the_twin_grows_out_of_the_one_before() -> None:
    takes = [take for take in all_takes({"train": 0.002, "test": 0.002}, 0) if take.part == "train"]
    change = np.concatenate([np.abs(np.diff(take.units[:, :4], axis=0)).max(axis=1) for take in takes])
    assert change.max() < 0.35


def test_two_films_of_different_seeds_share_nobody() -> None:
    one, other = (film(SCALE, seed, PROTOCOL, "abaw2021+abaw3") for seed in (0, 1))
    assert not {shot.identity for shot in one.shots} & {shot.identity for shot in other.shots}
    assert len({shot.identity for shot in one.shots}) == len(one.shots) == 11


# What cannot be used


def test_seven_and_eight_classes_never_mix(tmp_path: Path) -> None:
    eight = small(tmp_path / "8", classes=EIGHT_CLASSES, tree="annotations/EXPR_Classification_Challenge")
    with pytest.raises(DataError, match=r"8 classes, not these 7: .*: aff_wild2 reads 7 classes and aff_wild2_8 reads"):
        read(eight, PROTOCOL)
    with pytest.raises(DataError, match="7 classes, not these 8"):
        EIGHT.read(small(tmp_path / "7"), EIGHT.protocol)


def test_a_label_file_with_another_header_is_refused(tmp_path: Path) -> None:
    small(tmp_path)
    write_label_file(tmp_path / "annotations" / "EXPR_Set" / VALIDATION / "c.txt", [0, 7, 0], EIGHT_CLASSES)
    with pytest.raises(DataError, match=r"c.txt: the header is .*Other', not .* 7 and of 8 classes must not be mixed"):
        read(tmp_path, PROTOCOL)


def test_two_releases_of_one_task_are_refused(tmp_path: Path) -> None:
    small(tmp_path)
    small(tmp_path, tree="older/EXPR_Set")
    with pytest.raises(DataError, match="both hold labels of 7 classes: move one of them away"):
        read(tmp_path, PROTOCOL)


def test_two_training_parts_are_refused(tmp_path: Path) -> None:
    small(tmp_path)
    small(tmp_path, training=TRAINING[1])
    with pytest.raises(DataError, match="both Train_Set/ and Training_Set/ are there"):
        read(tmp_path, PROTOCOL)


def test_a_label_file_of_an_absent_video_is_named(tmp_path: Path) -> None:
    shutil.rmtree(small(tmp_path) / CROPS / "b")
    assert_left_out(tmp_path, "b.txt: there are no crops cropped_aligned/b/: copy them, or remove the")


def assert_left_out(root: Path, fault: str) -> None:
    """One label file cannot be used: it is named and counted, and the others are read."""
    (note,) = [note for note in read(root, PROTOCOL).notes if "cannot be used" in note]
    assert note.startswith("1 label files cannot be used and are left out: ")
    assert fault in note


def test_more_label_files_than_chance_explains_are_refused(tmp_path: Path) -> None:
    root = made(tmp_path, {name: [0] * 4 for name in "abdefgh"}, {"c": [1] * 4})
    for name in "abd":
        shutil.rmtree(root / CROPS / name)
    assert any(note.startswith("3 label files cannot be used") for note in read(root, PROTOCOL).notes)
    shutil.rmtree(root / CROPS / "e")
    with pytest.raises(DataError, match=r"a.txt: there are no crops .*4 of 8 label files cannot be used: too many"):
        read(root, PROTOCOL)


def test_a_video_without_images_is_named(tmp_path: Path) -> None:
    for file in (small(tmp_path) / CROPS / "b").iterdir():
        file.unlink()
    assert_left_out(tmp_path, "cropped_aligned/b: no images: the copy of Aff-Wild2 is incomplete; copy it again")


def test_labels_far_past_the_last_frame_are_left_out(tmp_path: Path) -> None:
    made(tmp_path, {"a": [0] * 90}, {"c": [1] * 20}, missing={"c": range(8, 21)})
    assert_left_out(tmp_path, "c.txt: 20 labels but the last frame of cropped_aligned/c is 7")


def test_a_half_copied_release_is_told_from_one_with_lost_faces(tmp_path: Path) -> None:
    made(tmp_path, {"a": [0] * 20}, {"c": [1] * 20}, missing={"a": range(2, 12)})
    with pytest.raises(DataError, match=r"10 of 40 labelled frames have no crop, most of them in cropped_aligned/a"):
        read(tmp_path, PROTOCOL)


def test_a_video_in_both_parts_is_refused(tmp_path: Path) -> None:
    made(tmp_path, {"x_left": [0]}, {"x_right": [0]})
    with pytest.raises(DataError, match="video x has labels in the training and in the validation part"):
        read(tmp_path, PROTOCOL)


def test_two_folders_that_claim_to_be_one_video_are_refused(tmp_path: Path) -> None:
    shutil.copytree(small(tmp_path) / CROPS / "a", tmp_path / f"{CROPS}_new" / "a")
    with pytest.raises(DataError, match=r"cropped_aligned/a and .*cropped_aligned_new/a both claim to be video a"):
        read(tmp_path, PROTOCOL)


def test_frames_are_counted_from_1(tmp_path: Path) -> None:
    (small(tmp_path) / CROPS / "a" / "00000.jpg").touch()
    with pytest.raises(DataError, match="there is a frame 0: frames of Aff-Wild2 are counted from 1"):
        read(tmp_path, PROTOCOL)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 7], "a.txt, line 3: '7' is no label: labels are -1 to 6"),
        ([-2], "a.txt, line 2: '-2' is no label"),
        ([0, "1.5"], "a.txt, line 3: '1.5' is no label"),
        ([0, "", 0], "a.txt, line 3: '' is no label"),
        ([0, "1,2"], "a.txt, line 3: '1,2' is no label"),
    ],
)
def test_a_line_that_is_no_label_is_named(tmp_path: Path, labels: Sequence[object], message: str) -> None:
    write_label_file(tmp_path / "a.txt", labels)
    with pytest.raises(DataError, match=message):
        labels_of(tmp_path / "a.txt", CLASSES)


def test_line_ends_and_marks_of_other_systems_are_read(tmp_path: Path) -> None:
    text = "\ufeff" + ",".join(CLASSES) + "\r\n0\r\n-1\r\n6\r\n\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert labels_of(tmp_path / "a.txt", CLASSES).tolist() == [0, -1, 6]


def test_a_label_file_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    (small(tmp_path) / "annotations" / "EXPR_Set" / VALIDATION / "c.txt").write_bytes(b"\xff\xfe0\x001\x00")
    assert_left_out(tmp_path, "c.txt: not a text file: copy the file again")


def test_labels_that_are_all_ignored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frame has a label"):
        read(made(tmp_path, {"a": [-1]}, {"c": [-1]}), PROTOCOL)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        (CROPS, "no cropped_aligned/ here: expected cropped_aligned/VIDEO/00001.jpg"),
        ("annotations", "no annotations of Aff-Wild2's expressions: expected annotations/EXPR_Set/"),
        (f"annotations/EXPR_Set/{VALIDATION}", "Validation_Set: no label files: .* incomplete; copy it again"),
        (f"annotations/EXPR_Set/{TRAINING[0]}", "Train_Set: no label files: .* incomplete; copy it again"),
    ],
)
def test_a_folder_that_lacks_a_part_says_what_is_expected(tmp_path: Path, gone: str, message: str) -> None:
    shutil.rmtree(small(tmp_path) / gone)
    with pytest.raises(DataError, match=message):
        read(tmp_path, PROTOCOL)


@pytest.mark.parametrize(
    "what",
    [
        *(CROPS, f"{CROPS}/a", f"{CROPS}/a/00001.jpg", "annotations", "annotations/EXPR_Set"),
        *(f"annotations/EXPR_Set/{VALIDATION}", f"annotations/EXPR_Set/{VALIDATION}/c.txt"),
    ],
)
def test_a_link_that_leads_out_of_the_data_folder_is_refused(tmp_path: Path, what: str) -> None:
    place = small(tmp_path / "copy") / what
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"the link leads out of the data folder: put the file itself there"):
        read(tmp_path / "copy", PROTOCOL)


def test_a_negative_step_is_refused(tmp_path: Path) -> None:
    protocol: Protocol = DATASET.changed_protocol({"train_step": -1}, "test")
    with pytest.raises(DataError, match="train_step must be 0"):
        read(small(tmp_path), protocol)
