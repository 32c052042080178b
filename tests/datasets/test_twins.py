"""What every twin keeps to, whichever data set it stands in for."""

from __future__ import annotations

import pytest

from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets.dataset import DataSet
from ferbench.datasets.synthetic.film import Shot

WITH_A_TEST_PART = [name for name in data_sets.names() if data_sets.get(name).official_test]


def shots_of(data_set: DataSet, scale: float, **more: float) -> dict[bool, list[Shot]]:
    """The twin's shots, those of the training part under True; every release calls its folder so."""
    film = data_set.film(scale, 0, data_set.protocol, data_set.layouts[0], **more)
    found: dict[bool, list[Shot]] = {True: [], False: []}
    for shot in film.shots:
        found["train" in next(filter(None, shot.files)).lower()].append(shot)
    return found


@pytest.mark.parametrize("name", WITH_A_TEST_PART)
def test_a_larger_test_part_leaves_the_training_part_as_it_is(name: str) -> None:
    data_set = data_sets.get(name)
    small, large = shots_of(data_set, 0.1), shots_of(data_set, 0.1, test_scale=0.3)
    assert [(s.identity, s.scene, s.files) for s in small[True]] == [
        (s.identity, s.scene, s.files) for s in large[True]
    ]
    assert all((a.units == b.units).all() for a, b in zip(small[True], large[True], strict=True))
    frames = [sum(bool(file) for shot in shots[False] for file in shot.files) for shots in (small, large)]
    assert frames[1] > 2 * frames[0]


def test_the_data_sets_with_a_test_part_of_their_own() -> None:
    assert {"aff_wild2", "affectnet_small", "sendv1", "sendv1_fine"} <= set(WITH_A_TEST_PART)
    assert not {"oulu_casia", "ctbc", "folder"} & set(WITH_A_TEST_PART)
