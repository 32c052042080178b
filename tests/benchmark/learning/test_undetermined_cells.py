from __future__ import annotations

import pytest
import torch

from ferbench.benchmark.learning.determinism import deterministic_if_it_can


@pytest.fixture(autouse=True)
def _as_before() -> object:
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


def test_what_has_no_deterministic_kernel_is_made_all_the_same_and_named() -> None:
    torch.use_deterministic_algorithms(True)
    tries = []

    def make() -> str:
        tries.append(torch.is_deterministic_algorithms_warn_only_enabled())
        if not tries[-1]:
            raise RuntimeError("max_pool3d_backward_cuda does not have a deterministic implementation, but you set ...")
        return "made"

    assert deterministic_if_it_can(make) == ("made", "max_pool3d_backward_cuda")
    assert tries == [False, True]
    assert not torch.is_deterministic_algorithms_warn_only_enabled(), "the next cell is asked to be deterministic"


def test_other_errors_are_left_alone() -> None:
    def make() -> None:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        deterministic_if_it_can(make)
