"""Copies of a picture are found in every form that a person would recognise; what merely looks alike is not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from ferbench.datasets.affectnet_small import DATASET
from ferbench.datasets.decoding import face_of
from ferbench.datasets.leaks import SIDE, find_copies
from ferbench.datasets.synthetic.writer import write_film

Change = Callable[[Image.Image], Image.Image]
COPIED = 60


def encoded(image: Image.Image, quality: int = 70) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    )


CHANGES: dict[str, Change] = {
    "re-encoded": encoded,
    "half size": lambda image: image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned left": lambda image: image.rotate(5, Image.Resampling.BILINEAR),
    "turned right": lambda image: image.rotate(-5, Image.Resampling.BILINEAR),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "cropped all round": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    "cropped at a corner": lambda image: cropped(image, 0.05, 0.05, 0, 0),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "mirrored, turned and re-encoded": lambda image: encoded(
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(4, Image.Resampling.BILINEAR)
    ),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    """Rendered faces, each of another person."""
    root = tmp_path_factory.mktemp("faces") / "twin"
    write_film(DATASET.film(0.012, 3, DATASET.protocol, DATASET.layouts[0]), root)
    return [Image.open(file).convert("RGB") for file in sorted(Path(root).rglob("*.jpg"))]


def faces_of(pictures: list[Image.Image]) -> NDArray[np.uint8]:
    faces = [face_of(picture, SIDE, None) for picture in pictures]
    assert all(face is not None for face in faces)
    return np.stack([face for face in faces if face is not None])


@pytest.fixture(scope="module")
def faces(pictures: list[Image.Image]) -> NDArray[np.uint8]:
    return faces_of(pictures)


def test_different_faces_are_no_copies(faces: NDArray[np.uint8]) -> None:
    assert len(faces) > 300
    assert len(find_copies(faces, np.arange(len(faces)))) == 0


@pytest.mark.parametrize("name", CHANGES)
def test_a_copy_is_found_in_this_form(pictures: list[Image.Image], faces: NDArray[np.uint8], name: str) -> None:
    copies = faces_of([CHANGES[name](picture) for picture in pictures[:COPIED]])
    count = len(faces)
    found = find_copies(np.concatenate([faces, copies]), np.arange(count + COPIED), threads=2)
    expected = {(i, count + i) for i in range(COPIED)}
    pairs = {(i, j) for i, j in found.frames.tolist()}
    assert len(pairs & expected) >= 0.99 * COPIED
    assert pairs <= expected
    assert (found.agreement > 0.9).all()


def test_few_pictures_are_enough(pictures: list[Image.Image]) -> None:
    few = pictures[:4]
    both = faces_of([*few, *(CHANGES["mirrored"](picture) for picture in few)])
    assert find_copies(both, np.arange(8)).frames.tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert len(find_copies(both[:1], np.arange(1))) == 0
    assert len(find_copies(both[:0], np.arange(0))) == 0


def test_faces_of_one_group_are_not_compared(pictures: list[Image.Image]) -> None:
    both = faces_of([*pictures[:3], *pictures[:3]])
    assert find_copies(both, np.array([0, 1, 2, 0, 1, 5])).frames.tolist() == [[2, 5]]


def test_only_those_that_ask_are_compared_with_all(pictures: list[Image.Image]) -> None:
    both = faces_of([*pictures[:3], *pictures[:3], *pictures[:1]])
    asking = np.array([False, False, False, False, True, False, True])
    found = find_copies(both, np.arange(7), asking=asking)
    assert found.frames.tolist() == [[0, 6], [1, 4], [3, 6]]


def test_pictures_that_show_nothing_are_no_copies(faces: NDArray[np.uint8]) -> None:
    blank = np.full((2, SIDE, SIDE, 3), 128, dtype=np.uint8)
    assert len(find_copies(np.concatenate([faces[:5], blank]), np.arange(7))) == 0


def test_the_threads_of_torch_are_left_as_they_were(faces: NDArray[np.uint8]) -> None:
    before = torch.get_num_threads()
    find_copies(faces[:10], np.arange(10), threads=3)
    assert torch.get_num_threads() == before
