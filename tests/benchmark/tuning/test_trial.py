"""A trial inside a worker: it never opens the test part, tells of every epoch, and is pruned or fails as it should."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferbench.benchmark.commands import tune as command
from ferbench.benchmark.commands.tune import TuneRequest
from ferbench.benchmark.learning import training
from ferbench.benchmark.learning.recipe import Plan
from ferbench.benchmark.planning.closed import of_test_part, parts_without_test
from ferbench.benchmark.planning.data import Location, data_folder, locate, open_data, read_corpus_once
from ferbench.benchmark.planning.leaks import NO_COPIES, parted
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.tuning.trial import Attempt, PrunedError, Task, material_of, prepare, trained
from ferbench.datasets.corpus import DataError
from ferbench.datasets.splits import split

opened_files: set[str] | None = None


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and opened_files is not None:
        opened_files.add(str(arguments[0]))


sys.addaudithook(_heard)


@pytest.fixture
def two_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that is no matter of time, so that two trainings have the same numbers."""
    monkeypatch.setattr(
        training, "plans_within", lambda seconds, model, size, material, run: [Plan(2, 40)] * len(size.stages)
    )


def cell_of(dataset: str, row: str, data: Path) -> tuple[Cell, Location]:
    folder = data_folder(data)
    (cell,) = command._cells(TuneRequest([row], [dataset], 1, "5s"), dataset, 5.0, folder)
    return cell, locate(cell, folder)


def task_of(cell: Cell, location: Location) -> Task:
    return Task("a trial", cell, location, {cell.architecture: ""}, "cpu", Path(), "", 0, unpruned=False)


def silent(*_: object) -> None: ...


def tried(dataset: str, row: str, data: Path, tell: Callable[[int, float], None] = silent) -> Attempt:
    attempt = trained(task_of(*cell_of(dataset, row, data)), tell, silent)
    return replace(attempt, curve=[{**epoch, "seconds": 0} for epoch in attempt.curve])


@pytest.mark.parametrize(
    ("dataset", "row"), [("affectnet_small", "cnn"), ("oulu_casia", "difference_of_embeddings"), ("oulu_casia", "tsm")]
)
def test_the_test_part_is_never_opened(
    dataset: str, row: str, twins: Path, tmp_path: Path, two_epochs: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pictures are made unreadable, and the search has the same numbers; and no file of it is asked for."""
    global opened_files
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "whole"))
    whole = tried(dataset, row, twins)

    broken = tmp_path / "data"
    shutil.copytree(twins, broken)
    cell, location = cell_of(dataset, row, twins)
    corpus = read_corpus_once(location)
    closed = np.flatnonzero(of_test_part(corpus, cell.protocol, cell.fold))
    files = {broken / dataset / corpus.frames[f] for i in closed for f in range(corpus.start[i], corpus.stop[i])}
    assert files
    for file in files:
        file.write_bytes(b"no picture")
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path / "broken"))
    opened_files = set()
    try:
        found = tried(dataset, row, broken)
        asked_for = opened_files
    finally:
        opened_files = None
    assert found == whole
    assert found.value is not None
    assert any(Path(name).is_relative_to(broken) and Path(name) not in files for name in asked_for)
    assert not {Path(name) for name in asked_for} & files


@pytest.mark.parametrize("dataset", ["affectnet_small", "oulu_casia"])
def test_parts_are_those_of_the_cells(dataset: str, twins: Path) -> None:
    cell, location = cell_of(dataset, "cnn", twins)
    whole, store = open_data(location, 48, silent)
    corpus, closed = open_data(location, 48, silent, closed=cell.fold)
    wanted, _ = parted(whole, cell.protocol, cell.fold, store.content, NO_COPIES)
    found = parts_without_test(whole, corpus, cell.protocol, cell.fold, closed.content)
    for part in ("train", "validation"):
        names = [whole.sample_id[i] for i in wanted.parts[part]]
        assert names == [corpus.sample_id[i] for i in found.parts[part]]
    assert not len(found.test)
    shown = np.concatenate([np.arange(whole.start[i], whole.stop[i]) for i in wanted.test])
    with pytest.raises(IndexError, match="no sample uses it"):
        closed.read(shown)


def test_a_test_part_that_only_pictures_tell_cannot_stay_closed(twins: Path) -> None:
    _, location = cell_of("affectnet_small", "cnn", twins)
    corpus = read_corpus_once(location)
    unknown = replace(corpus, part=("",) * len(corpus), track_subject=(None,) * len(corpus.track_subject))
    with pytest.raises(DataError, match="cannot stay closed"):
        of_test_part(unknown, location.protocol, 0)


def test_every_fold_keeps_its_own_people_out(twins: Path) -> None:
    cell, location = cell_of("oulu_casia", "cnn", twins)
    whole, store = open_data(location, 48, silent)
    for fold in range(cell.protocol.folds if cell.protocol.folds < 4 else 4):
        wanted = split(whole, cell.protocol, fold, store.content)
        assert np.flatnonzero(of_test_part(whole, cell.protocol, fold)).tolist() == wanted.test.tolist()


def test_every_epoch_is_told_and_a_trial_that_others_beat_is_pruned(twins: Path, two_epochs: None) -> None:
    told: list[tuple[int, float]] = []
    whole = tried("affectnet_small", "emotieffnet", twins, lambda step, value: told.append((step, value)))
    assert [epoch["stage"] for epoch in whole.curve] == ["head", "head", "whole", "whole"]
    assert [step for step, _ in told] == [5, 10, 16, 21]
    assert whole.state == "finished"
    assert whole.value == max(epoch["val"] for epoch in whole.curve[2:])

    def prune(step: int, value: float) -> None:
        if step >= 10:
            raise PrunedError

    cut = tried("affectnet_small", "emotieffnet", twins, prune)
    assert cut.state == "pruned"
    assert cut.value is None
    assert cut.curve == whole.curve[:2]

    def prune_at_the_end(step: int, value: float) -> None:
        if step == 21:
            raise PrunedError

    assert tried("affectnet_small", "emotieffnet", twins, prune_at_the_end) == whole


def test_data_can_be_prepared_before(twins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    cell, location = cell_of("affectnet_small", "cnn", twins)
    prepare(location, 48, cell.fold, 1)
    assert [*(tmp_path / "frames").iterdir()]
    said: list[str] = []
    material_of(cell, location, said.append)
    assert not [text for text in said if "decoding" in text]


def test_a_training_that_diverges_says_so(twins: Path, two_epochs: None) -> None:
    with pytest.raises(training.DivergedError, match="lower"):
        tried("affectnet_small", "cnn@lr=1000.0+optimizer=sgd", twins)
