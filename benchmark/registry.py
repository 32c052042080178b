"""Finds architectures and data sets by the place of their file, and third parties' through entry points.

Lazy: listing names reads file names and package metadata; a module is imported when its entry is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from benchmark.errors import RequestError, unknown_name

if TYPE_CHECKING:
    from datasets.dataset import DataSet
    from models.architecture import Architecture, Ensemble

T = TypeVar("T")


class Registry(Generic[T]):
    """Entries of one kind: modules of `package` that define `attribute`, and entry points of `group`."""

    def __init__(self, kind: str, package: str, attribute: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.attribute = attribute
        self.group = group

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Name of each entry -> name of the module that defines it.

        Raises:
            RequestError: two places define the same name.
        """
        modules = {}
        folder = Path(_package_folder(self.package))
        defines = re.compile(rf"^{self.attribute}\b.*=", re.MULTILINE)
        for file in sorted(folder.glob("*.py")):
            if defines.search(file.read_text(encoding="utf-8")):
                modules[file.stem] = f"{self.package}.{file.stem}"
        for point in self._entry_points():
            if point.name in modules:
                raise RequestError(
                    f"two {self.kind}s are named {point.name!r}: {modules[point.name]} and {point.module} "
                    f"(entry point group {self.group}): rename one of them"
                )
            modules[point.name] = point.module
        return modules

    def _entry_points(self) -> list[EntryPoint]:
        return sorted(entry_points(group=self.group), key=lambda point: (point.name, point.value))

    def names(self) -> list[str]:
        """Every name, sorted; imports none of them."""
        return sorted(self._modules)

    def module(self, name: str) -> str:
        """Dotted name of the module that defines `name`, which is not imported.

        Raises:
            RequestError: there is no such entry; the message suggests the nearest name.
        """
        if name not in self._modules:
            raise unknown_name(self.kind, name, self._modules)
        return self._modules[name]

    def get(self, name: str) -> T:
        """The entry itself; imports its module."""
        module = self.module(name)
        try:
            entry = getattr(importlib.import_module(module), self.attribute, None)
        except Exception as error:  # one broken file must not end in a traceback
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(f"{self.kind} {name!r}: {module} cannot be imported: {reason}") from error
        if entry is None:
            raise RequestError(f"{module} defines no {self.attribute}: the {self.kind} {name!r} cannot be loaded")
        if entry.name != name:
            raise RequestError(f"{module} is registered as {name!r} but calls itself {entry.name!r}: rename one")
        return cast(T, entry)


def _package_folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RequestError(f"package {package!r} is not installed: run make setup")
    return spec.submodule_search_locations[0]


architectures: Registry[Architecture] = Registry(
    "architecture", package="models", attribute="ARCHITECTURE", group="ferbench.architectures"
)
ensembles: Registry[Ensemble] = Registry("ensemble", package="models", attribute="ENSEMBLE", group="ferbench.ensembles")
data_sets: Registry[DataSet] = Registry("data set", package="datasets", attribute="DATASET", group="ferbench.datasets")
