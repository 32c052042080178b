"""Finds architectures and data sets by the place of their file, and third parties' through entry points.

Lazy: listing names reads file names and package metadata; a module is imported when its entry is asked for. A family
(`timm:<name>`) stands for every model of a library; its entries are made when they are asked for.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import re
from contextlib import suppress
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ferbench.benchmark.errors import RequestError, unknown_name
from ferbench.benchmark.records.installation import PACKAGE
from ferbench.benchmark.records.provenance import closure, source_of

if TYPE_CHECKING:
    from ferbench.datasets.dataset import DataSet
    from ferbench.models.architecture import Architecture, Ensemble

T = TypeVar("T")


_LENDER = re.compile(r"\bTrained\(\s*(?:architecture=)?[\"']([^\"']+)[\"']")


class Registry(Generic[T]):
    """Entries of one kind: modules of `package` that define `attribute`, and entry points of `group`."""

    def __init__(self, kind: str, package: str, attribute: str, group: str, family: str = "") -> None:
        self.kind = kind
        self.package = package
        self.attribute = attribute
        self.group = group
        self.family = family
        """Attribute of the modules whose entries are named `<prefix>:<name>`; empty: there are none."""

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

    @cached_property
    def _families(self) -> dict[str, str]:
        """Prefix of each family -> name of the module that defines it, whose file is named `<prefix>_*.py`."""
        if not self.family:
            return {}
        folder = Path(_package_folder(self.package))
        defines = re.compile(rf"^{self.family}\b.*=", re.MULTILINE)
        files = [file for file in sorted(folder.glob("*_*.py")) if defines.search(file.read_text(encoding="utf-8"))]
        return {file.stem.partition("_")[0]: f"{self.package}.{file.stem}" for file in files}

    def names(self) -> list[str]:
        """Every name, sorted; imports none of them. Those of a family are not among them: they are a library's."""
        return sorted(self._modules)

    def module(self, name: str) -> str:
        """Dotted name of the module that defines `name`, which is not imported; of a family's, whatever the rest.

        Raises:
            RequestError: there is no such entry; the message suggests the nearest name.
        """
        name, _, _ = name.partition("@")  # a variant is defined where its base is
        if is_of_family(name) and self._families:
            prefix = name.partition(":")[0]
            if prefix not in self._families:
                raise unknown_name(f"family of {self.kind}s", prefix, self._families)
            return self._families[prefix]
        if name not in self._modules:
            raise unknown_name(self.kind, name, self._modules)
        return self._modules[name]

    @cache  # noqa: B019 - planning asks for each cell
    def lenders(self, name: str) -> tuple[str, ...]:
        """Architectures that `name` may start from in one of its sizes (`Trained`), read from its source: planning a
        run imports no architecture."""
        own = self.module(name)
        others = {*self._modules.values()} - {own}  # what another one starts from is its own affair
        files = [source_of(module) for module in closure(own) if module not in others]
        return tuple(sorted({lender for file in files if file for lender in _LENDER.findall(file.read_text("utf-8"))}))

    def uses(self, name: str, word: str) -> bool:
        """Whether the file that defines `name` has this word in it; imports nothing."""
        file = source_of(self.module(name))
        return file is not None and re.search(rf"\b{word}\b", file.read_text(encoding="utf-8")) is not None

    def stated(self, name: str, field: str) -> Any:
        """A field of an entry: as its file writes it out, else of the entry itself, which is imported for that."""
        written = _written(self.module(name), self.attribute)
        return written[field] if field in written else getattr(self.get(name), field)

    def get(self, name: str) -> T:
        """The entry itself; imports its module."""
        if "@" in name:
            return self._variant(name)
        if is_of_family(name) and self._families:
            return self._member(name)
        module = self.module(name)
        entry = self._defined(name, module, self.attribute)
        if entry.name != name:
            raise RequestError(f"{module} is registered as {name!r} but calls itself {entry.name!r}: rename one")
        return cast(T, entry)

    @cache  # noqa: B019 - the few registries live as long as the process
    def _member(self, name: str) -> T:
        """A family's entry.

        Raises:
            RequestError: the family has none of that name; the message suggests the nearest.
        """
        module, member = self.module(name), name.partition(":")[2]
        family = self._defined(name, module, self.family)
        names = family.names()
        if member not in names:
            near = difflib.get_close_matches(member, names, n=1, cutoff=0.5)
            hint = f"did you mean '{family.prefix}:{near[0]}'?" if near else f"nothing like it among its {len(names)}"
            raise RequestError(f"unknown {self.kind} {name!r}: {hint}")
        return cast(T, family.make(member))

    def _defined(self, name: str, module: str, attribute: str) -> Any:
        """What a module defines under a name of its own."""
        try:
            entry = getattr(importlib.import_module(module), attribute, None)
        except Exception as error:  # one broken file must not end in a traceback
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise RequestError(f"{self.kind} {name!r}: {module} cannot be imported: {reason}{_moved(error)}") from error
        if entry is None:
            raise RequestError(f"{module} defines no {attribute}: the {self.kind} {name!r} cannot be loaded")
        return entry

    @cache  # noqa: B019 - the few registries live as long as the process
    def _variant(self, name: str) -> T:
        """The entry `base` under its variant, of a name `base@variant`.

        Raises:
            RequestError: there is no such entry, or it has no such variant.
        """
        base, _, variant = name.rpartition("@")
        entry: Any = self.get(base)
        try:
            return cast(T, entry.variant(variant))
        except ValueError as error:
            raise RequestError(f"{self.kind} {name!r}: {error}") from None
        except (KeyError, AttributeError):
            raise RequestError(f"{self.kind} {base!r} has no variant {variant!r}: {_variants_of(entry)}") from None


