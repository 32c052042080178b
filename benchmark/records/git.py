"""Git, called in an environment of its own.

Git hands variables to its hooks (`GIT_INDEX_FILE`, `GIT_DIR`, ...) that say which repository and which index it is at.
Whoever calls git from there for another work tree would have it write into the index of the user's commit. So every
call of this project goes through `git`, and a process that may call git by itself is started with `own_environment`.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shlex import quote

_OF_THE_MACHINE = (
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH", "GIT_TEST_ASSUME_DIFFERENT_OWNER",
)  # fmt: skip
"""Variables that stay: where git lies and whose settings it reads, and whether it takes every folder for another
user's. None of them names a repository."""
_DUBIOUS = "detected dubious ownership in repository at "


def own_environment() -> dict[str, str]:
    """The environment of this process without what git says to its hooks."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _OF_THE_MACHINE}


def git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What git answers about the repository that holds a folder; in English, whatever the user speaks.

    Raises:
        OSError: there is no git.
    """
    settings = {**own_environment(), "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}  # asking writes no index
    return subprocess.run(
        ["git", "-C", str(folder), *words], env=settings, capture_output=True, text=True, errors="surrogateescape"
    )


def distrusted(answer: subprocess.CompletedProcess[str]) -> str | None:
    """What to say where git refuses a repository because it belongs to another user; None where it does not."""
    _, found, rest = answer.stderr.partition(_DUBIOUS)
    if not answer.returncode or not found:
        return None
    place = rest.splitlines()[0].strip().strip("'")
    return (
        f"{place}: git refuses this repository, which belongs to another user (dubious ownership): if you trust it, "
        f"run `git config --global --add safe.directory {quote(place)}`"
    )
