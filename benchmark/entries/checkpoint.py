"""A registered architecture with a released checkpoint as a predictor."""

from __future__ import annotations

from pathlib import Path

import torch

from ferbench.benchmark.entries.cards import Card
from ferbench.benchmark.entries.predictors import Predictor
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.measures.efficiency import count_parameters, known_macs
from ferbench.benchmark.planning.registry import architectures


def checkpoint_predictor(name: str, file: Path, size: str, card: Card | None, device: torch.device) -> Predictor:
    """An architecture with all weights of a file; where the card names no classes, those of the data set are taken.

    Raises:
        RequestError: no such architecture or size; the file does not fit, or has other classes than the card.
    """
    from ferbench.models.official_files import WeightsError, sha256_of
    from ferbench.models.released import load_released

    architecture = architectures.get(name)
    if size not in architecture.sizes:
        raise RequestError(f"{name} has no size {size}: use {', '.join(architecture.sizes)}")
    own = architecture.sizes[size]
    try:
        digest = sha256_of(file)
        model, count, said = load_released(architecture, size, file)
    except WeightsError as error:
        raise RequestError(str(error)) from None
    named = card.model.classes if card and card.model else None
    if named is not None and len(named) != count:
        raise RequestError(f"{file}: it has {count} classes, and the card names {len(named)}: correct model.classes")
    notes = (
        f"{said} (file sha256 {digest[:8]})",
        *(() if named else ("no card says the order of its classes: taken as the data set's",)),
    )
    return Predictor(
        model=folded(model.eval()),
        file=file,
        classes=tuple(named) if named else None,
        outputs=count,
        view=architecture.view,
        frames=own.frames,
        image_size=own.image_size,
        digest=digest,
        precision=own.precision_on(device.type),
        channels_last=own.channels_last,
        params=count_parameters(model),
        macs=known_macs(model, architecture.input_shape(size)),
        notes=notes,
    )
