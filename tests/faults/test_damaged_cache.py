"""Whatever is in the cache can be made again: what is damaged there is made again, and the same comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ferbench.benchmark.board import memory
from ferbench.benchmark.learning.lending import trained_once
from ferbench.benchmark.planning.data import Location, is_whole, locate, open_data
from ferbench.benchmark.planning.suite import cells_of, load_suite


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    """One bit, in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove(file: Path) -> None:
    file.unlink()


DAMAGES = [empty, cut, flip, remove]
Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the small twin of Oulu-CASIA."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FERBENCH_CACHE", str(cache))
        open_data(location_of_smoke(), 32, lambda text: None)
    return cache


def location_of_smoke() -> Location:
    return locate(cells_of(*load_suite("smoke"), ["c3d"], ["oulu_casia"])[0], None)


@pytest.fixture
def copied(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    shutil.copytree(made, cache)
    monkeypatch.setenv("FERBENCH_CACHE", str(cache))
    return cache


def content() -> list[list[int]]:
    corpus, store = open_data(location_of_smoke(), 32, lambda text: None)
    every = np.arange(len(corpus.frames))
    return [store.content.tolist(), store.stand_in.tolist(), store.read(every).sum(axis=(1, 2, 3)).tolist()]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("name", ["frames.npy", "content.npy", "stand_in.npy", "index.json"])
def test_a_frame_store_is_made_again(copied: Path, damage: Damage, name: str) -> None:
    before = content()
    (file,) = (copied / "frames").glob(f"*/{name}")
    damage(file)
    assert content() == before


@pytest.mark.parametrize("damage", [empty, cut, remove], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_twin_is_made_again_before_its_pictures_are_decoded(
    copied: Path, damage: Damage, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content()
    root = location_of_smoke().root
    pictures = sorted(root.rglob("*.jpeg"))
    for file in pictures[: int(share * len(pictures))]:
        damage(file)
    assert not is_whole(root)
    assert content() == before  # what was decoded is whole
    shutil.rmtree(copied / "frames")
    assert content() == before
    assert is_whole(root)
    assert "files of this twin are damaged or gone: it is made again" in capsys.readouterr().err


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_lent_weights_are_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage, ending: str
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))

    def lent() -> tuple[list[float], bool]:
        model = nn.Linear(3, 2)

        def train() -> list[dict[str, object]]:
            nn.init.constant_(model.weight, 0.5)
            nn.init.zeros_(model.bias)
            return [{"epoch": 1}]

        history, kept = trained_once(model, "key", train)
        assert history == [{"epoch": 1}]
        return torch.cat([model.weight.flatten(), model.bias]).tolist(), kept

    first, _ = lent()
    assert lent() == (first, True)
    damage(tmp_path / "trained" / f"key{ending}")
    assert lent() == (first, False)
    assert lent() == (first, True)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").touch()  # a file in its place: nobody can write there, root neither
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    model = nn.Linear(1, 1)
    assert trained_once(model, "key", lambda: [{"epoch": 1}]) == ([{"epoch": 1}], False)


@pytest.mark.parametrize("other", ["null", "[]", '{"history": 3, "sha256": 4}', "{}"])
def test_lent_weights_with_another_history_are_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    model = nn.Linear(1, 1)
    trained_once(model, "key", lambda: [{"epoch": 1}])
    (tmp_path / "trained" / "key.json").write_text(other)
    assert trained_once(model, "key", lambda: [{"epoch": 2}]) == ([{"epoch": 2}], False)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_figures_and_pictures_of_the_board_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage
) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    picture = tmp_path / "a.png"
    picture.write_bytes(b"a picture")
    memory.keep_files("key", [picture])
    assert memory.remembered("key", lambda: {"a": 1}) == {"a": 1}
    for file in (tmp_path / "cache" / "board").iterdir():
        damage(file)
    picture.unlink()
    assert not memory.restored("key", [picture])
    assert memory.remembered("key", lambda: {"a": 2}) == {"a": 2}
    assert json.loads(json.dumps(memory.remembered("key", lambda: {"a": 3}))) == {"a": 2}
