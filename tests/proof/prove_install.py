"""Shows that ferbench and the packages that bear its folders' names leave each other whole, with the real packages.

    python -m tests.proof.prove_install

It takes Hugging Face's `datasets` with what that needs, `emotiefflib` and `rmn` from the package index that pip knows;
`tests/test_installed.py` does the same with stand-ins. A line is printed for each order of installing.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.fresh_environment import FreshEnvironment, build, copy_checkout, link_libraries

SUITE = """\
description: One architecture on one twin.
size: tiny
architectures: [c3d]
datasets: [affectnet_small]
epochs: 0.1
twins: {affectnet_small: {scale: 0.002}}
"""
USED = """
import datasets, models
from importlib.util import find_spec
assert datasets.Dataset.from_dict({"a": [1, 2]}).num_rows == 2
assert find_spec("emotiefflib") and find_spec("rmn") and hasattr(models, "resmasking_dropout1")
"""
"""EmotiEffLib and rmn are only looked for: what they need themselves is not installed."""
WHOLE = """
import base64, hashlib, json
from importlib.metadata import distribution
found = {}
for name in ("datasets", "emotiefflib", "rmn"):
    for file in distribution(name).files:
        if file.hash:
            digest = hashlib.new(file.hash.mode, file.locate().read_bytes()).digest()
            assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == file.hash.value, file
    found[name] = distribution(name).version
print(json.dumps(found))
"""
"""Every file of theirs is the one that was packed."""


def prove(order: str, wheel: Path, libraries: Path, folder: Path) -> str:
    """Installs everything in an order, uses it, uninstalls ferbench; returns what was seen."""
    folder.mkdir()
    environment = FreshEnvironment(folder / "environment", libraries)
    steps = {
        "ferbench": lambda: environment.install(wheel),
        "datasets": lambda: environment.pip("install", "datasets"),
        "others": lambda: environment.pip("install", "--no-deps", "emotiefflib", "rmn"),
    }
    for name in order.split(", "):
        steps[name]()
    _run(environment, folder, "python", "-c", USED)
    listed = json.loads(_run(environment, folder, "ferbench", "list", "architectures", "--json"))
    (folder / "own.yaml").write_text(SUITE)
    finished = _run(environment, folder, "ferbench", "run", "--suite", "own.yaml").splitlines()[-2]
    _run(environment, folder, "python", "-c", WHOLE)
    environment.pip("uninstall", "--yes", "ferbench")
    assert not (environment.site / "ferbench").exists()
    _run(environment, folder, "python", "-c", USED)
    versions = json.loads(_run(environment, folder, "python", "-c", WHOLE))
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{order}: {named}; {len(listed)} architectures listed; {finished}; whole after uninstalling ferbench"


def _run(environment: FreshEnvironment, folder: Path, program: str, *words: str) -> str:
    done = environment.run(program, *words, cwd=folder, timeout=3600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main() -> None:
    """Both orders."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "libraries").mkdir()
        wheel = build(copy_checkout(folder / "checkout"), "wheel", folder)
        libraries = link_libraries(folder / "libraries")
        for number, order in enumerate(("ferbench, datasets, others", "others, datasets, ferbench")):
            print(prove(order, wheel, libraries, folder / str(number)), flush=True)


if __name__ == "__main__":
    main()
