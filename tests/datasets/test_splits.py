"""Nobody is in two parts, everybody is tested once, and a bad fold is refused before training."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from made_corpus import different_images, made_corpus

from ferbench.datasets.corpus import Corpus, DataError, keep_present_classes
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.splits import Split, leaks_of, split, stable_rank, unseen

PROTOCOL = Protocol(folds=10, image_frames=3, neutral="first_frame")
SUBJECTS = [f"P{i:03d}" for i in range(1, 81)]


def people(corpus: Corpus, rows: np.ndarray) -> set[str | None]:
    return {corpus.subject[i] for i in rows}


@pytest.fixture
def corpus() -> Corpus:
    """80 subjects with six sequences of two frames each, not in the order of their names."""
    return made_corpus([*reversed(SUBJECTS)] * 6, [2] * 480)


def test_the_test_part_is_every_tenth_subject(corpus: Corpus) -> None:
    content = different_images(corpus)
    for fold in range(10):
        assert people(corpus, split(corpus, PROTOCOL, fold, content).test) == set(SUBJECTS[fold::10])


def test_no_subject_is_in_two_parts_and_each_sample_is_in_one(corpus: Corpus) -> None:
    for fold in range(10):
        parts = split(corpus, PROTOCOL, fold, different_images(corpus))
        for one, other in combinations(parts.parts.values(), 2):
            assert not people(corpus, one) & people(corpus, other)
        assert sorted(np.concatenate([*parts.parts.values()])) == list(range(480))


def test_every_sample_is_tested_once_over_the_folds(corpus: Corpus) -> None:
    tested = [split(corpus, PROTOCOL, fold, different_images(corpus)).test for fold in range(10)]
    assert sorted(np.concatenate(tested)) == list(range(480))


def test_validation_is_the_protocols_share_of_the_training_subjects(corpus: Corpus) -> None:
    parts = split(corpus, PROTOCOL, 0, different_images(corpus))
    assert len(people(corpus, parts.validation)) == round(0.15 * 72)


def test_a_split_depends_on_subjects_and_not_on_the_order_of_the_samples(corpus: Corpus) -> None:
    ordered = made_corpus(sorted(SUBJECTS * 6), [2] * 480)
    one, other = (split(c, PROTOCOL, 3, different_images(c)) for c in (corpus, ordered))
    assert people(corpus, one.validation) == people(ordered, other.validation)


def test_official_parts_are_kept_and_validation_is_cut_from_training() -> None:
    corpus = made_corpus([None] * 50, parts=["train"] * 40 + ["test"] * 10)
    parts = split(corpus, replace(PROTOCOL, folds=1), 0, different_images(corpus))
    assert parts.test.tolist() == list(range(40, 50))
    assert len(parts.validation) == 6
    assert sorted([*parts.train, *parts.validation]) == list(range(40))


def test_one_image_twice_in_training_stays_on_one_side_of_the_cut() -> None:
    corpus = made_corpus([None] * 100, parts=["train"] * 80 + ["test"] * 20)
    content = different_images(corpus)
    content[:40] = content[40:80]  # each training image is there twice
    parts = split(corpus, replace(PROTOCOL, folds=1, validation=0.5), 0, content)
    assert len(parts.train) == len(parts.validation) == 40
    assert not set(content[parts.train]) & set(content[parts.validation])


def test_a_subject_in_two_official_parts_is_found() -> None:
    corpus = made_corpus(["anna", "ben", "carl", "Anna "], parts=["train", "train", "train", "test"])
    content = different_images(corpus)
    parts = split(corpus, replace(PROTOCOL, folds=1, validation=0.3), 0, content)
    assert leaks_of(corpus, parts, content) == [
        "subject 'anna' is in the train part and in the test part, as 'Anna ' (1 in all)"
    ]


def test_a_subject_in_training_and_validation_is_found() -> None:
    corpus = made_corpus(["anna", "anna", "ben"])
    parts = Split(np.array([0]), np.array([1]), np.array([2]))
    (leak,) = leaks_of(corpus, parts, different_images(corpus))
    assert leak == "subject 'anna' is in the train part and in the validation part (1 in all)"


def test_both_people_of_a_video_count_as_one() -> None:
    corpus = replace(made_corpus(["anna", "ben", "carl"]), split_group=("video 1", "video 1", None))
    parts = Split(np.array([0]), np.array([2]), np.array([1]))
    (leak,) = leaks_of(corpus, parts, different_images(corpus))
    assert leak.startswith("subject 'video 1' is in the train part and in the test part")


def test_one_image_in_two_parts_is_found_and_both_files_are_named() -> None:
    corpus = made_corpus([None] * 40, parts=["train"] * 30 + ["test"] * 10)
    content = different_images(corpus)
    content[35] = content[4]
    (leak,) = leaks_of(corpus, split(corpus, replace(PROTOCOL, folds=1), 0, content), content)
    assert re.match(r"the same image is in the \w+ and the test part: 004.png and 035.png \(1 in all", leak)


def test_one_person_under_two_spellings_is_in_one_part() -> None:
    spelled = made_corpus([name.lower() if i % 2 else name for name in SUBJECTS for i in range(2)])
    for fold in range(10):
        content = different_images(spelled)
        parts = split(spelled, PROTOCOL, fold, content)
        assert leaks_of(spelled, parts, content) == []
        assert {str(name).upper() for name in people(spelled, parts.test)} == set(SUBJECTS[fold::10])


def test_each_class_keeps_a_training_sample() -> None:
    """Of nine subjects of one class and two of another, the cut would often take both of the other."""
    labels = np.array([0] * 9 + [1] * 2 + [0, 1])
    for fold in range(20):
        names = [f"{fold}-{i}" for i in range(13)]
        corpus = replace(made_corpus(names, parts=["train"] * 11 + ["test"] * 2), label=labels)
        parts = split(corpus, replace(PROTOCOL, folds=1, validation=0.6), 0, different_images(corpus))
        assert len(parts.validation) == 7
        assert set(labels[parts.train]) == {0, 1}


def test_where_every_training_sample_is_the_only_one_of_its_class_one_is_cut_all_the_same() -> None:
    corpus = made_corpus(["a", "b", "c", "d"], parts=["train"] * 3 + ["test"])
    parts = split(corpus, replace(PROTOCOL, folds=1), 0, different_images(corpus))
    assert (len(parts.train), len(parts.validation)) == (2, 1)


def test_what_cannot_be_shown_is_tested_and_neither_trained_on_nor_chosen_by() -> None:
    corpus = made_corpus([None] * 40, [2] * 40, parts=["train"] * 20 + ["validation"] * 10 + ["test"] * 10)
    content = different_images(corpus)
    for track in (3, 25, 35):
        content[2 * track : 2 * track + 2] = 0
    content[2 * 7] = 0  # another frame of its track stands in
    assert np.flatnonzero(unseen(corpus, content)).tolist() == [3, 25, 35]
    parts = split(corpus, replace(PROTOCOL, folds=1), 0, content)
    assert parts.train.tolist() == [i for i in range(20) if i != 3]
    assert parts.validation.tolist() == [i for i in range(20, 30) if i != 25]
    assert parts.test.tolist() == list(range(30, 40))


def test_where_nothing_can_be_trained_on_the_part_is_empty() -> None:
    corpus = made_corpus([None] * 4, parts=["train"] * 2 + ["test"] * 2)
    with pytest.raises(DataError, match="the train part is empty"):
        split(corpus, replace(PROTOCOL, folds=1), 0, np.array([0, 0, 1, 2], dtype=np.uint64))


def test_frames_that_are_missing_are_not_the_same_image() -> None:
    corpus = made_corpus(SUBJECTS, [2] * 80)
    content = different_images(corpus)
    content[::2] = 0
    assert len(split(corpus, PROTOCOL, 0, content).test) == 8


def test_a_fold_that_is_not_there_and_a_part_without_samples_are_refused() -> None:
    corpus = made_corpus(["anna", "ben", "carl"])
    with pytest.raises(DataError, match="no fold 10: the protocol has 10, counted from 0"):
        split(corpus, PROTOCOL, 10, different_images(corpus))
    with pytest.raises(DataError, match="the test part is empty: add data or use fewer folds"):
        split(corpus, PROTOCOL, 3, different_images(corpus))


def test_a_rank_by_hash_does_not_depend_on_what_else_is_ranked() -> None:
    names = [f"image {i}" for i in range(50)]
    ranked = [names[i] for i in stable_rank(names, "salt")]
    half = names[::-2]
    assert [half[i] for i in stable_rank(half, "salt")] == [name for name in ranked if name in half]
    assert [names[i] for i in stable_rank(names, "pepper")] != ranked


def test_classes_without_a_sample_are_reported_and_the_others_keep_their_order() -> None:
    corpus = replace(made_corpus(["anna", "ben"]), label=np.array([2, 1]))
    cut = keep_present_classes(corpus)
    assert cut.classes == ("Happiness", "Sadness")
    assert cut.absent_classes == ("Neutral",)
    assert cut.label.tolist() == [1, 0]
    assert cut.neutral_class is None
    assert keep_present_classes(made_corpus(list("abc"))).absent_classes == ()


def test_parts_do_not_depend_on_how_large_the_frames_were_read() -> None:
    # Content hashes differ with the size of the store; which samples show the same image does not.
    corpus = made_corpus([None] * 40, [1] * 40)
    small, large = (np.arange(1, 41, dtype=np.uint64) * factor for factor in (3, 1_000_003))
    for one, other in zip(
        split(corpus, PROTOCOL, 0, small).parts.values(),
        split(corpus, PROTOCOL, 0, large[::-1].copy()).parts.values(),
        strict=True,
    ):
        assert one.tolist() == other.tolist()


# Official folds, and the rule for copies


def test_an_official_fold_tests_its_samples_and_trains_on_all_others() -> None:
    corpus = replace(made_corpus([None] * 30), fold=np.arange(30) % 3)
    content = different_images(corpus)
    for fold in range(3):
        parts = split(corpus, replace(PROTOCOL, folds=3), fold, content)
        assert parts.test.tolist() == list(range(fold, 30, 3))
        assert sorted([*parts.train, *parts.validation]) == [i for i in range(30) if i % 3 != fold]
        assert len(parts.validation)


def copied() -> tuple[Corpus, np.ndarray]:
    """Twelve training and three test pictures: 0 is 12, 1 is 13, 2 and 3 are the same, and so are 13 and 14."""
    corpus = made_corpus([None] * 15, parts=["train"] * 12 + ["test"] * 3)
    content = different_images(corpus)
    content[0], content[1], content[3], content[14] = content[12], content[13], content[2], content[13]
    return corpus, content


def test_copies_of_test_pictures_are_dropped_from_training() -> None:
    corpus, content = copied()
    parts = split(corpus, replace(PROTOCOL, folds=1, copies="drop from training"), 0, content)
    assert parts.test.tolist() == [12, 13, 14]
    assert parts.dropped.tolist() == [0, 1]
    assert sorted([*parts.train, *parts.validation]) == list(range(2, 12))
    assert not leaks_of(corpus, parts, content)


def test_one_of_each_picture_is_kept() -> None:
    corpus, content = copied()
    parts = split(corpus, replace(PROTOCOL, folds=1, copies="keep one"), 0, content)
    assert parts.test.tolist() == [12, 13]
    assert sorted(parts.dropped.tolist()) in ([0, 1, 2, 14], [0, 1, 3, 14])
    assert not leaks_of(corpus, parts, content)


def test_copies_stay_where_they_are_unless_a_rule_drops_them() -> None:
    corpus, content = copied()
    parts = split(corpus, replace(PROTOCOL, folds=1), 0, content)
    assert len(parts.dropped) == 0
    assert leaks_of(corpus, parts, content)


def test_what_cannot_be_read_is_a_copy_of_nothing() -> None:
    corpus, content = copied()
    content[[0, 12]] = 0
    parts = split(corpus, replace(PROTOCOL, folds=1, copies="drop from training"), 0, content)
    assert parts.dropped.tolist() == [1]
    assert 12 in parts.test
