"""A file appears in one rename: whoever reads it finds all of it or nothing, and an earlier one stays until then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def drafted(file: Path) -> Iterator[Path]:
    """A name beside `file` to write under, which takes its place when all went well and is removed when not."""
    draft = file.with_name(f".{file.name}.{uuid4().hex}")  # two machines that share a folder may share a process number
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
