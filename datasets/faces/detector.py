"""MTCNN: faces and five points of each, from coarse to fine by three small networks.

Zhang, Zhang, Li, Qiao: "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks", IEEE
Signal Processing Letters 23(10), 2016. The networks are those that the package mtcnn-runtime carries (Apache-2.0); they
are read from its folder and run by onnxruntime, and nothing of it is imported.

The first network looks at every place of a pyramid of the picture for faces of 12 pixels, the second and the third at
what is left, cut out at 24 and 48 pixels; each of them says how likely a face is there and by how much the box is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.ops import nms

from ferbench.datasets.corpus import DataError

Array = NDArray[np.float64]

SMALLEST = 32
"""Pixels of a face's side below which it is not looked for."""
LONGEST = 1280
"""Pixels of a picture's longer side above which it is made smaller first."""
LIKELY = (0.6, 0.7, 0.8)
"""How likely a face must be for each network to keep it."""
FACTOR = 0.709
"""From one level of the pyramid to the next: half the area."""
CELL, STRIDE = 12, 2
"""Pixels that the first network sees at a place, and between two places."""
INSTALL = "pip install 'ferbench[faces]'"


@dataclass(frozen=True)
class Face:
    """A face in a picture."""

    box: tuple[float, float, float, float]
    """x, y, width and height in pixels."""
    points: Array
    """(5,2) x and y of the eyes, the nose and the corners of the mouth; those on the picture's left first."""
    score: float
    """How likely it is one."""

    @property
    def side(self) -> float:
        """Pixels of the longer side of its box."""
        return max(self.box[2:])


def finder() -> str:
    """What finds the faces, with its version."""
    try:
        return f"MTCNN (mtcnn-runtime {version('mtcnn-runtime')})"
    except PackageNotFoundError:
        return "MTCNN (not installed)"


class Detector:
    """Finds faces. Made once; holds three networks of 2 MB together."""

    def __init__(self) -> None:
        """
        Raises:
            DataError: onnxruntime or the networks are not installed.
        """
        try:
            import onnxruntime
        except ImportError:
            raise DataError(f"no faces can be found without onnxruntime: {INSTALL}, or --faces whole") from None
        spec = find_spec("mtcnnruntime")
        folder = Path(next(iter(spec.submodule_search_locations or [""]))) / "weights" if spec else Path()
        if not (folder / "pnet.onnx").is_file():
            raise DataError(f"no faces can be found without the networks of mtcnn-runtime: {INSTALL}, or --faces whole")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self.networks = [
            onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in ("pnet", "rnet", "onet")
        ]

    def find(self, picture: NDArray[np.uint8], turned: bool = False) -> list[Face]:
        """The faces in a picture (H,W,3) RGB, the largest first.

        turned: whether, where none is upright, it is looked for in the picture turned by quarters.
        """
        shrunk = min(1.0, LONGEST / max(picture.shape[:2]))
        image = Image.fromarray(picture)
        if shrunk < 1:
            image = image.resize((round(image.width * shrunk), round(image.height * shrunk)), Image.Resampling.BILINEAR)
        seen = np.asarray(image)
        for quarters in range(4 if turned else 1):
            if found := self._upright(np.ascontiguousarray(np.rot90(seen, quarters))):
                height, width = seen.shape[:2]
                back = [_turned_back(face, quarters, width, height) for face in found]
                return sorted((_scaled(face, 1 / shrunk) for face in back), key=lambda face: -face.side)
        return []

    def _upright(self, picture: NDArray[np.uint8]) -> list[Face]:
        boxes, scores = self._first(picture)
        if not len(boxes):
            return []
        offsets, likely = self._run(1, _cut(picture, boxes, 24))
        boxes, scores = _kept(boxes, offsets, likely[:, 1], LIKELY[1], 0.7)
        if not len(boxes):
            return []
        points, offsets, likely = self._run(2, _cut(picture, boxes, 48))
        keep = likely[:, 1] > LIKELY[2]
        boxes, points, offsets, scores = boxes[keep], points[keep], offsets[keep], likely[keep, 1]
        corner, size = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
        places = corner[:, None] + size[:, None] * points.reshape(-1, 2, 5).transpose(0, 2, 1)
        boxes = boxes + offsets * np.tile(size, 2)
        rows = _apart(boxes, scores, 0.4)
        return [
            Face((boxes[i, 0], boxes[i, 1], boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1]), places[i], scores[i])
            for i in rows
        ]

    def _first(self, picture: NDArray[np.uint8]) -> tuple[Array, Array]:
        """Boxes (N,4) as corners, square, and how likely each is a face."""
        image, found, scores = Image.fromarray(picture), [], []
        scale = CELL / SMALLEST
        while min(picture.shape[:2]) * scale >= CELL:
            width, height = (int(np.ceil(side * scale)) for side in image.size)
            level = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))[None]
            offsets, likely = self._run(0, level)
            row, column = np.nonzero(likely[0, 1] > LIKELY[0])
            corner = np.stack([column, row], axis=1) * STRIDE / scale
            boxes = np.concatenate([corner, corner + CELL / scale], axis=1)
            boxes = boxes + offsets[0][:, row, column].T * (CELL / scale)
            own = likely[0, 1, row, column]
            kept = _apart(boxes, own, 0.5)
            found.append(boxes[kept])
            scores.append(own[kept])
            scale *= FACTOR
        if not found:
            return np.empty((0, 4)), np.empty(0)
        boxes, likely = np.concatenate(found), np.concatenate(scores)
        kept = _apart(boxes, likely, 0.7)
        return _square(boxes[kept]), likely[kept]

    def _run(self, network: int, pictures: NDArray[np.uint8]) -> list[Any]:
        """The answers to pictures (B,H,W,3)."""
        x = ((pictures.astype(np.float32) - 127.5) / 128).transpose(0, 3, 1, 2)
        session = self.networks[network]
        return [np.asarray(each, dtype=np.float64) for each in session.run(None, {"input": np.ascontiguousarray(x)})]


