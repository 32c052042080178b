"""Paths of numbered frames are those of a tuple, made one by one."""

from __future__ import annotations

import numpy as np
import pytest

from ferbench.datasets.numbered_frames import NumberedFrames

FRAMES = NumberedFrames(("a", "empty", "b/c"), np.array([0, 2, 2, 5]), (".jpg", ".jpg", ".PNG"), {3: "b/c/2.jpeg"})
PATHS = ("a/00001.jpg", "a/00002.jpg", "b/c/00001.PNG", "b/c/2.jpeg", "b/c/00003.PNG")


def test_all_of_them_in_order() -> None:
    assert tuple(FRAMES) == PATHS
    assert len(FRAMES) == 5
    assert [FRAMES[i] for i in range(5)] == list(PATHS)


@pytest.mark.parametrize("place", [slice(None), slice(1, 3), slice(-2, None), slice(None, None, -2), slice(9, 12)])
def test_a_slice_is_that_of_the_tuple(place: slice) -> None:
    assert FRAMES[place] == PATHS[place]


def test_places_count_from_the_end_too_and_end_with_the_frames() -> None:
    assert (FRAMES[-1], FRAMES[-5]) == (PATHS[-1], PATHS[0])
    for place in (5, -6):
        with pytest.raises(IndexError, match=f"frame {place} of 5"):
            FRAMES[place]


def test_a_place_may_be_a_numpy_number() -> None:
    assert FRAMES[np.int64(2)] == "b/c/00001.PNG"
    assert "b/c/00003.PNG" in FRAMES
