"""Other people's packages that bear the name of a folder of the checkout: Hugging Face's `datasets`, rmn's `models`.

The current folder comes first on Python's path. With a checkout there, a library that works beside ours and looks for
`datasets` would find our folder; and our own modules would be loaded twice, once under each name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

NAMES = ("datasets", "models")


class CheckoutFinder(FileFinder):
    """Finds what lies in a checkout, except for the folders whose names are left to others."""

    def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """As of any folder."""
        return None if fullname in NAMES else super().find_spec(fullname, target)


def leave_names(path: Sequence[str]) -> None:
    """From now on `datasets` and `models` are not found in checkouts that are on the path, only further down it."""
    for folder in (entry or os.getcwd() for entry in path):
        if _is_checkout(Path(folder)):
            sys.path_importer_cache[folder] = CheckoutFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


def _is_checkout(folder: Path) -> bool:
    return all((folder / name).resolve() == (folder / "ferbench" / name).resolve() for name in NAMES)


def give_way(name: str) -> None:
    """Puts the installed package of this name in the place of the folder that was found before it.

    Raises:
        ImportError: none is installed, so it must be ours that is wanted.
    """
    spec = PathFinder.find_spec(name)
    if spec is None or spec.loader is None or spec.origin is None:  # without an origin it is any folder of this name
        raise ImportError(f"{name} is a folder of ferbench's checkout: import ferbench.{name} instead", name=name)
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
