"""Faces: found on rendered people pasted into scenes, joined over time, cut out level."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ferbench.datasets.corpus import DataError
from ferbench.datasets.faces import detector as detector_module
from ferbench.datasets.faces.crops import Crop, crop_of, smoothed, whole
from ferbench.datasets.faces.detector import Detector, Face, _turned_back
from ferbench.datasets.faces.tracks import FEWEST, GAP, joined, overlap

Pixels = NDArray[np.uint8]


def drawn_face(side: int = 200) -> Pixels:
    """A face of a few shapes, which the detector takes for one."""
    image = Image.new("RGB", (side, side), (90, 110, 130))
    draw = ImageDraw.Draw(image)
    s = side / 200

    def oval(x: float, y: float, w: float, h: float, colour: tuple[int, int, int]) -> None:
        draw.ellipse(((x - w) * s, (y - h) * s, (x + w) * s, (y + h) * s), fill=colour)

    oval(100, 88, 70, 84, (60, 40, 30))
    oval(100, 104, 58, 76, (224, 180, 150))
    for x in (76, 124):
        oval(x, 90, 13, 7, (250, 250, 250))
        oval(x, 90, 6, 6, (50, 35, 30))
        draw.line(((x - 15) * s, 72 * s, (x + 15) * s, 72 * s), fill=(60, 40, 30), width=max(1, round(5 * s)))
    draw.polygon([(100 * s, 95 * s), (90 * s, 124 * s), (110 * s, 124 * s)], fill=(200, 150, 125))
    oval(100, 146, 24, 7, (170, 70, 75))
    return np.asarray(image)


def scene(*placed: tuple[int, int, int], width: int = 480, height: int = 360) -> Pixels:
    """A grey scene with faces at (x, y, side)."""
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), 120) + rng.normal(0, 4, (height, width, 1))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for x, y, side in placed:
        picture[y : y + side, x : x + side] = drawn_face(side)
    return picture


@pytest.mark.parametrize("side", [60, 120, 240])
def test_a_face_is_found_where_it_is(finder: Detector, side: int) -> None:
    (face,) = finder.find(scene((100, 70, side)))
    x, y, width, height = face.box
    assert abs(x + width / 2 - (100 + side / 2)) < 0.15 * side
    assert abs(y + height / 2 - (70 + 0.55 * side)) < 0.2 * side
    left, right, nose, *mouth = face.points
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)


def test_several_are_found_the_largest_first(finder: Detector) -> None:
    found = finder.find(scene((20, 40, 90), (200, 100, 200)))
    assert len(found) == 2
    assert found[0].side > found[1].side


@pytest.mark.parametrize("picture", [
    np.zeros((40, 40, 3), np.uint8), np.zeros((5, 300, 3), np.uint8), np.zeros((1, 1, 3), np.uint8),
    np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8),
])  # fmt: skip
def test_where_there_is_none_none_is_found(finder: Detector, picture: Pixels) -> None:
    assert finder.find(picture, turned=True) == []


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_picture_that_lies_on_its_side_is_turned(finder: Detector, quarters: int) -> None:
    upright = scene((150, 100, 160))
    turned = np.ascontiguousarray(np.rot90(upright, quarters))
    (found,) = finder.find(turned, turned=True)
    off = (crop_of(found).angle + quarters * math.pi / 2 + math.pi) % (2 * math.pi) - math.pi
    assert abs(off) < 0.2  # the eyes' line is that of the picture
    ((x, y),) = Face((0, 0, 1, 1), found.points.mean(axis=0, keepdims=True), 1).points
    middle = {1: (190, 480 - 230), 2: (480 - 230, 360 - 190), 3: (360 - 190, 230)}[quarters]
    assert math.hypot(x - middle[0], y - middle[1]) < 30


def test_a_large_picture_is_looked_at_smaller(finder: Detector) -> None:
    large = np.asarray(Image.fromarray(scene((100, 70, 200))).resize((2880, 2160), Image.Resampling.BICUBIC))
    (face,) = finder.find(large)
    assert abs(face.box[0] + face.box[2] / 2 - 1200) < 150


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_boxes_and_points_are_turned_back(quarters: int) -> None:
    picture = np.zeros((60, 100), dtype=int)
    picture[20, 70] = 1  # y, x
    y, x = np.argwhere(np.rot90(picture, quarters))[0]
    points = np.tile([[x + 0.5, y + 0.5]], (5, 1)).astype(float)
    back = _turned_back(Face((float(x), float(y), 1.0, 1.0), points, 1.0), quarters, 100, 60)
    assert back.box == (70, 20, 1, 1)
    assert back.points[0].tolist() == [70.5, 20.5]


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(detector_module, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install 'ferbench\[faces\]', or --faces whole"):
        Detector()


# Crops


def face(x: float, y: float, side: float = 40, angle: float = 0.0) -> Face:
    eyes = np.array([[-0.2, -0.1], [0.2, -0.1], [0, 0.1], [-0.15, 0.3], [0.15, 0.3]]) * side
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return Face((x - side / 2, y - side / 2, side, side), eyes @ turn + (x, y), 0.99)


def test_a_crop_is_what_lies_there() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    assert np.array_equal(Crop(50, 40, 32, 0.0).of(picture, 32), picture[24:56, 34:66])
    turned = Crop(50, 40, 32, math.pi).of(picture, 32).astype(int)
    assert np.abs(turned - picture[24:56, 34:66][::-1, ::-1]).max() <= 1
    square = whole(picture)
    assert (square.x, square.y, square.side) == (50, 40, 80)


def test_beyond_the_picture_its_edge_is_repeated() -> None:
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 0] = 200
    assert (Crop(0, 20, 20, 0.0).of(picture, 20)[:, :9] == 200).all()


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.0, math.pi])
def test_the_eyes_of_a_crop_are_level(angle: float) -> None:
    assert crop_of(face(50, 50, angle=angle)).angle == pytest.approx(angle, abs=1e-9)


def test_a_crop_does_not_tremble() -> None:
    rng = np.random.default_rng(0)
    times = [i / 8 for i in range(40)]
    crops = [Crop(100 + rng.normal(0, 2), 50, 60 + rng.normal(0, 2), rng.normal(0, 0.05)) for _ in times]
    found = smoothed(crops, times)
    for name in ("x", "side", "angle"):
        before, after = (np.std(np.diff([getattr(c, name) for c in each])) for each in (crops, found))
        assert after < 0.5 * before
    turned = [replace(crop, angle=math.pi + (0.05 if i % 2 else -0.05)) for i, crop in enumerate(crops)]
    assert all(abs(abs(crop.angle) - math.pi) < 0.06 for crop in smoothed(turned, times))


# Tracks


def moving(times: list[float], *starts: tuple[float, float]) -> list[tuple[float, list[Face]]]:
    return [(t, [face(x + 20 * t, y) for x, y in starts]) for t in times]


def test_two_people_stay_apart_whatever_their_order() -> None:
    frames = moving([i / 8 for i in range(16)], (50, 50), (200, 50))
    mixed = [(t, faces[:: -1 if i % 2 else 1]) for i, (t, faces) in enumerate(frames)]
    tracks = joined(mixed)
    assert [track.number for track in tracks] == [1, 2]
    for track in tracks:
        assert len(track.faces) == 16
        assert np.ptp([f.box[0] for f in track.faces]) < 45


def test_a_short_gap_is_survived_and_a_long_one_is_not() -> None:
    early, late = [i / 8 for i in range(8)], [1.6 + i / 8 for i in range(8)]
    still = [(t, [face(50, 50)]) for t in early]
    assert len(joined([*still, *((t, [face(50, 50)]) for t in late)])) == 1
    assert len(joined([*still, *((t + GAP, [face(50, 50)]) for t in late)])) == 2


def test_what_is_seen_for_a_moment_is_no_track() -> None:
    frames = moving([i / 8 for i in range(10)], (50, 50))
    frames[4][1].append(face(300, 300))
    assert len(joined(frames)) == 1
    assert joined(moving([0.0, 0.1], (50, 50))) == []
    assert FEWEST == 3


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(face(50, 50), face(50, 50)) == 1
    assert overlap(face(50, 50), face(70, 50)) == pytest.approx(1 / 3)
    assert overlap(face(50, 50), face(90, 50)) == 0