def _kept(boxes: Array, offsets: Array, likely: Array, least: float, overlap: float) -> tuple[Array, Array]:
    keep = likely > least
    boxes = boxes[keep] + offsets[keep] * np.tile(boxes[keep, 2:] - boxes[keep, :2], 2)
    rows = _apart(boxes, likely[keep], overlap)
    return _square(boxes[rows]), likely[keep][rows]


def _apart(boxes: Array, scores: Array, overlap: float) -> NDArray[np.int64]:
    """Rows of the boxes that no likelier one overlaps by more."""
    if not len(boxes):
        return np.empty(0, dtype=np.int64)
    return np.asarray(nms(torch.from_numpy(boxes), torch.from_numpy(scores), overlap).numpy())


def _square(boxes: Array) -> Array:
    """Boxes around the same middles, as wide as they are high."""
    middle, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    return np.concatenate([middle - side / 2, middle + side / 2], axis=1)


def _cut(picture: NDArray[np.uint8], boxes: Array, size: int) -> NDArray[np.uint8]:
    """(N,size,size,3): what the boxes enclose; black beyond the picture."""
    image = Image.fromarray(picture)
    corners = np.round(boxes).astype(int)
    corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
    cut = (image.crop(tuple(each)).resize((size, size), Image.Resampling.BILINEAR) for each in corners.tolist())
    return np.stack([np.asarray(each) for each in cut])


def _turned_back(face: Face, quarters: int, width: int, height: int) -> Face:
    """A face of a picture that was turned by quarters (counter-clockwise), in the picture as it was."""
    points, (x, y, w, h) = face.points, face.box
    for turn in range(quarters, 0, -1):
        across = height if (turn - 1) % 2 else width  # width of the picture before this turn
        points = np.stack([across - points[:, 1], points[:, 0]], axis=1)
        x, y, w, h = across - (y + h), x, h, w
    return Face((x, y, w, h), points, face.score)


def _scaled(face: Face, factor: float) -> Face:
    x, y, width, height = (float(each * factor) for each in face.box)
    return Face((x, y, width, height), face.points * factor, float(face.score))
