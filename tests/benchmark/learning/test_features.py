"""What a frozen part reads is computed once and kept for whoever asks for the same."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.features import BATCH, PROBE, Features, Shelf, features
from ferbench.datasets.frames import FrameStore

FRAMES = np.arange(3, 203)


class Mean(nn.Module):
    """The mean colour, times a number that is in no state dict."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.head = nn.Linear(3, 5)
        self.read: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.read.append(len(x))
        return self.factor * self.head(x.mean(dim=(1, 2)))


def encoder_of(seed: int = 0, factor: float = 1.0) -> Mean:
    torch.manual_seed(seed)
    return Mean(factor)


@pytest.fixture
def store() -> FrameStore:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (210, 4, 4, 3), dtype=np.uint8)
    return FrameStore(pixels, np.arange(1, 211, dtype=np.uint64), np.arange(210))


def read(
    encoder: Mean,
    store: FrameStore,
    folder: Path | Shelf | None,
    frames: NDArray[np.int64] = FRAMES,
    axes: object = "cpu",
) -> Features:
    def encode(asked: NDArray[np.int64]) -> Tensor:
        with torch.inference_mode():
            return encoder(torch.from_numpy(store.read(asked)).float() / 255)

    return features(encoder, encode, frames, store, Shelf(folder) if isinstance(folder, Path) else folder, axes)


def test_a_second_reader_finds_them(store: FrameStore, tmp_path: Path) -> None:
    first, second = encoder_of(), encoder_of()
    made, found = read(first, store, tmp_path), read(second, store, tmp_path)
    assert sum(first.read) == PROBE + len(FRAMES)
    assert max(first.read) <= BATCH
    assert second.read == [PROBE]
    np.testing.assert_array_equal(made.values, found.values)
    assert made.seconds == found.seconds > 0
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".npy"]
    expected = encoder_of()(torch.from_numpy(store.read(np.array([[7, 9], [202, 3]]))).float().flatten(0, 1) / 255)
    np.testing.assert_allclose(
        found.of(np.array([[7, 9], [202, 3]])).reshape(4, 5), expected.detach().numpy(), atol=1e-6
    )


def changed_content(store: FrameStore) -> FrameStore:
    return replace(store, content=store.content + np.uint64(1))


@pytest.mark.parametrize(
    "other",
    [
        lambda store, folder: read(encoder_of(seed=1), store, folder),
        lambda store, folder: read(encoder_of(factor=2.0), store, folder),
        lambda store, folder: read(encoder_of(), changed_content(store), folder),
        lambda store, folder: read(encoder_of(), store, folder, FRAMES[:-1]),
        lambda store, folder: read(encoder_of(), store, folder, axes="cuda"),
    ],
    ids=["weights", "code", "data", "frames", "device"],
)
def test_whatever_they_depend_on_makes_others(
    store: FrameStore, tmp_path: Path, other: Callable[[FrameStore, Path], Features]
) -> None:
    read(encoder_of(), store, tmp_path)
    other(store, tmp_path)
    assert len(list(tmp_path.glob("*.npy"))) == 2


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("pattern", "damage"),
    [
        ("*.npy", cut),
        ("*.npy", lambda file: file.write_bytes(b"")),
        ("*.npy", lambda file: np.save(file, np.zeros((2, 5), dtype=np.float32))),
        ("*.npy", Path.unlink),
        ("*.json", Path.unlink),
        ("*.json", lambda file: file.write_text("{")),
        ("*.json", lambda file: file.write_text("[]")),
    ],
)
def test_what_is_damaged_is_made_again(
    store: FrameStore, tmp_path: Path, pattern: str, damage: Callable[[Path], object]
) -> None:
    made = read(encoder_of(), store, tmp_path).values.copy()  # what is mapped would be damaged as well
    (file,) = tmp_path.glob(pattern)
    damage(file)
    again, third = encoder_of(), encoder_of()
    np.testing.assert_array_equal(read(again, store, tmp_path).values, made)
    assert sum(again.read) > len(FRAMES)
    read(third, store, tmp_path)
    assert third.read == [PROBE]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_costs_nothing_but_time(store: FrameStore, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert read(encoder_of(), store, tmp_path).values.shape == (len(FRAMES), 5)


def test_a_file_in_the_place_of_the_folder_costs_nothing_but_time(store: FrameStore, tmp_path: Path) -> None:
    (tmp_path / "features").write_text("in the way")
    kept = read(encoder_of(), store, tmp_path / "features")
    np.testing.assert_array_equal(kept.values, read(encoder_of(), store, None).values)


@pytest.mark.parametrize("what", ["ferbench.benchmark.learning.features.reserve", "os.fsync"])
def test_a_full_disk_leaves_nothing_half_written(
    store: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(what, full)
    found = read(encoder_of(), store, tmp_path)
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(found.values, read(encoder_of(), store, None).values)


def test_who_waited_for_another_computes_nothing(store: FrameStore, tmp_path: Path) -> None:
    held: list[str] = []

    @contextmanager
    def after_another(name: str) -> Iterator[None]:
        held.append(name)
        read(encoder_of(), store, tmp_path)
        yield

    late = encoder_of()
    read(late, store, Shelf(tmp_path, after_another))
    assert late.read == [PROBE]
    (file,) = tmp_path.glob("*.npy")
    assert held == [f"features-{file.stem}"]


def test_a_frame_that_was_not_read_is_an_error(store: FrameStore) -> None:
    found = read(encoder_of(), store, None, FRAMES[::2])
    for frame in (0, 4, 209):
        with pytest.raises(IndexError, match="not read"):
            found.of(np.array([FRAMES[0], frame]))


def test_the_seconds_are_those_of_whoever_made_them(store: FrameStore, tmp_path: Path) -> None:
    read(encoder_of(), store, tmp_path)
    (file,) = tmp_path.glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": 123.0}))
    assert read(encoder_of(), store, tmp_path).seconds == 123.0
