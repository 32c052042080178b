"""What every twin keeps to, whichever data set it stands in for."""

from __future__ import annotations

import pytest

from ferbench.benchmark.planning.registry import data_sets
from ferbench.datasets.dataset import DataSet
from ferbench.datasets.synthetic.film import Shot

WITH_A_TEST_PART = [name for name in data_sets.names() if data_sets.get(name).official_test]
LAYOUT = {"fer2013": "folders"}
"""Of those whose default one does not show the part in a file's name."""
SHARED = {"ferplus": "fer2013"}
"""Whose twin is another's, in one layout of it."""


def shots_of(data_set: DataSet, scale: float, **more: float) -> dict[bool, list[Shot]]:
    """The twin's shots, those of the training part under True."""
    film = data_set.film(scale, 0, data_set.protocol, LAYOUT.get(data_set.name, data_set.layouts[0]), **more)
    found: dict[bool, list[Shot]] = {True: [], False: []}
    for shot in film.shots:
        found[is_training(data_set.name, next(filter(None, shot.files)))].append(shot)
    return found


def is_training(name: str, file: str) -> bool:
    """Whether a file of a twin is of the training part; most releases call its folder so."""
    if name == "ferv39k":  # where a list says so; the twin's clips of the test part begin with a nine of their own
        return len(file.split("/")[3]) == 4
    return "train" in file.lower()


@pytest.mark.parametrize("name", [name for name in WITH_A_TEST_PART if name not in SHARED])
def test_a_larger_test_part_leaves_the_training_part_as_it_is(name: str) -> None:
    data_set = data_sets.get(name)
    small, large = shots_of(data_set, 0.1), shots_of(data_set, 0.1, test_scale=0.3)
    assert [(s.identity, s.scene, s.files) for s in small[True]] == [
        (s.identity, s.scene, s.files) for s in large[True]
    ]
    assert all((a.units == b.units).all() for a, b in zip(small[True], large[True], strict=True))
    frames = [sum(bool(file) for shot in shots[False] for file in shot.files) for shots in (small, large)]
    assert frames[1] > 1.9 * frames[0]  # of FER2013 the validation part, a half, stays as it is


def test_the_data_sets_with_a_test_part_of_their_own() -> None:
    assert {"aff_wild2", "affectnet_small", "sendv1", "sendv1_fine"} <= set(WITH_A_TEST_PART)
    assert not {"oulu_casia", "ctbc", "folder"} & set(WITH_A_TEST_PART)
