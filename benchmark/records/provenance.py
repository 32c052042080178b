"""Where a number comes from: the code, the machine and the libraries behind it. Imports nothing heavy."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import platform
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.git import distrusted, git
from ferbench.benchmark.records.installation import CHECKOUT, PACKAGE

FOLDERS = ("benchmark", "models", "datasets")
"""What of a checkout decides numbers."""
LIBRARIES = ("torch", "torchvision", "timm", "numpy")


def kept_path(path: Path) -> str:
    """A path of a request as a record may keep it: of one from the top the name alone; where it lies is its owner's."""
    return path.name if path.is_absolute() else str(path)


def hash_of(value: object) -> str:
    """Short hash of anything with a stable text form."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


@cache  # planning asks for each cell
def code_hash(module: str) -> str:
    """Hash of what a module and all that it imports of its own kind *do*.

    It is taken of the syntax tree without docstrings: comments, layout and wording change nothing. Imports are
    followed within this project, and within the package of a third party's module.
    """
    digest = hashlib.sha256()
    for name in sorted(closure(module)):
        digest.update(name.encode() + _tree(name)[0].encode())
    return digest.hexdigest()[:16]


def closure(module: str) -> set[str]:
    """A module and all that it imports of its own kind, by dotted name."""
    own = {PACKAGE, module.partition(".")[0]}
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in reached or name.partition(".")[0] not in own or source_of(name) is None:
            continue
        reached.add(name)
        waiting.extend(_tree(name)[1])
    return reached


@cache
def source_of(module: str) -> Path | None:
    """Source of a module, found by its place: `find_spec` of a dotted name would import what is above it."""
    top, *below = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    if not below:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder).joinpath(*below)
        for file in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if file.is_file():
                return file
    return None


@cache
def _tree(module: str) -> tuple[str, tuple[str, ...]]:
    """Text form of a module's syntax tree without docstrings, and the modules that it may import."""
    file = source_of(module)
    assert file is not None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise RequestError(f"{file}, line {error.lineno}: {error.msg}: mend the file, or take it away") from None
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(node, module, is_package=file.name == "__init__.py")
            imported += [source, *(f"{source}.{alias.name}" for alias in node.names)]
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [child for child in node.body if not _is_text(child)]
    return _text(tree), tuple(imported)


def _text(node: object) -> str:
    """A syntax tree as text that is the same in every version of Python: fields that are empty are left out."""
    if isinstance(node, ast.AST):
        filled = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in filled)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return repr(node)


def _source(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    """Full name of what `from ... import` in a module names, dots at its front included."""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@cache
def commit() -> tuple[str | None, bool]:
    """Commit of the checkout and whether its code differs from it; (None, False) outside a checkout."""
    head = _git("rev-parse", "HEAD")
    if not head:
        return None, False
    return head, bool(_git("status", "--porcelain", "--", *FOLDERS, "setup.cfg", "constraints.txt"))


def _git(*words: str) -> str | None:
    if CHECKOUT is None:
        return None
    try:
        answer = git(CHECKOUT, *words)
    except OSError:
        return None
    if said := distrusted(answer):
        print(f"no commit is kept in the records: {said}", file=sys.stderr)
    return None if answer.returncode else answer.stdout.strip()


def environment() -> dict[str, Any]:
    """Python, libraries and time of now: what a record says of itself besides the device and the commit."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
        "host_os": f"{platform.system()} {platform.machine()}",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
