"""JAFFE: ten Japanese women, seven posed expressions, 213 grey pictures.

Lyons, Akamatsu, Kamachi, Gyoba: "Coding Facial Expressions with Gabor Wavelets", 1998 (zenodo.org/records/14974867).
Layout as released, in the root or in `jaffe/` or `jaffedbase/`:

    KA.AN1.39.tiff      subject, expression and take, running number (1 to 219; six are missing)

Protocol: ten folds, each leaves one subject out; a random division would test on the people that were trained on.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ferbench.datasets.corpus import Corpus, DataError
from ferbench.datasets.dataset import DataSet, Protocol
from ferbench.datasets.integrity import Skipped
from ferbench.datasets.items import Item, corpus_of
from ferbench.datasets.spelling import files_in
from ferbench.datasets.streams import number_of
from ferbench.datasets.synthetic.film import Film
from ferbench.datasets.synthetic.takes import film_of, mistaken, still

CODES = {
    "AN": "Anger", "DI": "Disgust", "FE": "Fear", "HA": "Happiness", "NE": "Neutral", "SA": "Sadness",
    "SU": "Surprise",
}  # fmt: skip
CLASSES = tuple(CODES.values())
SUBJECTS = ("KA", "KL", "KM", "KR", "MK", "NA", "NM", "TM", "UY", "YM")
PICTURES = 213
TOPS = ("", "jaffe", "jaffedbase")
NAME = re.compile(r"([A-Z]{2})\.([A-Z]{2})(\d)\.(\d+)", re.IGNORECASE)
FOUR_TAKES = (("KA", "HA"), ("KR", "SA"), ("NM", "FE"))
"""Who has a fourth picture of an expression in the twin: there are 213, not 210."""
MISPOSED = 0.08
"""Share of the twin's pictures that show another expression; 60 raters of the original disagree with some labels."""


def read(root: Path, protocol: Protocol) -> Corpus:
    """Opens the pictures.

    Raises:
        DataError: there is none, or more names cannot be understood than chance explains.
    """
    items, skipped = [], Skipped("pictures")
    for top in TOPS:
        for name, stem, ending in sorted(files_in(root / top, root)) if (root / top).is_dir() else ():
            if ending not in (".tiff", ".tif", ".png", ".jpg"):
                continue
            match = NAME.fullmatch(stem)
            if match is None or match[2].upper() not in CODES:
                skipped.add(f"{root / top / name}: no name of a picture of JAFFE, such as KA.AN1.39.tiff: rename it")
                continue
            label = CLASSES.index(CODES[match[2].upper()])
            items.append(Item(stem, label, (f"{top}/{name}".lstrip("/"),), subject=match[1].upper()))
        if items:
            break
    if not items:
        raise DataError(f"{root}: no pictures of JAFFE: expected KA.AN1.39.tiff and 212 more")
    return corpus_of("jaffe", root, CLASSES, items, skipped.notes(len(items), root))


def film(scale: float, seed: int, protocol: Protocol, layout: str) -> Film:
    """The twin: ten women at any scale, each expression three times at scale 1 (at least once), in one room."""
    shots, number = [], 0
    for subject in SUBJECTS:
        person = number_of("twin", "jaffe", seed, subject)
        for code, emotion in CODES.items():
            takes = 3 if scale >= 1 else max(1, round(3 * scale))
            takes += scale >= 1 and (subject, code) in FOUR_TAKES
            for take in range(1, takes + 1):
                number += 1
                names = ("jaffe", seed, subject, code, take)
                rng = np.random.default_rng(number_of("performance", *names))
                file = f"{subject}.{code}{take}.{number}.tiff"
                shown = mistaken(emotion, CLASSES, MISPOSED, rng)
                shots.append(still(names, shown, file, rng, person, style="lab", strength=(0.5, 0.9), grey=True))
    return film_of("jaffe", scale, seed, shots, image_size=128)


DATASET = DataSet(
    name="jaffe",
    title="JAFFE",
    source="Lyons et al., 1998; zenodo.org/records/14974867",
    licence="non-commercial research only",
    classes=CLASSES,
    protocol=Protocol(folds=10, image_frames=1, neutral="training_neutral"),
    official_counts={"subjects": len(SUBJECTS), "samples": PICTURES},
    marks=("*.tiff", "jaffe", "jaffedbase"),
    layouts=("tiff",),
    optional=True,
    field_measures=True,
    read=read,
    film=film,
)
