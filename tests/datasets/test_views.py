"""Which frames an architecture sees of a sample, against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_corpus import made_corpus, reordered

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.views import frames_seen, instances, last_frames, neutral_frames, segments, shuffled

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


def frame_level_corpus() -> Corpus:
    """Tracks of 10, 3 and 7 frames; each frame is a sample but frames 2, 11 and 19, which have no label."""
    corpus = made_corpus(list("abc"), [10, 3, 7])
    labelled = np.array([f for f in range(20) if f not in (2, 11, 19)])
    return replace(
        corpus,
        sample_id=tuple(f"frame {f}" for f in labelled),
        track=np.searchsorted(corpus.track_start, labelled, side="right") - 1,
        start=labelled,
        stop=labelled + 1,
        label=labelled % 3,
        part=("",) * len(labelled),
    )


@pytest.mark.parametrize("context", [1, 2, 5, 9])
def test_a_clip_of_a_frame_is_its_context(context: int) -> None:
    corpus = frame_level_corpus()
    found = instances("clip", corpus, protocol(context=context), np.arange(len(corpus)), context, training=ALL)
    for clip, frame, track in zip(found.frames.tolist(), corpus.start, corpus.track, strict=True):
        first, last = corpus.track_start[track], corpus.track_start[track + 1] - 1
        around = [frame - context // 2 + k for k in range(context)]
        assert clip == [min(max(f, first), last) for f in around]
        assert clip[context // 2] == frame


def test_windows_tile_the_tracks_and_name_the_sample_of_each_frame() -> None:
    corpus = frame_level_corpus()
    found = instances("sequence", corpus, protocol(context=4), np.arange(len(corpus)), 4, training=ALL)
    windows = [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9], [10, 11, 12, 12], [13, 14, 15, 16], [16, 17, 18, 19]]
    assert found.frames.tolist() == windows
    number = {int(f): i for i, f in enumerate(corpus.start)}
    wanted = [[number.get(f, -1) for f in window] for window in windows]
    wanted[3][3] = -1  # a track that is too short repeats its last frame, which is not scored twice
    assert found.sample.tolist() == wanted


def test_windows_show_only_the_samples_asked_for() -> None:
    corpus = frame_level_corpus()
    found = instances("sequence", corpus, protocol(context=4), np.array([4]), 4, training=ALL)
    assert found.frames.tolist() == [[4, 5, 6, 7]]
    assert found.sample.tolist() == [[-1, 4, -1, -1]]


def test_training_windows_begin_anywhere_and_cover_every_sample() -> None:
    corpus, rng = frame_level_corpus(), np.random.default_rng(0)
    begins = set()
    for _ in range(40):
        found = instances("sequence", corpus, protocol(context=4), np.arange(len(corpus)), 4, ALL, rng)
        assert set(found.sample[found.sample >= 0].tolist()) == set(range(len(corpus)))
        track = np.searchsorted(corpus.track_start, found.frames, side="right")
        assert (track == track[:, :1]).all()
        begins |= set(found.frames[:, 0].tolist())
    assert begins >= set(range(7))


def test_a_sequence_without_context_labels_each_frame_with_its_sample() -> None:
    corpus = made_corpus(list("abcdef"), [4, 1, 2, 9, 3, 5])
    found = instances("sequence", corpus, protocol(), np.array([0, 3]), 3, training=ALL)
    assert found.sample.tolist() == [[0, 0, 0], [3, 3, 3]]
    assert found.frames.tolist() == instances("clip", corpus, protocol(), np.array([0, 3]), 3, ALL).frames.tolist()


@pytest.mark.parametrize("context", [0, 5])
@pytest.mark.parametrize("view", ["image", "pair", "clip", "sequence"])
def test_frames_seen_are_all_that_any_draw_shows(view: str, context: int) -> None:
    corpus, samples, rng = frame_level_corpus(), np.array([0, 5, 9, 15]), np.random.default_rng(0)
    rule = protocol(context=context)
    seen = frames_seen(view, corpus, rule, samples, ALL)
    drawn = [instances(view, corpus, rule, samples, 3, ALL, rng).frames.ravel() for _ in range(200)]
    assert set(np.concatenate(drawn).tolist()) <= set(seen.tolist())
    assert seen.tolist() == sorted(set(seen.tolist()))
    if view != "sequence" or not context:  # a training window of four need not reach a track's every frame
        assert set(np.concatenate(drawn).tolist()) == set(seen.tolist())


def test_an_enrolment_frame_is_that_of_the_subject() -> None:
    corpus, rule = frame_level_corpus(), protocol(neutral="enrolment_frame")
    with pytest.raises(DataError, match="it names no enrolment frames"):
        neutral_frames(corpus, rule, ALL, training=ALL)
    enrolled = replace(corpus, track_neutral=np.array([9, 12, 13]))
    assert neutral_frames(enrolled, rule, np.array([0, 9, 16]), ALL).tolist() == [9, 12, 13]


def test_a_random_order_keeps_frames_and_samples_together() -> None:
    corpus = frame_level_corpus()
    drawn = instances("sequence", corpus, protocol(context=4), np.arange(len(corpus)), 4, training=ALL)
    mixed = shuffled(drawn, corpus, np.random.default_rng(0))
    assert (np.sort(mixed.frames, axis=1) == drawn.frames).all()
    assert not (mixed.frames == drawn.frames).all()
    for i in range(len(drawn)):
        pairs = zip(drawn.frames[i], drawn.sample[i], strict=True)
        assert sorted(pairs) == sorted(zip(mixed.frames[i], mixed.sample[i], strict=True))
    clip = instances("clip", corpus, protocol(context=4), np.array([4]), 4, training=ALL)
    assert sorted(shuffled(clip, corpus).frames[0]) == clip.frames[0].tolist()
    assert shuffled(clip, corpus).frames.tolist() == shuffled(clip, corpus).frames.tolist()
