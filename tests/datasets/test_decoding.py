"""Pictures of every kind come out as a viewer shows them, or as none."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from ferbench.datasets.decoding import content_hash, read_frame

SIDE = 16
RAMP = np.tile(np.linspace(0, 255, 64), (64, 1))
"""(64,64) from black on the left to white on the right."""
NEAR = 4.0


def seen(file: Path) -> NDArray[np.float64]:
    """(S,S) how bright the file is read."""
    face = read_frame(file, SIDE)
    assert face is not None
    assert (face.shape, face.dtype) == ((SIDE, SIDE, 3), np.uint8)
    return face.astype(np.float64).mean(axis=2)


def of_ramp() -> NDArray[np.float64]:
    return np.tile(RAMP[0].reshape(SIDE, -1).mean(axis=1), (SIDE, 1))


def lab(image: Image.Image) -> Image.Image:
    srgb, own = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)) for space in ("sRGB", "LAB"))
    return ImageCms.ImageCmsTransform(srgb, own, "RGB", "LAB").apply(image)


GREY = Image.fromarray(RAMP.astype(np.uint8))
KINDS = {
    "L.png": GREY,
    "RGB.bmp": GREY.convert("RGB"),
    "RGB.jpg": GREY.convert("RGB"),
    "P.png": GREY.convert("P"),
    "P.gif": GREY.convert("P"),
    "RGBA.png": GREY.convert("RGBA"),
    "LA.png": GREY.convert("LA"),
    "PA.tiff": GREY.convert("P").convert("PA"),
    "CMYK.jpg": GREY.convert("CMYK"),  # written inverted, as Adobe's programs do
    "CMYK.tiff": GREY.convert("CMYK"),
    "YCbCr.tiff": GREY.convert("YCbCr"),
    "LAB.tiff": lab(GREY.convert("RGB")),
    "I16.png": Image.fromarray((RAMP * 257).astype(np.uint16)),
    "I16.tiff": Image.fromarray((RAMP * 257).astype(np.uint16)),
    "I16B.tiff": Image.frombytes("I;16B", (64, 64), (RAMP * 257).astype(">u2").tobytes()),
    "RGB.webp": GREY.convert("RGB"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_is_read_as_it_is_shown(tmp_path: Path, kind: str) -> None:
    KINDS[kind].save(tmp_path / kind)
    assert np.abs(seen(tmp_path / kind) - of_ramp()).max() < NEAR


def test_black_and_white_is_read(tmp_path: Path) -> None:
    Image.fromarray(RAMP > 127).save(tmp_path / "1.png")
    brightness = seen(tmp_path / "1.png")
    assert brightness[:, :7].max() < NEAR
    assert brightness[:, 9:].min() > 255 - NEAR


@pytest.mark.parametrize("kind", ["L", "RGB", "P"])
def test_a_plain_picture_is_read_bit_for_bit(tmp_path: Path, kind: str) -> None:
    GREY.convert(kind).save(tmp_path / "a.png")
    expected = np.asarray(GREY.convert(kind).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert np.array_equal(read_frame(tmp_path / "a.png", SIDE), expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((100, 100, 100, 255), (32, 0, 64, 64))
    image.convert(mode).save(tmp_path / "a.png", **({"transparency": 0} if mode == "P" else {}))
    brightness = seen(tmp_path / "a.png")
    right = brightness[:, 10:].mean()
    assert 90 < right < 110
    assert brightness[:, :6].mean() == 255


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert abs(seen(tmp_path / "a.png").mean() - 127) < NEAR


def test_the_first_of_several_pages_is_read(tmp_path: Path) -> None:
    for name in ("a.tiff", "a.gif"):
        GREY.save(tmp_path / name, save_all=True, append_images=[Image.new("L", (64, 64), 0)])
        assert np.abs(seen(tmp_path / name) - of_ramp()).max() < NEAR


@pytest.mark.parametrize("array", [RAMP.astype(np.float32) / 255, (RAMP * 2**22).astype(np.int32)], ids=["F", "I"])
def test_numbers_without_a_stated_range_are_refused(tmp_path: Path, array: NDArray[np.generic]) -> None:
    Image.fromarray(array).save(tmp_path / "a.tiff")
    assert read_frame(tmp_path / "a.tiff", SIDE) is None


# Which way up


def oriented(folder: Path, orientation: int, ending: str) -> Path:
    """A picture that is dark above left, and light elsewhere, saved so that it is shown with this orientation."""
    pixels = np.full((64, 48, 3), 230, dtype=np.uint8)
    pixels[:32, :24] = 20
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file = folder / f"{orientation}{ending}"
    Image.fromarray(pixels).save(file, exif=exif)
    return file


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (0, -1)), (3, (-1, -1)), (4, (-1, 0)), (5, (0, 0)), (6, (0, -1)), (7, (-1, -1)), (8, (-1, 0))],
)
def test_all_eight_orientations_are_applied(
    tmp_path: Path, orientation: int, corner: tuple[int, int], ending: str
) -> None:
    file = oriented(tmp_path, orientation, ending)
    brightness = seen(file)
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    assert [place for place in corners if brightness[place] < 100] == [corner]
    with Image.open(file) as image:
        upright = image.size if ending == ".tiff" or orientation < 5 else image.size[::-1]
    box = read_frame(file, SIDE, np.array([0.0, 0.0, *upright]))  # boxes are those of the upright picture
    assert box is not None
    assert [place for place in corners if box[place].mean() < 100] == [corner]


def test_orientation_is_part_of_what_is_the_same(tmp_path: Path) -> None:
    first, turned = (read_frame(oriented(tmp_path, orientation, ".png"), SIDE) for orientation in (1, 3))
    assert first is not None
    assert turned is not None
    assert content_hash(first) != content_hash(turned)
    assert content_hash(first) == content_hash(np.ascontiguousarray(turned[::-1, ::-1]))


def test_a_damaged_exif_block_is_no_part_of_the_picture(tmp_path: Path) -> None:
    GREY.save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff damaged")
    assert np.abs(seen(tmp_path / "a.jpg") - of_ramp()).max() < NEAR


# What cannot be read


def bmp_of(width: int, height: int) -> bytes:
    return (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + b"x" * 99
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_a_damaged_header_and_a_pipe_are_no_picture(tmp_path: Path) -> None:
    Image.new("L", (14_000, 13_500), 128).save(tmp_path / "bomb.png")
    (tmp_path / "header.bmp").write_bytes(bmp_of(60_000, 60_000))
    (tmp_path / "text.jpg").write_text("<html>404</html>")
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("bomb.png", "header.bmp", "text.jpg", "empty.jpg", "pipe.jpg", "folder.jpg", "absent.jpg"):
        assert read_frame(tmp_path / name, SIDE) is None, name
