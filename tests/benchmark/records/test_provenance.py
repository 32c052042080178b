"""A hash of code changes when what the code does changes, and not when its wording does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ferbench.benchmark.records import provenance
from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.benchmark.records.provenance import code_hash, commit, environment

SOURCE = '''
"""A module."""
from hashed.parts import helper

LIMIT = 3


def double(x):
    """Twice."""
    return helper(2 * x)
'''
Package = Callable[..., str]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Writes a package of the modules `mod`, `parts` and `other`, and gives the hash of its `mod`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "hashed"
    folder.mkdir()
    (folder / "__init__.py").touch()

    def write(mod: str = SOURCE, parts: str = "def helper(x):\n    return x\n", other: str = "A = 1\n") -> str:
        for module, text in (("mod", mod), ("parts", parts), ("other", other)):
            (folder / f"{module}.py").write_text(text)
        provenance.source_of.cache_clear()
        provenance._tree.cache_clear()
        provenance.code_hash.cache_clear()
        return code_hash("hashed.mod")

    return write


def test_wording_layout_and_comments_change_nothing(package: Package) -> None:
    reworded = SOURCE.replace("A module.", "Another text.").replace('    """Twice."""\n', "    # twice\n\n")
    assert package(reworded.replace("2 * x", "2*x")) == package()


@pytest.mark.parametrize(("old", "new"), [("2 * x", "3 * x"), ("LIMIT = 3", "LIMIT = 4"), ("double", "triple")])
def test_what_a_module_does_changes_its_hash(package: Package, old: str, new: str) -> None:
    assert package(SOURCE.replace(old, new)) != package()


def test_a_text_that_is_a_value_is_no_docstring(package: Package) -> None:
    assert package(SOURCE + 'WORD = "a"') != package(SOURCE + 'WORD = "b"')


def test_imports_are_followed(package: Package) -> None:
    assert package(parts="def helper(x):\n    return -x\n") != package()
    assert package(other="A = 2\n") == package()


def test_relative_imports_are_followed_too(package: Package) -> None:
    relative = SOURCE.replace("hashed.parts", ".parts")
    assert package(relative, parts="def helper(x):\n    return -x\n") != package(relative)
    sibling = "from . import other\n"
    assert package(sibling, other="A = 2\n") != package(sibling)


def test_hashing_an_architecture_imports_nothing_of_it() -> None:
    code = """if True:
        import sys
        from ferbench.benchmark.records.provenance import code_hash
        print(code_hash("ferbench.models.c3d"), code_hash("ferbench.benchmark.learning.training"))
        heavy = {"torch", "ferbench.models.c3d", "ferbench.models.architecture", "ferbench.benchmark.learning.training"}
        print(sorted(sys.modules.keys() & heavy))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    hashes, imported = done.stdout.splitlines()
    assert len(set(hashes.split())) == 2
    assert imported == "[]"


def test_an_architectures_hash_follows_its_blocks() -> None:
    reached = provenance.closure("ferbench.models.vit_se")
    assert {"ferbench.models.vit_se", "ferbench.models.parts.vit", "ferbench.models.architecture"} <= reached
    assert not {name for name in reached if name.startswith(("ferbench.benchmark", "torch"))}


def test_a_record_says_where_it_comes_from() -> None:
    found = environment()
    assert found["python"] == sys.version.split()[0]
    assert all(found[name] for name in ("torch", "torchvision", "timm", "numpy", "created"))
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True)
    assert commit()[0] == (head.stdout.strip() or None)
