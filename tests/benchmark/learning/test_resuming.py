"""A training that is cut off at any step goes on to the same end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning import resuming, training
from ferbench.benchmark.learning.material import Material
from ferbench.benchmark.learning.resuming import Keeper, LeftError
from ferbench.benchmark.learning.training import train
from ferbench.benchmark.records.cache import KEEP_EVERY, keep_every
from ferbench.models.architecture import Architecture, Stage
from tests.benchmark.learning.test_training import CLASSES, Toy, run_of, toy
from tests.benchmark.learning.test_training import material as material  # a fixture

FRAMES = Stage("frames", epochs=3, batch_size=16, augmentation="heavy")
FROZEN = Stage("head", epochs=3, batch_size=8, frozen=("encoder",), reads="encoder", augmentation="light", lr=1e-2)
MOMENTUM = Stage("momentum", epochs=2, batch_size=16, optimizer="sgd", selection="last")
WAYS = {
    "frames, with dropout": toy(FRAMES, lost=0.5),
    "what is frozen is read once": toy(FROZEN),
    "three stages": toy(replace(FRAMES, view="image", through="classify"), MOMENTUM, FROZEN, lost=0.3),
    "a part of each epoch": toy(replace(FRAMES, max_samples=20)),
}


class CutError(Exception):
    """The plug was pulled."""


def begin(architecture: Architecture, data: Material, keeper: Keeper | None) -> tuple[Toy, list[dict[str, Any]]]:
    """Trains a new model, as a new process would."""
    torch.manual_seed(0)
    size = architecture.sizes["tiny"]
    model = size.build(len(CLASSES))
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))  # whatever went on in this process before
    history = train(model, architecture, size, replace(data, frames=3), replace(run_of(), keeper=keeper))
    return model, [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


@pytest.fixture
def cut_after(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pulls the plug after so many steps; returns how many were done."""
    step = training.training_step
    left, done = [0], [0]

    def counted(*arguments: Any) -> Tensor:
        if left[0] == 0:
            raise CutError
        left[0] -= 1
        done[0] += 1
        return step(*arguments)

    def set_to(steps: int) -> list[int]:
        left[0], done[0] = steps, 0
        return done

    monkeypatch.setattr(training, "training_step", counted)
    return set_to


@pytest.mark.parametrize("way", WAYS)
def test_cut_off_again_and_again_it_ends_as_if_it_never_was(
    way: str, material: Material, tmp_path: Path, cut_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    steps = cut_after(-1)
    model, history = begin(WAYS[way], material, None)
    undisturbed = steps[0]
    for every, cuts in (("0", 8), ("", 4)):  # at every step, and as it is unless asked for
        monkeypatch.setenv(KEEP_EVERY, every)
        rng = np.random.default_rng(len(way))
        total, keeper = 0, Keeper(tmp_path / f"{every or 'own'}.pt")
        for _ in range(cuts):
            steps = cut_after(int(rng.integers(1, max(2, undisturbed // 3))))
            try:
                again, told = begin(WAYS[way], material, keeper)
            except CutError:
                total += steps[0]
                keeper = Keeper(keeper.file)
                continue
            break
        else:
            steps = cut_after(-1)
            again, told = begin(WAYS[way], material, keeper)
        total += steps[0]
        assert told == history
        for name, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name
        if every == "0":
            assert undisturbed <= total <= undisturbed + cuts, "an epoch's last step alone may be done twice"


def test_a_training_that_is_done_is_not_begun_again(material: Material, tmp_path: Path, cut_after: Any) -> None:
    cut_after(-1)
    model, history = begin(WAYS["three stages"], material, Keeper(tmp_path / "it.pt"))
    cut_after(0)
    again, told = begin(WAYS["three stages"], material, Keeper(tmp_path / "it.pt"))
    assert told == history
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("fault", ["cut short", "one byte", "another program's", "empty", "a folder"])
def test_a_state_that_is_not_whole_is_not_taken(
    fault: str, material: Material, tmp_path: Path, cut_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv(KEEP_EVERY, "0")
    file = tmp_path / "it.pt"
    cut_after(5)
    with pytest.raises(CutError):
        begin(WAYS["frames, with dropout"], material, Keeper(file))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    damaged = {"cut short": content[: len(content) // 2], "one byte": content, "another program's": b"hello"}
    file.unlink()
    if fault == "a folder":
        file.mkdir()
    else:
        file.write_bytes(damaged.get(fault, b""))
    assert Keeper(file).found() is None
    steps = cut_after(-1)
    begin(WAYS["frames, with dropout"], material, Keeper(file))
    assert steps[0] == 3 * -(-len(material.split.train) // 16)


def test_asked_to_end_it_keeps_its_state_first(
    material: Material, tmp_path: Path, cut_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    steps = cut_after(-1)
    model, history = begin(WAYS["frames, with dropout"], material, None)
    undisturbed = steps[0]
    asked = resuming.threading.Event()
    asked.set()
    keeper = Keeper(tmp_path / "it.pt")
    with monkeypatch.context() as patched:
        patched.setattr(resuming, "leaving", asked)
        steps = cut_after(-1)
        with pytest.raises(LeftError):
            begin(WAYS["frames, with dropout"], material, keeper)
        assert steps[0] == 1
    steps = cut_after(-1)
    again, told = begin(WAYS["frames, with dropout"], material, Keeper(keeper.file))
    assert told == history
    assert steps[0] == undisturbed - 1
    assert torch.equal(model.head.weight, again.head.weight)


def test_where_nothing_can_be_kept_it_trains_all_the_same(material: Material, tmp_path: Path, cut_after: Any,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv(KEEP_EVERY, "0")
    (tmp_path / "file").write_text("in the way")
    cut_after(-1)
    history = begin(WAYS["three stages"], material, Keeper(tmp_path / "file" / "it.pt"))[1]
    assert history == begin(WAYS["three stages"], material, None)[1]


def test_keeping_takes_a_share_of_the_time_alone(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "it.pt")
    keeper.cost = 1.0
    assert not keeper.due(epoch_ends=True)
    keeper.last -= 101
    assert keeper.due(epoch_ends=True)
    assert not keeper.due(epoch_ends=False)
    keeper.last -= 500
    assert keeper.due(epoch_ends=False)


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("0", 0.0), ("60", 60.0), ("soon", -1), ("-1", -1), ("nan", -1)]
)
def test_seconds_to_keep_after_are_checked(text: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEEP_EVERY, text)
    if seconds == -1:
        with pytest.raises(RequestError, match=f"{KEEP_EVERY}='{text}': give seconds"):
            keep_every()
    else:
        assert keep_every() == seconds
