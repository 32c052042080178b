"""M3DFEL: its trunk is torchvision's, its normalisation is the paper's, its instances stay apart until the bag."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.video import R3D_18_Weights, r3d_18

from ferbench.models.m3dfel import M3DFEL, R3D18, InstanceNormalization, R3DTiny
from tests.models.test_official_weights import (
    assert_equal_but_first,
    folder,  # noqa: F401  (a fixture)
    loaded,
    normalised,
    ours,
    reference,
    written,
)


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_the_trunk_takes_torchvisions_weights_and_sees_what_kinetics_was(folder: Path) -> None:  # noqa: F811
    library = reference(lambda: r3d_18(weights=None))
    model, entry, report = loaded("m3dfel", written(library.state_dict(), folder / "r3d_18.pth"))
    assert (entry.source, report.dropped) == ("torchvision/r3d_18", ("fc.weight", "fc.bias"))
    kept = {name: value for name, value in library.state_dict().items() if not name.startswith("fc.")}
    assert_equal_but_first(model, kept, {"stem.0.weight", "stem.1.running_mean"}, "trunk")
    clip = torch.rand(1, 4, 3, 32, 32)
    kinetics = R3D_18_Weights.KINETICS400_V1.transforms()
    theirs = library.stem[1](library.stem[0](normalised(clip, kinetics.mean, kinetics.std).transpose(1, 2)))
    here = model.trunk.stem[1](model.trunk.stem[0](ours(clip).transpose(1, 2)))
    inside = (..., slice(1, -1), slice(2, -2), slice(2, -2))  # beyond the reach of the padding
    torch.testing.assert_close(here[inside], theirs[inside], rtol=1e-4, atol=1e-4)


def test_the_trunk_is_torchvisions_without_its_classifier() -> None:
    library, trunk = r3d_18(weights=None).eval(), R3D18().eval()
    library.fc = nn.Identity()
    trunk.load_state_dict(library.state_dict())
    clip = torch.randn(2, 4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(trunk(clip), library(clip.transpose(1, 2)), rtol=1e-4, atol=1e-5)


def sided(x: Tensor, side: int) -> Tensor:
    """The normalisation with all weight on one of its two statistics: 0, a feature's own; 1, those of all features."""
    norm = InstanceNormalization(x.shape[-1], eps=0.0)
    with torch.no_grad():
        norm.mean_weight[side] = norm.var_weight[side] = 100
        return norm(x)


def test_the_normalisation_lies_between_a_features_statistics_and_those_of_all() -> None:
    x = 3 * torch.randn(2, 5, 16) + 2
    instance = nn.InstanceNorm1d(16, eps=0.0)(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(sided(x, 0), instance * (4 / 5) ** 0.5, msg="over the bag; unbiased, as the seed's")
    of_all = sided(x, 1)
    torch.testing.assert_close(of_all.mean(dim=(1, 2)), torch.zeros(2), atol=1e-5, rtol=0)
    slope = of_all.std(dim=(1, 2)) / x.std(dim=(1, 2))
    torch.testing.assert_close(of_all[:, 1:] - of_all[:, :1], (x[:, 1:] - x[:, :1]) * slope[:, None, None])


def test_an_instance_sees_no_other_before_the_bag() -> None:
    model = M3DFEL(3, R3DTiny(), frames=16).eval()
    seen = []
    model.trunk.register_forward_hook(lambda module, args, output: seen.append(output.unflatten(0, (1, -1))[0]))
    x = torch.randn(1, 16, 3, 48, 48)
    other = x.clone()
    other[:, 5] += 1  # of the second instance
    with torch.no_grad():
        assert not torch.equal(model(x), model(other))
    assert (seen[0] != seen[1]).any(dim=1).tolist() == [False, True, False, False]


@pytest.mark.parametrize("frames", [4, 10])
def test_a_clip_that_is_no_bag_of_instances_is_refused(frames: int) -> None:
    with pytest.raises(ValueError, match=rf"instances of 4 frames, not {frames} frames"):
        M3DFEL(3, R3DTiny(), frames=frames)