@cache
def _written(module: str, attribute: str) -> dict[str, Any]:
    """The fields that a module gives to what it defines (`ATTRIBUTE = Kind(field="...")`), where they are written out:
    text, numbers, tuples of them. Nothing is imported."""
    file = source_of(module)
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body if file else []
    except SyntaxError:  # who imports it is told
        return {}
    fields = {}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        call = getattr(node, "value", None)
        if isinstance(call, ast.Call) and any(isinstance(t, ast.Name) and t.id == attribute for t in targets):
            for keyword in call.keywords:
                with suppress(ValueError):
                    fields[keyword.arg or ""] = ast.literal_eval(keyword.value)
    return fields


def is_of_family(name: str) -> bool:
    """Whether a name is `<prefix>:<name>`."""
    return ":" in name


def _variants_of(entry: Any) -> str:
    """The variants that an entry has, as the way out of an error."""
    known = [*getattr(entry, "variants", ())]
    if getattr(entry, "view", None) in ("clip", "sequence"):
        known += ["frames=N", "shuffled"]
    return f"use one of {', '.join(known)}, or change its recipe, as in lr=0.002" if known else "name it without one"


def _moved(error: Exception) -> str:
    """Where the module that could not be imported lies, if it is one of ours by the name that it once had."""
    name = error.name if isinstance(error, ImportError) else None
    ours = f"{PACKAGE}.{name}"
    return f" (of ferbench it is {ours}: import that)" if name and source_of(ours) else ""


def _package_folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RequestError(f"package {package!r} cannot be found: install ferbench again")
    return spec.submodule_search_locations[0]


architectures: Registry[Architecture] = Registry(
    "architecture", package="ferbench.models", attribute="ARCHITECTURE", group="ferbench.architectures", family="FAMILY"
)
ensembles: Registry[Ensemble] = Registry(
    "ensemble", package="ferbench.models", attribute="ENSEMBLE", group="ferbench.ensembles"
)
data_sets: Registry[DataSet] = Registry(
    "data set", package="ferbench.datasets", attribute="DATASET", group="ferbench.datasets"
)
