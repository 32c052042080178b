"""Identities and scenes depend on their own integer only."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from ferbench.datasets.synthetic.batch import Batch
from ferbench.datasets.synthetic.identity import sample_identities
from ferbench.datasets.synthetic.scene import hold, sample_scenes, track_scenes


def assert_same(one: Batch, other: Batch) -> None:
    for field in fields(one):  # type: ignore[arg-type]
        assert torch.equal(getattr(one, field.name), getattr(other, field.name)), field.name


def test_an_identity_depends_on_its_id_only() -> None:
    assert_same(sample_identities([7]), sample_identities([3, 7, 9])[[1]])
    assert not torch.equal(sample_identities([7]).skin, sample_identities([8]).skin)


def test_identities_are_gathered_by_index() -> None:
    faces = sample_identities([1, 2])
    assert_same(faces[torch.tensor([1, 1, 0])], sample_identities([2, 2, 1]))
    assert len(faces[torch.tensor([1, 1, 0])]) == 3


@pytest.mark.parametrize("style", ["lab", "wild", "talk"])
def test_a_scene_depends_on_its_seed_only(style: str) -> None:
    assert_same(sample_scenes([7], style), sample_scenes([3, 7], style)[[1]])  # type: ignore[arg-type]


def test_a_track_keeps_its_light_and_moves_its_head() -> None:
    track = track_scenes([4] * 10, list(range(10)), "lab")
    assert (track.light == track.light[0]).all()
    assert (track.background == track.background[0]).all()
    assert (track.yaw.diff() != 0).all()
    assert track.yaw.diff().abs().max() < 0.05
    assert_same(track[[6]], track_scenes([4], [6], "lab"))


def test_hold_repeats_a_scene() -> None:
    scene = sample_scenes([1], "wild")
    assert_same(hold(scene, 3)[[2]], scene)


def test_unknown_words_are_errors_that_name_the_choices() -> None:
    with pytest.raises(ValueError, match="lab, talk, wild"):
        sample_scenes([0], "studio")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="VL, NI"):
        sample_scenes([0], "lab", modality="IR")  # type: ignore[arg-type]
