"""The contact sheet is a picture with a row for each kind of example."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ferbench.datasets.synthetic.contact_sheet import contact_sheet


def test_contact_sheet_is_written(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "deep" / "sheet.png", size=24)
    with Image.open(tmp_path / "deep" / "sheet.png") as sheet:
        assert sheet.width > 8 * 24
        assert sheet.height > 11 * 24
