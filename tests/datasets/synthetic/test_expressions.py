"""Expressions over time."""

from __future__ import annotations

import numpy as np
import pytest

from ferbench.datasets.synthetic.action_units import ACTION_UNITS, MEANINGS, unit_index
from ferbench.datasets.synthetic.expressions import (
    EMOTIONS,
    add_blinks,
    add_speech,
    expression_units,
    sequence_units,
    time_course,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_unit_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ACTION_UNITS)


def test_unknown_names_are_errors_that_name_the_choices() -> None:
    with pytest.raises(KeyError, match="AU12"):
        unit_index("AU99")
    with pytest.raises(ValueError, match="Happiness"):
        expression_units("Joy", rng())


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_intensities_stay_in_range_and_repeat(emotion: str) -> None:
    first, again = expression_units(emotion, rng(3)), expression_units(emotion, rng(3))
    assert np.array_equal(first, again)
    assert first.dtype == np.float32
    assert first[:-1].min() >= 0
    assert np.abs(first).max() <= 1


def test_contempt_is_one_sided() -> None:
    assert abs(expression_units("Contempt", rng())[unit_index("ASYM")]) >= 0.8


def test_onset_goes_from_neutral_to_apex() -> None:
    for seed in range(20):
        envelope = time_course(16, rng(seed), "onset")
        assert envelope[0] < 0.05
        assert envelope[-1] > 0.95
        assert (np.diff(envelope) >= 0).all()


def test_offset_comes_back() -> None:
    for seed in range(20):
        envelope = time_course(40, rng(seed), "onset_apex_offset")
        assert envelope[0] < 0.05
        assert envelope.max() > 0.95
        assert envelope[-1] < 0.1


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_sequence_ends_at_the_apex(emotion: str) -> None:
    sequence = sequence_units(emotion, 16, rng(1), blinks=0.0)
    assert sequence.shape == (16, len(ACTION_UNITS))
    assert np.abs(sequence[0, :-1]).max() < 0.05
    assert np.allclose(sequence[-1], expression_units(emotion, rng(1)), atol=0.05)


def test_units_of_fear_come_one_after_the_other() -> None:
    sequence = sequence_units("Fear", 60, rng(2), blinks=0.0)
    half = [
        int(np.argmax(sequence[:, unit_index(name)] > 0.5 * sequence[-1, unit_index(name)])) for name in ("AU1", "AU20")
    ]
    assert half[0] < half[1]


def test_blinks_close_the_eyes_for_a_moment_only() -> None:
    units = add_blinks(np.zeros((200, len(ACTION_UNITS)), dtype=np.float32), rng(), chance=0.05)
    closed = units[:, unit_index("AU43")] > 0.9
    assert 0 < closed.sum() < 40
    assert not closed[0]
    assert not closed[-1]


def test_speech_moves_the_mouth_only() -> None:
    units = add_speech(np.zeros((50, len(ACTION_UNITS)), dtype=np.float32), rng(), strength=0.8)
    moved = {ACTION_UNITS[channel] for channel in np.flatnonzero(units.max(0))}
    assert moved == {"AU18", "AU20", "AU25", "AU26"}
