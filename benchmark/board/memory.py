"""What is dear to make of records is made once: figures and pictures are kept in the cache, by the content they are of.

A key is a hash of the records' and predictions' bytes, of this room's code and of the libraries that compute and
draw. So what is found is what would be made again, byte for byte; a cache that cannot be read or written costs time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.installation import cache_folder

_CODE = Path(__file__).parent
_ALSO = ("measures", "records")
"""Rooms that the figures and pictures come from, beside this one."""
_HASH = hashlib.sha256().digest_size
_LIBRARIES = ("matplotlib", "numpy", "pillow", "scipy")


def key_of(*parts: object) -> str:
    """A key of these parts and of the code that makes something of them."""
    return hashlib.blake2b(repr((_code(), parts)).encode(), digest_size=12).hexdigest()


def remembered(key: str, compute: Callable[[], Any]) -> Any:
    """JSON that was computed under this key before, or now."""
    file = _folder() / f"{key}.json"
    with contextlib.suppress(OSError, ValueError):
        return json.loads(_read(file))
    value = compute()
    _keep(file, json.dumps(value).encode())
    return value


def restored(key: str, files: list[Path]) -> bool:
    """Whether files were made under this key before; they are in their places then."""
    try:
        contents = [_read(kept) for kept in _kept(key, files)]
        for file, content in zip(files, contents, strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    except (OSError, ValueError):
        return False
    return True


def keep_files(key: str, files: list[Path]) -> None:
    """Remembers files that were just made."""
    for file, kept in zip(files, _kept(key, files), strict=True):
        _keep(kept, file.read_bytes())


def _kept(key: str, files: list[Path]) -> list[Path]:
    return [_folder() / f"{key}{file.suffix}" for file in files]


def _folder() -> Path:
    return cache_folder() / "board"


def _keep(file: Path, content: bytes) -> None:
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft:
            draft.write_bytes(hashlib.sha256(content).digest() + content)


def _read(file: Path) -> bytes:
    """What was kept in a file, behind its hash; ValueError where it is damaged."""
    kept = file.read_bytes()
    digest, content = kept[:_HASH], kept[_HASH:]
    if hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{file}: damaged")
    return content


@cache
def _code() -> str:
    files = [*sorted(_CODE.glob("*.py")), *(f for room in _ALSO for f in sorted((_CODE.parent / room).glob("*.py")))]
    versions = [f"{name} {version(name)}" for name in _LIBRARIES]
    return hashlib.blake2b(b"\0".join([file.read_bytes() for file in files]) + repr(versions).encode()).hexdigest()
