"""Git is asked about one repository and no other, also where this project runs in a git hook."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate.side_by_side import checkout, repository_of
from ferbench.benchmark.records import provenance
from ferbench.benchmark.records.git import distrusted, git, own_environment
from ferbench.benchmark.records.installation import CHECKOUT, HOME


def run(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.invalid"]
    return subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Of two commits, in each of which the one file says another thing."""
    folder = (tmp_path / "repository").resolve()
    folder.mkdir()
    run(folder, "init", "-q")
    for text in ("one", "two"):
        (folder / "file").write_text(text)
        run(folder, "add", "file")
        run(folder, "commit", "-qm", text)
    return folder


@pytest.mark.parametrize("hook", [{"GIT_INDEX_FILE": "{top}/.git/index"}, {"GIT_INDEX_FILE": ".git/index"},
                                  {"GIT_DIR": ".git"}, {"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere"},
                                  {"GIT_OBJECT_DIRECTORY": "/nowhere"}, {"GIT_PREFIX": "x/"},
                                  {"GIT_CONFIG_PARAMETERS": "'core.bare=true'"},
                                  {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.bare",
                                   "GIT_CONFIG_VALUE_0": "true"}])  # fmt: skip
def test_a_base_is_checked_out_from_a_hook_and_the_users_index_stays(
    repository: Path, hook: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "file").write_text("three")
    run(repository, "add", "file")
    staged = run(repository, "diff", "--cached")
    index = (repository / ".git" / "index").read_bytes()
    monkeypatch.chdir(repository)
    with monkeypatch.context() as patch:
        for name, value in hook.items():
            patch.setenv(name, value.format(top=repository))
        with checkout(repository_of(repository), "HEAD~1") as (base, _):
            assert (base / "file").read_text() == "one"
    assert (repository / ".git" / "index").read_bytes() == index
    assert run(repository, "diff", "--cached") == staged != ""


def test_only_what_names_no_repository_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    local = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    for name in [*local.stdout.split(), "GIT_INDEX_VERSION", "GIT_NAMESPACE", "GIT_CONFIG_GLOBAL"]:
        monkeypatch.setenv(name, "x")
    handed_on = {name for name in own_environment() if name.startswith("GIT_")}
    assert "GIT_CONFIG_GLOBAL" in handed_on
    assert not handed_on & set(local.stdout.split())


def test_a_repository_of_another_user_is_said_to_be_one(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("LANGUAGE", "de")
    said = (
        f"{repository}: git refuses this repository, which belongs to another user (dubious ownership): if you trust "
        f"it, run `git config --global --add safe.directory {repository}`"
    )
    with pytest.raises(RequestError) as error:
        repository_of(repository)
    assert str(error.value) == said
    monkeypatch.setattr(provenance, "CHECKOUT", repository)
    provenance.commit.cache_clear()
    try:
        assert provenance.commit() == (None, False)
    finally:
        provenance.commit.cache_clear()
    assert capsys.readouterr().err == f"no commit is kept in the records: {said}\n"
    (tmp_path / "gitconfig").write_text(f"[safe]\n\tdirectory = {repository}\n")  # what the advised command does
    assert repository_of(repository) == repository
    assert distrusted(git(repository, "rev-parse", "--verify", "nowhere")) is None


def test_nothing_else_in_this_project_calls_git() -> None:
    assert CHECKOUT is not None
    for file in sorted(path for room in ("benchmark", "models", "datasets") for path in (HOME / room).rglob("*.py")):
        if file.name == "git.py":
            continue
        commands = [node.elts[0] for node in ast.walk(ast.parse(file.read_text()))
                    if isinstance(node, ast.List | ast.Tuple) and node.elts]  # fmt: skip
        words = [first.value for first in commands if isinstance(first, ast.Constant)]
        assert "git" not in words, f"{file} calls git by itself"
