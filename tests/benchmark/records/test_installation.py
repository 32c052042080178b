"""Where the program lies decides where it keeps things and which commands it advises."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from ferbench.benchmark.records import installation


def test_the_checkout_is_where_the_three_folders_lie() -> None:
    assert installation.CHECKOUT is not None
    assert all((installation.CHECKOUT / name / "__init__.py").is_file() for name in ("benchmark", "models", "datasets"))


def test_a_checkout_keeps_its_cache_and_its_published_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERBENCH_CACHE")
    assert installation.cache_folder() == installation.HOME / ".cache"
    assert installation.published_folder() == installation.HOME / "results" / "published"


def test_installed_it_uses_the_users_cache_and_the_project_it_is_run_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installation, "CHECKOUT", None)
    monkeypatch.delenv("FERBENCH_CACHE")
    monkeypatch.chdir(tmp_path)
    assert installation.cache_folder() == user_cache_path("ferbench", appauthor=False)
    assert installation.published_folder() == tmp_path / "results" / "published"
    monkeypatch.setenv("FERBENCH_CACHE", str(tmp_path))
    assert installation.cache_folder() == tmp_path


def test_make_is_advised_only_where_its_makefile_is_at_hand(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(installation.HOME)
    assert installation.advised("bench SUITE=full", "run --suite full") == "`make bench SUITE=full`"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(installation, "PROGRAM", "ferbench")
    assert installation.advised("bench SUITE=full", "run --suite full") == "`ferbench run --suite full`"
    assert installation.advised("baseline") == "`ferbench baseline`"


def test_a_checkout_that_was_never_installed_knows_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = installation.own_version()

    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "version", nothing)
    assert installation.own_version() == installed
    monkeypatch.setattr(installation, "CHECKOUT", None)
    with pytest.raises(PackageNotFoundError):
        installation.own_version()
