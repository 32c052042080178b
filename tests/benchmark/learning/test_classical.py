"""The classical floors, on random colours and on what is shown by a twin."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning import classical
from ferbench.benchmark.learning.classical import TITLES, classical_answers
from ferbench.benchmark.learning.material import Material
from ferbench.benchmark.planning.suite import CLASSICAL
from ferbench.datasets.frames import FrameStore
from tests.benchmark.learning.test_training import CLASSES
from tests.benchmark.learning.test_training import material as material  # a fixture

SIDE = 48


@pytest.fixture(scope="module")
def bars(material: Material) -> Material:
    """The same samples as pictures: class by class an upright, a level and a slanting bar, somewhere, under noise."""
    rng = np.random.default_rng(0)
    label = np.repeat(material.corpus.label, np.diff(material.corpus.track_start))
    y, x = np.mgrid[:SIDE, :SIDE]
    frames = []
    for kind in label:
        along = {0: x, 1: y, 2: (x + y) / 1.4}[int(kind)]
        bar = 160.0 * (np.abs(along - rng.uniform(16, 32)) < 4)
        frames.append(np.repeat((bar + rng.uniform(0, 60, (SIDE, SIDE)))[..., None], 3, axis=2))
    store = FrameStore(np.array(frames).astype(np.uint8), material.store.content, material.store.stand_in)
    return replace(material, store=store)


def right(answers: NDArray[np.float64], material: Material) -> float:
    return float((answers.argmax(1) == material.corpus.label[material.split.test]).mean())


def test_every_classical_floor_has_a_title() -> None:
    assert set(TITLES) == set(CLASSICAL)


@pytest.mark.parametrize("name", CLASSICAL)
def test_it_learns_and_gives_the_same_answers_again(name: str, bars: Material) -> None:
    answers = classical_answers(name, bars)
    assert answers.shape == (len(bars.split.test), len(CLASSES))
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    assert right(answers, bars) > 0.9
    np.testing.assert_array_equal(answers, classical_answers(name, bars))


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_class_that_is_never_learned_has_no_chance(name: str, bars: Material) -> None:
    label = bars.corpus.label
    few = replace(bars, split=replace(bars.split, train=bars.split.train[label[bars.split.train] != 1]))
    answers = classical_answers(name, few)
    assert (answers[:, 1] == 0).all()
    one = replace(bars, split=replace(bars.split, train=bars.split.train[label[bars.split.train] == 2]))
    assert (classical_answers(name, one).argmax(1) == 2).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_values_are_answered_too(name: str, bars: Material) -> None:
    target = bars.corpus.label - 1.0
    valued = replace(bars, corpus=replace(bars.corpus, classes=("value",), label=0 * bars.corpus.label, target=target))
    answers = classical_answers(name, valued)
    assert answers.shape == (len(bars.split.test), 1)
    assert np.corrcoef(answers[:, 0], target[bars.split.test])[0, 1] > 0.8


def test_the_difference_to_ones_own_neutral_frame_is_seen_and_that_to_anothers_is_not(bars: Material) -> None:
    own = classical._descriptions("hog_svm", bars)(bars.split.test)
    anothers = replace(bars, protocol=replace(bars.protocol, neutral="training_neutral"))
    assert own.shape[1] == 2 * 900
    np.testing.assert_array_equal(classical._descriptions("hog_svm", anothers)(bars.split.test), own[:, :900])


@pytest.mark.parametrize("side", [6, 48, 50, 112])
def test_a_picture_of_any_size_has_as_many_numbers(side: int) -> None:
    frames = np.random.default_rng(0).integers(256, size=(2, side, side, 3), dtype=np.uint8)
    assert classical._hog(frames).shape == (2, 900)


def test_without_its_library_it_says_what_to_install(bars: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(RequestError, match="hog_svm needs scikit-image: pip install scikit-image"):
        classical_answers("hog_svm", bars)
