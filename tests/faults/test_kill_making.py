"""What a cell makes on its way is killed at every step: features, a frame store, a record, a board. Whoever comes next
has the same as if nothing had happened, and finds nothing half made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from ferbench.benchmark.board import plots
from ferbench.benchmark.board.leaderboard import render
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.features import Shelf, features
from ferbench.benchmark.records.record import read_record, write_record
from ferbench.datasets.frames import FrameStore, find_store, open_store
from tests.benchmark.written_cells import whole_record, write_cell
from tests.datasets.made_corpus import made_corpus
from tests.faults.killing import killed_at


def killed_everywhere(work: Callable[[], object], after: Callable[[], object]) -> int:
    """Kills the work at each of its steps, and looks each time; how many steps there were."""
    step = 1
    while killed_at(step, work):
        after()
        step += 1
    return step - 1


def test_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (70, 4, 4, 3), dtype=np.uint8)
    store = FrameStore(pixels, np.arange(1, 71, dtype=np.uint64), np.arange(70))
    torch.manual_seed(0)
    encoder = nn.Linear(3, 5)

    def encode(asked: NDArray[np.int64]) -> Tensor:
        with torch.inference_mode():
            return encoder(torch.from_numpy(store.read(asked)).float().mean(dim=(1, 2)) / 255)

    def made(shelf: Shelf | None) -> NDArray[np.float32]:
        return np.array(features(encoder, encode, np.arange(70), store, shelf, "cpu").values)

    whole, shelf = made(None), Shelf(tmp_path / "features")

    def look() -> None:
        assert np.array_equal(made(shelf), whole)
        for file in shelf.folder.iterdir():
            file.unlink()

    assert killed_everywhere(lambda: made(shelf), look) > 4


def test_a_frame_store(tmp_path: Path) -> None:
    corpus = made_corpus(["anna", "ben"], [3, 3], root=tmp_path / "data")
    corpus.root.mkdir()
    for i, frame in enumerate(corpus.frames):
        Image.new("RGB", (8, 8), (40 * i, 9, 9)).save(corpus.root / frame)
    whole = open_store(corpus, 4, tmp_path / "undisturbed", "x")

    def look() -> None:
        found = find_store(corpus, 4, tmp_path / "cache", "x")
        assert found is None or np.array_equal(found.frames, whole.frames)
        store = open_store(corpus, 4, tmp_path / "cache", "x")
        assert np.array_equal(store.frames, whole.frames)
        assert np.array_equal(store.content, whole.content)
        (folder,) = (tmp_path / "cache").iterdir()  # what the killed one left is gone
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    assert killed_everywhere(lambda: open_store(corpus, 4, tmp_path / "cache", "x"), look) > 4


def test_a_record(tmp_path: Path) -> None:
    import pandas as pd

    def write(run: int) -> None:
        table = pd.DataFrame({"sample": ["a"], "subject": [None], "label": [0], "predicted": [run]})
        write_record(tmp_path / "cell", whole_record(run=run), table)

    def look() -> None:
        record = read_record(tmp_path / "cell")
        assert record is not None
        seen.append(record.data["run"])
        try:
            assert record.predictions()["predicted"].tolist() == seen[-1:]
        except RequestError:  # the table is the new one and the record the old: never taken for each other
            seen.append(0)
        write(1)

    seen: list[int] = []
    write(1)
    assert killed_everywhere(lambda: write(2), look) > 2
    assert seen.count(0) <= 2
    assert 1 in seen


def test_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(plots, "_FEW", 1000)  # all in this process, which is the one that is killed
    results, out = tmp_path / "results", tmp_path / "results" / "leaderboard.md"
    for name in ("c3d", "tsm"):
        write_cell(results, name)
    render(results, out)
    whole = {file: file.read_bytes() for file in results.rglob("*") if file.is_file()}
    other = results / "default" / "oulu_casia-twin" / "vit"

    def work() -> None:
        write_cell(results, "vit", 0.9)
        render(results, out)

    steps = killed_everywhere(work, lambda: None)
    assert steps > 10
    assert (other / "seed0-fold0" / "record.json").is_file()
    for file in other.rglob("*"):
        if file.is_file():
            file.unlink()
    render(results, out)
    assert {file: file.read_bytes() for file in whole} == whole
