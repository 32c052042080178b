"""The shipped starting weights are what their recipe names, and their people meet no twin's."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.pretexts.faces import aligned, person, random_motion, stills
from ferbench.benchmark.pretexts.pretraining import BACKBONES, RECIPES, fit, spoil
from ferbench.datasets.synthetic.film import Film
from ferbench.models.weights import FOLDER, load_into

SHIPPED = json.loads((FOLDER / "recipe.json").read_text(encoding="utf-8"))


def film_of(name: str) -> Film:
    dataset = data_sets.get(name)
    return dataset.film(1.0, 0, dataset.protocol, dataset.layouts[0])


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_file_is_what_the_recipe_names(name):
    file = FOLDER / f"{name}.safetensors"
    assert SHIPPED[name]["recipe"] == asdict(RECIPES[name])
    assert SHIPPED[name]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_into(BACKBONES[RECIPES[name].backbone](), file).fits


def test_every_shipped_file_has_a_recipe_and_all_are_small():
    files = sorted(FOLDER.glob("*.safetensors"))
    assert [file.stem for file in files] == sorted(SHIPPED) == sorted(RECIPES)
    assert sum(file.stat().st_size for file in files) < 8_000_000


def test_the_pretexts_were_learned():
    # 1 is no better than the mean of the targets, or than a guess at who it is.
    for name, entry in SHIPPED.items():
        assert entry["error"] < 0.9, name


@pytest.mark.parametrize("dataset", data_sets.names())
def test_no_person_of_a_pretext_is_in_a_twin(dataset):
    in_twin = {shot.identity for shot in film_of(dataset).shots}
    for purpose, count in (("geometry", 24_000), ("motion", 3_000), ("identity", 500)):
        assert in_twin.isdisjoint(person(purpose, 0, i) for i in range(count))


def test_aligned_landmarks_do_not_know_where_the_face_is_or_how_large():
    rng = np.random.default_rng(0)
    shape = rng.normal(size=(4, 68, 2)).astype(np.float32)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]], dtype=np.float32)
    np.testing.assert_allclose(aligned(2.5 * shape @ turn.T + [3, -7]), aligned(shape), atol=1e-4)


def test_random_motion_goes_through_three_states_without_a_jump():
    units = random_motion(np.random.default_rng(0), 40)
    assert units.shape[0] == 40
    assert np.abs(np.diff(units, axis=0)).max() < 0.25
    assert not np.allclose(units[0], units[20])


def test_spoiling_draws_once_a_clip_and_keeps_its_shape():
    pictures = torch.rand(3, 1, 3, 48, 48).repeat(1, 4, 1, 1, 1)
    spoiled = spoil(pictures, torch.Generator().manual_seed(0))
    assert spoiled.shape == pictures.shape
    # The frames of a still clip differ by sensor noise alone.
    difference = (spoiled[:, 0] - spoiled[:, 1]).mean(dim=(1, 2, 3)).abs()
    assert (difference < 0.05).all()
    assert not torch.equal(spoiled[:, 0], spoiled[:, 1])


def test_a_pretext_gives_the_same_weights_again():
    recipe = replace(RECIPES["geometry-mobilenet_v3"], pictures=60, epochs=1, batch=20)
    faces = stills(recipe.pictures, seed=1, size=48)

    def weights() -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        backbone = BACKBONES[recipe.backbone]()
        fit(backbone, faces, recipe)
        return backbone.state_dict()

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)
