"""Where the pages lie, and how one leads to another."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import PurePosixPath
from urllib.parse import quote

from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.records.record import Record


def part(name: str) -> str:
    """A name as one part of a path on any file system; what had to be changed is told apart by a hash."""
    plain = re.sub(r"[^A-Za-z0-9_=@+.-]+", "-", name)[:80].strip(".-")
    return plain if plain == name else f"{plain}-{hashlib.blake2b(name.encode(), digest_size=4).hexdigest()}"


def of_section(section: Section, first: bool) -> str:
    """The page of a section; the first is where a reader begins."""
    return "index.html" if first else f"{part(f'{section.suite}-{section.slug}')}.html"


def of_row(section: Section, table: DataTable, row: Row) -> str:
    """The page of all cells of an architecture on a data set."""
    names = (section.suite, section.slug, table.name.replace(", protocol ", "-protocol-"))
    return "/".join(["rows", *map(part, names), f"{part(row.architecture)}.html"])


def of_cell(record: Record) -> str:
    """The page of a cell: its place among the records."""
    *folders, name = record.path.parts[-4:]
    return "/".join(["cells", *map(part, folders), f"{part(name)}.html"])


def between(page: str, target: str) -> str:
    """The relative link from one page to another, fit for an `href`."""
    return quote(PurePosixPath(os.path.relpath(target, PurePosixPath(page).parent)).as_posix())
