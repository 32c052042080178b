"""`weights`: the trained model of a cell as a file, for use elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ferbench.benchmark.board.find import find_row
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.installation import PROGRAM
from ferbench.benchmark.records.record import WEIGHTS

if TYPE_CHECKING:
    from ferbench.benchmark.learning.kept import Kept

FORMATS = ("safetensors", "onnx")


def weights_of(results: Path, name: str) -> Path:
    """The kept weights that are meant: a file, or those of a cell (of several the first seed and fold).

    Raises:
        RequestError: there is no such cell, or its weights were not kept; says how to get them.
    """
    if Path(name).suffix == ".safetensors":
        if not Path(name).is_file():
            raise RequestError(f"{name}: no such file of weights")
        return Path(name)
    row = find_row(results, name)
    found = [record.path / WEIGHTS for record in row.finished if (record.path / WEIGHTS).is_file()]
    if not found:
        if row.kind != "architecture":
            raise RequestError(f"{name}: {row.title} is trained on nothing of its own: name an architecture")
        again = " ".join([PROGRAM, "run", *map(str, row.finished[0].data["asked"]), "--keep", "all"])
        raise RequestError(f"{name}: its weights were not kept: run it again with {again}")
    return min(found)


def hand_out(results: Path, name: str, out: Path, kind: str, batch: int) -> str:
    """Writes the weights of a cell, and returns what there is to say of them.

    batch: of an ONNX file; 0: any.

    Raises:
        RequestError: the request is wrong; the weights are damaged; the model cannot be exported, and why.
    """
    if kind not in FORMATS:
        raise RequestError(f"unknown format {kind!r}: use {' or '.join(FORMATS)}")
    file = weights_of(results, name)
    from ferbench.benchmark.learning.kept import read_kept

    kept = read_kept(file)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if kind == "onnx":
            return _exported(kept, out, batch)
        with drafted(out) as draft:
            shutil.copyfile(file, draft)
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror or error}") from None
    return f"{out}: {_said(kept)}"


def _said(kept: Kept) -> str:
    about = kept.about
    return (
        f"{kept.architecture.title} ({about.size}) trained on {about.dataset}, {len(about.classes)} classes, "
        f"score {about.score:.3f}"
    )


def _exported(kept: Kept, out: Path, batch: int) -> str:
    from ferbench.benchmark.learning.exporting import as_onnx, card_of

    difference, took = as_onnx(kept, out, batch)
    card = out.with_suffix(".yaml")
    with drafted(card) as draft:
        draft.write_text(card_of(kept), encoding="utf-8")
    return (
        f"{out}: {_said(kept)}; {took} batch; answers differ from torch's by at most {difference:.1e} on 64 random "
        f"inputs; {card} says what it takes, for `evaluate`"
    )
