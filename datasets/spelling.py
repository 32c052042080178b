"""Spellings that do no harm are read by every reader alike, and names that do are refused alike.

Read: endings in capitals, `.jpeg` or `.png` for `.jpg`, a byte order mark, names of columns and classes in another
case or with blanks around them, `3.0` for 3, backslashes in paths. What is no regular file (a pipe, a device) is passed
over.
Refused: a name that is not UTF-8 text, one with a control character, `#t=` in the name of a picture (it marks a second
of a video), two files that differ in spelling alone.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ferbench.datasets.containment import refuse_link_outside
from ferbench.datasets.corpus import DataError

PICTURES = (".jpg", ".jpeg", ".png")
"""Endings of the pictures of a release, in small letters."""


def is_shown(path: Path) -> bool:
    """Whether a path is a regular file that is not hidden."""
    return not path.name.startswith(".") and path.is_file()


def files_in(folder: Path, root: Path) -> Iterator[tuple[str, str, str]]:
    """Name, stem and ending in small letters of each regular file; hidden ones and what is no file are passed over.

    Raises:
        DataError: a link leads out of `root`.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                refuse_link_outside(root, Path(entry.path))
            if is_shown(Path(entry.path)) if entry.is_symlink() else entry.is_file():
                stem, ending = os.path.splitext(entry.name)
                yield entry.name, stem, ending.lower()


def pictures_in(folder: Path, root: Path) -> dict[str, str]:
    """Names of the pictures of a folder by their stems; empty where there is no such folder.

    Raises:
        DataError: two pictures differ in their ending alone; a link leads out of `root`.
    """
    found: dict[str, str] = {}
    for name, stem, ending in files_in(folder, root) if folder.is_dir() else ():
        if ending in PICTURES:
            if stem in found:
                one, other = sorted([found[stem], name])
                raise DataError(f"{folder}: {one} and {other} both claim to be picture {stem}: remove one of them")
            found[stem] = name
    return found


def folders_in(folder: Path, root: Path) -> dict[str, Path]:
    """The folders in a folder by their names in small letters; hidden ones are passed over.

    Raises:
        DataError: two names differ in case alone; a link leads out of `root`.
    """
    found: dict[str, Path] = {}
    for below in sorted(folder.iterdir()):
        if below.name.startswith(".") or not below.is_dir():
            continue
        refuse_link_outside(root, below)
        if (same := found.setdefault(below.name.lower(), below)) != below:
            raise DataError(f"{same} and {below} differ in case alone: join them")
    return found


def csv_rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and values of each row that is not empty, the values by the names of all columns, in small letters.

    columns: those that must be there.

    Raises:
        DataError: it is no text, or a column is missing.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, skipinitialspace=True)
            names = [name.strip().lower() for name in next(rows, [])]
            for column in columns:
                if column.lower() not in names:
                    raise DataError(f"{file}: no column {column!r} in its first line: it has {', '.join(names)[:80]!r}")
            for row in rows:
                if row:
                    yield rows.line_num, dict(zip(names, row, strict=False))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataError(
            f"{file}: not a text file in UTF-8: copy it again, or save it as such ({type(error).__name__})"
        ) from None


def whole_number(written: str) -> int:
    """`3`, ` 3` or `3.0`.

    Raises:
        ValueError: it is not a whole number of at most nine digits.
    """
    match = re.fullmatch(r"\s*([+-]?\d{1,9})(?:\.0*)?\s*", written)
    if match is None:
        raise ValueError(f"{written[:40]!r} is not a whole number")
    return int(match[1])
