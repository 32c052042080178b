"""Whether a model looks where the face moves: measured on twins, where that is known.

For the last frame of test samples the share of relevance that lies on the pixels that the expression moves, against two
that know nothing: the share of the picture that they are (chance), and the share that a bell in the middle of the
picture has on them (faces are in the middle). And the sanity check: with weights drawn anew the maps must be others.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.explaining.relevance import randomised, relevance_of
from ferbench.benchmark.learning.kept import Kept
from ferbench.benchmark.planning.data import Location, Report, open_data
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Cell
from ferbench.benchmark.records.explained import Explained
from ferbench.datasets.splits import split
from ferbench.datasets.synthetic.film import Shot
from ferbench.datasets.synthetic.regions import LEAST, moved_regions
from ferbench.datasets.views import instances

SAMPLES = 40
"""Test samples that are looked at, spread evenly."""
MIDDLE = 0.25
"""Deviation of the bell, as a share of the picture's side."""
DRAWS = 2_000
"""Of the samples, for the interval."""


def localisation(kept: Kept, key: str, cell: Cell, location: Location, report: Report) -> Explained:
    """Measures a model on the test part of the twin of its cell, which has this key.

    Raises:
        RequestError: the data are no twin of this project, or none of their pictures shows an expression.
    """
    if location.own_twin is None:
        raise RequestError(f"{location.name}: where faces move is known of twins alone")
    corpus, store = open_data(location, kept.size.image_size, report)
    parts = split(corpus, cell.protocol, cell.fold, store.content)
    tested = parts.test[np.linspace(0, len(parts.test) - 1, min(SAMPLES, len(parts.test))).astype(int)]
    view = kept.architecture.view
    inputs = instances(view, corpus, cell.protocol, np.unique(tested), kept.size.frames, parts.train)
    regions = _regions(cell, location, [corpus.frames[f] for f in inputs.frames[:, -1].tolist()], kept.size.image_size)
    random = randomised(copy.deepcopy(kept.model)).eval()
    found = defaultdict(list)
    for row, region in regions.items():
        report(f"{location.name} / {kept.about.architecture}: explaining input {row + 1}/{len(inputs)}")
        frames = store.read(inputs.frames[row])
        own = relevance_of(kept.model, view, frames)
        last, others = own.maps[-1], relevance_of(random, view, frames, own.answer).maps[-1]
        if last.sum() > 0:
            found["inside"].append(float(last[region].sum() / last.sum()))
            found["chance"].append(float(region.mean()))
            found["middle"].append(float(_bell(len(region))[region].sum()))
            found["alike"].append(_correlation(last, others))
        method = own.method
    if not found:
        raise RequestError(f"{location.name}: no test picture of it shows an expression")
    return Explained(
        key=key,
        method=method,
        samples=len(found["inside"]),
        times_chance=_interval(np.array(found["inside"]), np.array(found["chance"])),
        **{name: fmean(values) for name, values in found.items()},
    )


def _interval(inside: NDArray[np.float64], chance: NDArray[np.float64]) -> tuple[float, float]:
    """95% of the ratio of two means, samples drawn with replacement."""
    drawn = np.random.default_rng(0).integers(len(inside), size=(DRAWS, len(inside)))
    low, high = np.quantile(inside[drawn].mean(axis=1) / chance[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def _regions(cell: Cell, location: Location, files: list[str], size: int) -> dict[int, NDArray[np.bool_]]:
    """The pixels that move in these files, by their place; of a picture that shows no expression there are none."""
    data_set, twin = data_sets.get(cell.dataset), location.own_twin
    assert twin is not None
    of_test = {} if twin.test_scale is None else {"test_scale": twin.test_scale}
    film = data_set.film(twin.scale, twin.seed, cell.protocol, data_set.layouts[0], **of_test)
    place = {file: (shot, t) for shot in film.shots for t, file in enumerate(shot.files)}
    kinds: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    shots: dict[int, tuple[Shot, int]] = {}
    for row, file in enumerate(files):
        if file in place and place[file][0].margin == (0, 0):
            shots[row] = place[file]
            shot = place[file][0]
            kinds[shot.style, shot.modality, shot.light].append(row)
    found: dict[int, NDArray[np.bool_]] = {}
    for rows in kinds.values():
        regions = zip(rows, moved_regions([shots[row] for row in rows], size), strict=True)
        found |= {row: region for row, region in regions if region.mean() > LEAST}
    return dict(sorted(found.items()))


def _bell(side: int) -> NDArray[np.float64]:
    """(S,S) a bell in the middle, 1 in sum."""
    along = (np.arange(side) + 0.5) / side - 0.5
    bell = np.exp(-(along[:, None] ** 2 + along**2) / (2 * MIDDLE**2))
    return np.asarray(bell / bell.sum())


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Of two maps, pixel by pixel; 0 where one of them is flat."""
    if one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
