"""What the tests of the harness share: somebody else's architectures, and a finished run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from third_party import install_toys

from ferbench.benchmark.planning.registry import architectures, ensembles


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a third party's package `toys`, for `sys.path` or PYTHONPATH."""
    return install_toys(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def toys_installed(toys: Path) -> Iterator[None]:
    """The toys are on `sys.path` of this process, and of the workers that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(toys))
        for registry in (architectures, ensembles):
            registry.__dict__.pop("_modules", None)
        yield
    for registry in (architectures, ensembles):
        registry.__dict__.pop("_modules", None)
