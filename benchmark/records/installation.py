"""Where this program lies: in a checkout, or installed as a package without one."""

from __future__ import annotations

import os
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "ferbench"
HOME = Path(__file__).resolve().parents[2]
"""The folder that holds `benchmark`, `models` and `datasets`."""
CHECKOUT = HOME if (HOME / "setup.cfg").is_file() else None
"""The checkout that the program lies in; None where it is installed without one."""
PROGRAM = "python -m benchmark" if CHECKOUT and Path.cwd() == CHECKOUT else PACKAGE
"""How a person starts it from where it was started now."""


def own_version() -> str:
    """Of this program, as it was installed; of a checkout that never was, what its `setup.cfg` says."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        if CHECKOUT is None:
            raise
        read = ConfigParser()
        read.read(CHECKOUT / "setup.cfg", encoding="utf-8")
        return read["metadata"]["version"]


def cache_folder() -> Path:
    """Where twins, frames and features are kept: FERBENCH_CACHE, else `.cache` of the checkout, else the user's own."""
    named = os.environ.get("FERBENCH_CACHE")
    if named or CHECKOUT:
        return Path(named) if named else HOME / ".cache"
    from platformdirs import user_cache_path

    return user_cache_path(PACKAGE, appauthor=False)


def published_folder() -> Path:
    """Where published records and the gate's baseline lie: of the checkout, else of the project that it is run in."""
    return (CHECKOUT or Path.cwd()) / "results" / "published"


def advised(target: str, verb: str = "") -> str:
    """A command to advise: the target of make where its Makefile is at hand, else the verb (the target's own name)."""
    at_hand = CHECKOUT is not None and Path.cwd() == CHECKOUT
    return f"`make {target}`" if at_hand else f"`{PROGRAM} {verb or target}`"
