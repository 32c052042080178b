"""Pictures written out in a CSV file, a line each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbench.datasets.corpus import divided
from ferbench.datasets.decoding import faces, shares_of
from ferbench.datasets.pixel_table import LONGEST_LINE, lines_of, read_rows, row_name, write_table
from ferbench.datasets.synthetic.film import row_picture

PICTURE = np.arange(16, dtype=np.uint8).reshape(4, 4) * 15


def rows(file: Path, *lines: int) -> list[np.ndarray | None]:
    return list(read_rows(file, np.array(lines)))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A header, a picture, and a picture in other columns and quotes."""
    values = " ".join(map(str, PICTURE.ravel()))
    file = tmp_path / "table.csv"
    file.write_bytes(f'emotion,pixels,Usage\n3,{values},Training\r\nTraining,4," {values}"\n'.encode())
    return file


def test_a_picture_is_the_longest_field_of_its_line(table: Path) -> None:
    for line in (2, 3):
        (found,) = rows(table, line)
        assert found is not None
        assert found.shape == (4, 4, 3)
        assert (found == PICTURE[..., None]).all()


def test_lines_are_asked_for_in_any_number_and_those_that_are_not_there_are_none(table: Path) -> None:
    found = rows(table, 1, 2, 2, 3, 4, 900)
    assert [picture is None for picture in found] == [True, False, False, False, True, True]
    assert rows(table.with_name("gone.csv"), 1, 2) == [None, None]


@pytest.mark.parametrize("pixels", ["1 2 3", "1 2 3 256", "1 2 3 -1", "1 2 3 x", "1.5 2 3 4"])
def test_what_is_no_square_of_bytes_is_no_picture(tmp_path: Path, pixels: str) -> None:
    (tmp_path / "table.csv").write_text(f"emotion,pixels\n3,{pixels}\n", encoding="utf-8")
    assert rows(tmp_path / "table.csv", 2) == [None]


def test_a_line_of_any_length_costs_no_memory(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"emotion,pixels\n3," + b"1 " * LONGEST_LINE + b"\n4,1 2 3 4\n")
    assert [number for number, _ in lines_of(file)] == [1, 2, 3]
    assert max(len(line) for _, line in lines_of(file)) < LONGEST_LINE
    found = rows(file, 2, 3)
    assert found[0] is None
    assert found[1] is not None


def test_a_table_is_one_of_the_files_that_frames_lie_in(table: Path) -> None:
    entries = [row_name(table.name, line) for line in (3, 2, 7)]
    assert divided(entries[0]) == ("table.csv", "#row=3")
    seen = dict(faces(table.parent, entries, None, 4))
    assert [seen[i] is None for i in range(3)] == [False, False, True]
    assert [sorted(share.tolist()) for share in shares_of(entries, 2)] == [[0, 1, 2]]  # a table is read once


def test_a_table_that_is_written_is_read_again(tmp_path: Path) -> None:
    for line in (2, 3):
        file = row_picture(tmp_path, "table.csv", line)
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(PICTURE + line).save(file)
    write_table(tmp_path, "table.csv", ("emotion", "pixels"), [("0", None), ("1", None)])
    found = rows(tmp_path / "table.csv", 2, 3)
    assert all(
        picture is not None and (picture[..., 0] == PICTURE + line).all()
        for line, picture in zip((2, 3), found, strict=True)
    )
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
