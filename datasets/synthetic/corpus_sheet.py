"""A contact sheet of a corpus: a row of samples a class, then tracks from their first frame to their last.

Run `python -m ferbench.datasets.synthetic.corpus_sheet NAME FOLDER PICTURE.png` on a copy or a twin of a data set.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ferbench.datasets.corpus import Corpus
from ferbench.datasets.decoding import faces

_COLUMNS = 12
_SIDE = 78
_SIZE = 64


def corpus_sheet(corpus: Corpus, picture: Path, tracks: int = 3) -> None:
    """Writes a PNG with the face of each sample as the frame store would hold it; a missing frame stays grey."""
    rows = [(name, _of_class(corpus, code)) for code, name in enumerate(corpus.classes)]
    longest = np.argsort(-np.diff(corpus.track_start), kind="stable")[:tracks]
    if np.diff(corpus.track_start)[longest].max() > 1:
        rows += [(f"track {n}", _of_track(corpus, int(t))) for n, t in enumerate(sorted(longest), start=1)]
    sheet = Image.new("RGB", (_SIDE + _COLUMNS * _SIZE, len(rows) * _SIZE), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (title, frames) in enumerate(rows):
        pen.text((4, row * _SIZE + _SIZE // 2 - 6), title, fill="black")
        boxes = None if corpus.boxes is None else corpus.boxes[frames]
        for column, face in faces(corpus.root, [corpus.frames[i] for i in frames], boxes, _SIZE):
            found = Image.new("RGB", (_SIZE, _SIZE), "grey") if face is None else Image.fromarray(face)
            sheet.paste(found, (_SIDE + column * _SIZE, row * _SIZE))
    picture.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(128).save(picture, optimize=True)


def _of_class(corpus: Corpus, code: int) -> list[int]:
    """Last frames of samples of a class, spread evenly over the corpus."""
    samples = np.flatnonzero(corpus.label == code)
    chosen = samples[np.linspace(0, len(samples) - 1, min(_COLUMNS, len(samples))).astype(int)]
    return [int(i) for i in corpus.stop[chosen] - 1]


def _of_track(corpus: Corpus, track: int) -> list[int]:
    """Frames of a track, spread evenly over it."""
    first, stop = corpus.track_start[track], corpus.track_start[track + 1]
    return [int(i) for i in np.linspace(first, stop - 1, min(_COLUMNS, int(stop - first)))]


if __name__ == "__main__":
    name, folder, out = sys.argv[1:]
    data_set = import_module(f"ferbench.datasets.{name}").DATASET
    corpus_sheet(data_set.read(Path(folder), data_set.protocol), Path(out))
