"""What a user has who installs ferbench: its wheel, and an environment that sees nothing else of this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import matplotlib

from ferbench.benchmark.records.git import git
from ferbench.benchmark.records.installation import CHECKOUT

BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"
"""What `pip wheel` and `python -m build` do, without fetching setuptools for it."""
HIDDEN = ("__editable__", "ferbench", "pip")


def copy_checkout(folder: Path) -> Path:
    """What git knows of the checkout, or would take into it."""
    assert CHECKOUT is not None
    listed = git(CHECKOUT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed.check_returncode()
    for name in listed.stdout.rstrip("\0").split("\0"):
        source, place = CHECKOUT / name, folder / name
        if source.is_file() or name.startswith("ferbench/"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(source.readlink()) if source.is_symlink() else place.write_bytes(source.read_bytes())
    return folder


def build(project: Path, kind: str, folder: Path) -> Path:
    """The `wheel` or the `sdist` of a project, built into a folder."""
    words = [sys.executable, "-c", BUILD, f"build_{kind}", str(folder)]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=True)
    return folder / done.stdout.splitlines()[-1]


def write_wheel(folder: Path, name: str, files: Mapping[str, str], entry_points: str = "") -> Path:
    """A wheel of somebody else's, without dependencies."""
    about = f"{name}-1.0.dist-info"
    tag = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files = {
        **files,
        f"{about}/METADATA": metadata,
        f"{about}/WHEEL": tag,
        f"{about}/entry_points.txt": entry_points,
    }
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"]))
    return file


def link_libraries(folder: Path) -> Path:
    """The libraries of this environment, without ferbench's own traces in it."""
    for place in (Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")):
        for library in place.iterdir():
            link = folder / library.name
            if not library.name.startswith(HIDDEN) and library.suffix != ".pth" and not link.is_symlink():
                link.symlink_to(library)
    return folder


class FreshEnvironment:
    """A virtual environment that finds libraries from elsewhere after its own, so that nothing large is installed."""

    def __init__(self, folder: Path, libraries: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
        self.site = next(folder.glob("lib/python*/site-packages"))
        (self.site / "libraries.pth").write_text(f"{libraries}\n")
        unset = ("FERBENCH_CACHE", "FERBENCH_DATA", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
        self.settings = {name: value for name, value in os.environ.items() if name not in unset} | {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MPLCONFIGDIR": matplotlib.get_configdir(),
            "PYTHONPYCACHEPREFIX": str(libraries.with_name("bytecode")),  # torch is compiled once, not once a process
        }

    def pip(self, *words: str | Path) -> None:
        """Installs or uninstalls."""
        called = [sys.executable, "-m", "pip", "--python", self.folder / "bin" / "python", *words]
        done = subprocess.run(list(map(str, called)), capture_output=True, text=True, env=self.settings)
        assert done.returncode == 0, done.stderr

    def install(self, *words: str | Path) -> None:
        """Installs without dependencies and without a network."""
        self.pip("install", "--no-deps", "--no-index", "--no-build-isolation", "--no-compile", *words)

    def run(
        self, program: str, *words: str | Path, cwd: Path, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of this environment as a user does who has set nothing."""
        called = [str(self.folder / "bin" / program), *map(str, words)]
        return subprocess.run(called, cwd=cwd, timeout=timeout, capture_output=True, text=True, env=self.settings)
