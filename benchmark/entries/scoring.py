"""Answers to a test part -> an entry: a record a fold, beside its card, read by the board as those of cells are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.cell import asked_of, counts_of, prediction_table
from ferbench.benchmark.entries.answers import Answers
from ferbench.benchmark.entries.cards import Card
from ferbench.benchmark.entries.order import better_order
from ferbench.benchmark.entries.questions import Question
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.task import metrics_of
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.entries import CARD, ENTRIES, ENTRY, RUN_HERE, SCORED_HERE, SEEN_TEST
from ferbench.benchmark.records.provenance import environment, hash_of
from ferbench.benchmark.records.record import Record, write_record


@dataclass(frozen=True)
class RunHere:
    """How an entry's answers were made on this machine; for its record."""

    cost: dict[str, Any] | None
    timing: dict[str, float]
    environment: dict[str, Any]
    view: str = "entry"
    notes: tuple[str, ...] = ()


def write_entry(
    results: Path, question: Question, answers: Answers, card: Card, digest: str, run: RunHere | None = None
) -> list[Record]:
    """Scores answers and keeps them under `<results>/entries/<dataset>/<name>/`.

    digest: sha256 of the file of answers, or of the weights that made them.
    run: where they were made on this machine.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = results / ENTRIES / question.location.name / card.name
    whose = "others" if card.authors == "unknown" else card.authors
    how = f"weights of {whose}, run here" if run else f"predictions of {whose}, given as {answers.kind}"
    notes = [how, *_notes(question, answers, card), *(run.notes if run else ())]
    found = []
    begin = 0
    for fold, samples in question.samples.items():
        own = slice(begin, begin + len(samples))
        begin += len(samples)
        table = prediction_table(
            question.corpus, samples, _with_wrong(question, samples, answers.scores[own], answers.answered[own])
        )
        data = {
            **_about(question, card, fold, digest, run),
            **asked_of(question.cell.dataset, question.corpus),
            "notes": [*question.corpus.notes, *notes],
            "metrics": metrics_of(table, question.corpus.classes),
            "counts": {
                **counts_of(question.corpus, question.parts[fold], np.zeros(len(question.corpus.frames), dtype=bool)),
                "answered_samples": int(answers.answered[own].sum()),
            },
        }
        place = folder / f"seed0-fold{fold}"
        write_record(place, data, table)
        found.append(Record(place, data))
    with drafted(folder / CARD) as draft:
        draft.write_text(json.dumps(card.model_dump(), indent=1) + "\n", encoding="utf-8")
    return found


def read_kept_card(folder: Path) -> Card:
    """The card of an entry that is kept.

    Raises:
        RequestError: it is not there, or damaged.
    """
    try:
        return Card.model_validate_json((folder / CARD).read_bytes())
    except (OSError, ValueError) as error:
        raise RequestError(f"{folder / CARD}: not a card ({type(error).__name__}): score the entry again") from None


def digest_of_file(file: Path) -> str:
    """sha256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _with_wrong(
    question: Question, samples: NDArray[np.int64], scores: NDArray[np.float64], answered: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Scores with a wrong answer where there is none: the class after the right one."""
    if answered.all() or question.corpus.target is not None:
        return scores
    filled = scores.copy()
    missing = np.flatnonzero(~answered)
    wrong = (question.corpus.label[samples[missing]] + 1) % scores.shape[1]
    filled[missing, wrong] = np.finfo(np.float32).tiny
    return filled


def _notes(question: Question, answers: Answers, card: Card) -> Iterator[str]:
    """What the board must say beside the row."""
    seen = card.seen[question.cell.dataset]
    if answers.coverage < 1:
        yield f"coverage {answers.coverage:.1%}: a missing answer is a wrong one"
    if seen != "none":
        yield f"has seen of this data set: {seen}" + (" (no rank)" if seen == "test" else "")
    if card.views != 1:
        yield f"views at test time: {card.views}"
    if answers.dropped:
        yield f"dropped, and the rest renormalised: {', '.join(answers.dropped)}"
    if question.corpus.target is None:
        every = np.concatenate(list(question.samples.values()))
        own = answers.answered
        order = better_order(
            question.corpus.label[every][own], answers.scores.argmax(axis=1)[own], len(question.corpus.classes)
        )
        if order:
            yield order.in_words(question.corpus.classes)


def _about(question: Question, card: Card, fold: int, digest: str, run: RunHere | None) -> dict[str, Any]:
    """A record but for what is computed."""
    cell, location = question.cell, question.location
    parts = {
        "entry": digest,
        "card": hash_of(sorted(card.model_dump().items())),
        "dataset": location.name,
        "data": location.identity,
        "protocol": hash_of(sorted(cell.protocol.as_dict().items())),
        "seed": 0,
        "fold": fold,
    }
    return {
        "key": hash_of(sorted(parts.items())),
        "key_parts": parts,
        "architecture": card.name,
        "dataset": location.name,
        "folder": data_sets.get(cell.dataset).folder_name,
        "source": location.source,
        "suite": ENTRIES,
        "size": "any",
        "seed": 0,
        "fold": fold,
        "kind": SEEN_TEST if card.seen[cell.dataset] == "test" else ENTRY,
        "tier": RUN_HERE if run else SCORED_HERE,
        "protocol": cell.protocol.as_dict(),
        "asked": [],
        "status": "ok",
        "error": None,
        "classes": list(question.corpus.classes),
        "absent_classes": list(question.corpus.absent_classes),
        "subjects_known": question.corpus.subjects_known,
        "title": card.title,
        "view": run.view if run else "entry",
        "started_from": card.training_data,
        "card": card.model_dump(),
        "recipe": {},
        "history": [],
        "precision": run.environment.get("precision", "unknown") if run else "unknown",
        "cost": run.cost if run else None,
        "timing": run.timing if run else {},
        "environment": {
            "device": None,
            "device_type": "none",
            **({} if run is None else {**run.environment, **environment()}),
            "created": environment()["created"],
        },
    }
