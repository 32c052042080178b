"""Pictures written out in a CSV file, a line each, as FER2013 is published: 2,304 grey values separated by blanks.

A picture is named `path/to/table.csv#row=LINE` wherever a path of an image may stand; lines count from 1, the header
included. The picture is the longest field of its line, whichever columns stand beside it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferbench.datasets.synthetic.film import row_picture

LONGEST_LINE = 2**20
"""Bytes; a longer line is no picture, and is not held."""


def row_name(table: str, line: int) -> str:
    """Name of the picture in a line of a table."""
    return f"{table}#row={line}"


def lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """Number and text of each line without its end; of one that is too long to be a picture nothing.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        number, whole = 1, True
        while line := opened.readline(LONGEST_LINE):
            ended = line.endswith(b"\n")
            if whole:
                yield number, line.rstrip(b"\r\n") if ended or len(line) < LONGEST_LINE else b""
            whole = ended
            number += ended


def read_rows(file: Path, lines: NDArray[np.int64]) -> Iterator[NDArray[np.uint8] | None]:
    """The pictures in these lines (ascending), (H,W,3) uint8, grey; None where there is none that can be read."""
    wanted, given = lines.tolist(), 0
    try:
        for number, line in lines_of(file) if file.is_file() else ():
            while given < len(wanted) and wanted[given] < number:
                yield None
                given += 1
            if given == len(wanted):
                return
            if wanted[given] == number:
                picture = _picture(line)
                while given < len(wanted) and wanted[given] == number:
                    yield picture
                    given += 1
    except OSError:
        pass
    for _ in wanted[given:]:
        yield None


def _picture(line: bytes) -> NDArray[np.uint8] | None:
    """The square picture in a line; None where its longest field is none: a number is missing, or is above 255."""
    values = max(line.split(b","), key=len).strip(b'" \t').split()
    side = round(len(values) ** 0.5)
    if not values or side * side != len(values):
        return None
    try:
        numbers = np.frombuffer(bytes(map(int, values)), dtype=np.uint8)
    except ValueError:
        return None
    return np.repeat(numbers.reshape(side, side, 1), 3, axis=2)


def write_table(root: Path, table: str, columns: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Writes the table of a twin; None in a row stands for its picture, which waits under its line."""
    with (root / table).open("w", encoding="utf-8", newline="") as lines:
        lines.write(",".join(columns) + "\n")
        for line, row in enumerate(rows, start=2):
            with Image.open(row_picture(root, table, line)) as picture:
                pixels = " ".join(map(str, picture.tobytes()))
            lines.write(",".join(pixels if value is None else value for value in row) + "\n")
    shutil.rmtree(row_picture(root, table, 0).parent)
