"""Starting weights: all of a file or none of it, and words that say why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ferbench.models.architecture import Size, Stage, Weights
from ferbench.models.weights import load_into, start_weights


class Net(nn.Module):
    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, classes)


SIZE = Size(build=Net, image_size=48, stages=(Stage(),), weights=(Weights("geometry-net", "backbone"),))


def write(file: Path, **changes: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Weights of a backbone, some of them changed or (None) left out."""
    tensors = {**Net(2).backbone.state_dict(), **{name.replace("_", ".", 1): t for name, t in changes.items()}}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    save_file(tensors, file)
    return tensors


def test_every_tensor_is_loaded_buffers_too(tmp_path: Path) -> None:
    tensors = write(tmp_path / "w.safetensors", **{"1_running_mean": torch.tensor([1.0, 2.0, 3.0])})
    backbone = Net(2).backbone
    report = load_into(backbone, tmp_path / "w.safetensors")
    assert report.fits
    assert set(report.matched) == set(tensors)
    assert all(torch.equal(backbone.state_dict()[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"0_bias": None}, "1 missing (0.bias)"),
        ({"2_weight": torch.zeros(1)}, "1 unexpected (2.weight)"),
        ({"0_weight": torch.zeros(3, 5)}, "1 of another shape (0.weight)"),
        ({"0_bias": None, "1_bias": None, "2_a": torch.zeros(1)}, "2 missing (0.bias, 1.bias); 1 unexpected (2.a)"),
    ],
)
def test_a_file_that_does_not_fit_is_named_and_changes_nothing(
    tmp_path: Path, changes: dict[str, torch.Tensor | None], words: str
) -> None:
    file = tmp_path / "w.safetensors"
    write(file, **changes)
    backbone = Net(2).backbone
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit") as raised:
        load_into(backbone, file)
    assert str(raised.value) == f"{file} does not fit Sequential: {words}"
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_only_the_first_names_are_listed(tmp_path: Path) -> None:
    write(tmp_path / "w.safetensors", **{f"2_{letter}": torch.zeros(1) for letter in "abcde"})
    with pytest.raises(ValueError, match=r"5 unexpected \(2\.a, 2\.b, 2\.c, \.\.\.\)$"):
        load_into(Net(2).backbone, tmp_path / "w.safetensors")


def test_a_size_starts_from_the_weights_it_declares(tmp_path: Path) -> None:
    tensors = write(tmp_path / "geometry-net.safetensors")
    model = Net(5)
    head = model.head.weight.clone()
    assert start_weights(model, SIZE, tmp_path) == "geometry-net"
    assert torch.equal(model.backbone[0].weight, tensors["0.weight"])
    assert torch.equal(model.head.weight, head)


def test_a_size_may_start_from_nothing(tmp_path: Path) -> None:
    assert start_weights(Net(5), replace(SIZE, weights=()), tmp_path) == "none"


def test_missing_weights_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        start_weights(Net(5), SIZE, tmp_path)
    assert str(raised.value) == (f"no starting weights {tmp_path / 'geometry-net.safetensors'} (`pretrain` makes it)")
