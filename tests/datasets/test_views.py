"""Which frames an architecture sees of a sample, against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_corpus import made_corpus, reordered

from datasets.corpus import DataError
from datasets.dataset import Protocol
from datasets.views import instances, last_frames, neutral_frames, segments

ALL = np.arange(6)


def protocol(**changes: object) -> Protocol:
    return replace(Protocol(folds=2, image_frames=3, neutral="first_frame"), **changes)  # type: ignore[arg-type]


def test_a_clip_takes_the_centre_of_each_segment() -> None:
    frames = segments(np.array([100]), np.array([116]), frames=4, rng=None)  # segments of four frames
    assert frames.tolist() == [[102, 106, 110, 114]]


def test_a_training_clip_takes_one_frame_anywhere_in_each_segment() -> None:
    rng = np.random.default_rng(0)
    drawn = segments(np.zeros(2000, dtype=int), np.full(2000, 16), frames=4, rng=rng)
    assert (drawn // 4 == np.arange(4)).all()
    assert np.bincount(drawn.ravel(), minlength=16).min() > 400  # 500 expected


@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 72])
def test_frames_of_a_clip_stay_inside_and_in_order(length: int, random: bool) -> None:
    rng = np.random.default_rng(length) if random else None
    frames = segments(np.full(200, 5), np.full(200, 5 + length), frames=8, rng=rng)
    assert (np.diff(frames, axis=1) >= 0).all()
    assert frames.min() >= 5
    assert frames.max() < 5 + length
    if not random:
        assert len(np.unique(frames[0])) == min(length, 8)


def test_a_still_gives_a_still_clip() -> None:
    assert segments(np.array([7]), np.array([8]), frames=3, rng=np.random.default_rng(0)).tolist() == [[7, 7, 7]]


def test_last_frames_are_those_of_a_plain_loop() -> None:
    start, stop = np.array([0, 5, 6, 20]), np.array([5, 6, 8, 60])
    frames, owners = last_frames(start, stop, 3)
    loop = [(i, f) for i in range(4) for f in range(max(start[i], stop[i] - 3), stop[i])]
    assert list(zip(owners.tolist(), frames.tolist(), strict=True)) == loop


def test_an_image_view_has_an_instance_for_each_of_the_last_frames() -> None:
    corpus = made_corpus(list("abcdef"), [4, 1, 2, 9, 3, 5])
    found = instances("image", corpus, protocol(), np.array([1, 3]), 1, training=ALL)
    assert found.sample.tolist() == [1, 3, 3, 3]
    assert found.frames.tolist() == [[4], [13], [14], [15]]


def test_a_pair_is_the_first_frame_of_the_track_and_a_last_one() -> None:
    corpus = made_corpus(list("abcdef"), [4, 1, 2, 9, 3, 5])
    found = instances("pair", corpus, protocol(image_frames=2), np.array([0, 3]), 1, training=ALL)
    assert found.frames.tolist() == [[0, 2], [0, 3], [7, 14], [7, 15]]


def test_a_clip_view_has_one_instance_a_sample() -> None:
    corpus = made_corpus(list("abcdef"), [4, 1, 2, 9, 3, 5])
    found = instances("clip", corpus, protocol(), np.array([1, 3]), 3, training=ALL)
    assert found.sample.tolist() == [1, 3]
    assert found.frames.tolist() == [[4, 4, 4], [8, 11, 14]]


def test_a_training_neutral_is_a_neutral_of_the_training_part() -> None:
    corpus = made_corpus([None] * 60)  # every third is neutral
    training, rule = np.arange(30), protocol(neutral="training_neutral")
    chosen = neutral_frames(corpus, rule, np.arange(60), training)
    assert set(chosen) <= set(range(0, 30, 3))
    assert len(set(chosen)) > 5


def test_a_training_neutral_is_chosen_by_name_whatever_the_order() -> None:
    corpus, rule = made_corpus([None] * 60), protocol(neutral="training_neutral")
    chosen = neutral_frames(corpus, rule, np.arange(60), training=np.arange(30))
    order = np.random.default_rng(0).permutation(60)
    shuffled = reordered(corpus, order)
    again = neutral_frames(shuffled, rule, np.arange(60), training=np.flatnonzero(order < 30))
    assert again.tolist() == chosen[order].tolist()


def test_a_pair_without_any_neutral_is_refused() -> None:
    corpus, rule = made_corpus([None] * 6), protocol(neutral="training_neutral")
    with pytest.raises(DataError, match="a pair needs a neutral face and the training part has none"):
        neutral_frames(corpus, rule, ALL, training=np.array([1, 2]))
    with pytest.raises(DataError, match="a pair needs a neutral face"):
        neutral_frames(replace(corpus, neutral_class=None), rule, ALL, training=ALL)
