"""A file of answers (CSV, parquet or JSON lines) -> one row of scores a sample, checked; in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from ferbench.benchmark.entries.classes import REGRESSION, matched, meaning
from ferbench.benchmark.entries.questions import GIVEN, SAMPLE, SPLIT
from ferbench.benchmark.errors import RequestError

PREDICTED = "predicted"
LABELS = ("label", "labels", "truth", "target", "ground_truth", "gt", "y_true")
"""Columns that an answer must not have."""
UNREAD = set(GIVEN) - {SPLIT}
"""Columns of a template that may be as long as they like."""
SUM = 1e-3
"""How far probabilities may sum from 1."""
_BATCH = 50_000
_LONGEST = 100_000
"""Characters of the first line."""


class Asked(Protocol):
    """What answers are checked against."""

    @property
    def ids(self) -> list[str]:
        """Names of the samples, in the order of the answers."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What is to be answered."""

    @property
    def is_value(self) -> bool:
        """Whether a value is asked, not a class."""

    @property
    def fingerprint(self) -> str:
        """Of the test part."""

    def hashed(self, name: str) -> str:
        """What may stand for the name of a sample."""


@dataclass(frozen=True)
class FormatOnly:
    """A file by itself, where nobody has the data: its own samples, the official classes."""

    ids: list[str]
    classes: tuple[str, ...]
    fingerprint: str

    @property
    def is_value(self) -> bool:
        return self.classes == (REGRESSION,)

    def hashed(self, name: str) -> str:
        return name


def format_of(file: Path, classes: tuple[str, ...]) -> FormatOnly:
    """What a file of answers claims to be an answer to.

    classes: the official ones; one alone: a value is asked.

    Raises:
        RequestError: it cannot be read, has no names of samples, or answers more than one test part.
    """
    ids: dict[str, None] = {}
    splits: set[str] = set()
    for batch in _batches(file):
        named = _id_column(batch.schema.names)
        if named is None:
            raise RequestError(f"{file}: there is no column {SAMPLE!r} with the names of the samples")
        ids |= dict.fromkeys(map(str, batch.column(named).to_pylist()))
        if SPLIT in batch.schema.names:
            splits |= {str(found) for found in batch.column(SPLIT).unique().to_pylist() if found is not None}
    if len(splits) > 1:
        raise RequestError(f"{file}: it answers more than one test part (split {', '.join(sorted(splits)[:3])})")
    return FormatOnly(list(ids), (REGRESSION,) if len(classes) == 1 else classes, next(iter(splits), ""))


@dataclass(frozen=True)
class Answers:
    """What a file answers to each sample of a question."""

    scores: NDArray[np.float64]
    """(S,C) probabilities, or (S,1) values; a sample without an answer has zeros."""
    answered: NDArray[np.bool_]
    """(S,)."""
    kind: str
    """How they were read: `probabilities`, `percentages`, `logits`, `classes` or `values`."""
    dropped: tuple[str, ...]
    """Columns that the data set has no class for, whose share went to the others."""

    @property
    def coverage(self) -> float:
        """The share of the samples that is answered."""
        return float(self.answered.mean())


def read_answers(file: Path, question: Asked) -> Answers:
    """The answers of a file, in the order of the question's samples, fold after fold.

    Raises:
        RequestError: it cannot be read; a column, a sample or a number that does not belong there. One line.
    """
    first = next(_batches(file), None)
    if first is None or not first.num_columns:
        raise RequestError(f"{file}: it holds no answers: give CSV, .parquet or .jsonl with a line a sample")
    names = first.column_names
    columns, dropped, kind = _columns(names, question, str(file))
    ids = question.ids
    place = {name: i for i, name in enumerate(ids)}

    @cache
    def hashed() -> dict[str, int]:  # a million names take a second
        return {question.hashed(name): i for i, name in enumerate(ids)}

    scores = np.zeros((len(ids), len(columns)))
    answered = np.zeros(len(ids), dtype=np.bool_)
    for batch in _batches(file):
        rows = _places(batch, place, hashed, answered, str(file))
        _refuse_other_split(batch, question, str(file))
        values = _classes(batch, question, str(file)) if kind == "classes" else _numbers(batch, columns, str(file))
        given = np.isfinite(values).any(axis=1)
        wrong = given & ~np.isfinite(values).all(axis=1)
        if wrong.any():
            name = ids[rows[wrong.argmax()]]
            raise RequestError(f"{file}: sample {name!r} has a number that is missing or not finite: correct it, or "
                               "leave the whole row empty")  # fmt: skip
        scores[rows[given]], answered[rows[given]] = values[given], True
    if not answered.any():
        raise RequestError(f"{file}: it answers nothing: fill in one column for each of {', '.join(question.classes)}")
    return _settled(scores, answered, kind, dropped, ids, str(file))


def answers_of(names: Sequence[str], scores: NDArray[np.float64], question: Asked, where: str) -> Answers:
    """Answers that are at hand: one row of scores a sample, in the order of the question's, their columns named.

    Raises:
        RequestError: the columns are not the classes of the question.
    """
    columns, dropped, kind = _columns([SAMPLE, *names], question, where)
    ids = question.ids
    ordered = scores[:, [list(names).index(column) for column in columns]]
    return _settled(ordered, np.ones(len(ids), dtype=np.bool_), kind, dropped, ids, where)


def _settled(
    scores: NDArray[np.float64],
    answered: NDArray[np.bool_],
    kind: str,
    dropped: tuple[str, ...],
    ids: Sequence[str],
    file: str,
) -> Answers:
    """Scores as they are kept: probabilities of the question's classes, or values."""
    if kind == "scores":
        scores, kind = _probabilities(scores, answered, ids, file)
    if kind == "values" and not answered.all():
        name = ids[int((~answered).argmax())]
        raise RequestError(f"{file}: sample {name!r} has no value, and of a value there is no wrong one: give one")
    if dropped:
        scores, answered = _without_last(scores, len(dropped), answered)
    return Answers(scores, answered, kind, dropped)


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    """The table of a file, some rows at a time; every column as it comes."""
    try:
        if file.suffix == ".parquet":
            yield from parquet.ParquetFile(file).iter_batches(_BATCH)
        elif file.suffix in (".jsonl", ".ndjson"):
            yield from _json_lines(file)
        else:
            with file.open(encoding="utf-8-sig") as lines:
                names = [name.strip('"') for name in lines.readline(_LONGEST).rstrip("\r\n").split(",")]
            text = {name: pa.string() for name in names if _is_text(name)}
            read = (
                [name for name in names if name.strip().lower() not in UNREAD]
                if len(set(names)) == len(names)
                else None
            )
            options = csv.ConvertOptions(column_types=text, strings_can_be_null=True, include_columns=read)
            with csv.open_csv(file, convert_options=options) as reader:
                yield from reader
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise RequestError(f"{file}: cannot be read as answers ({reason}): give CSV, .parquet or .jsonl") from None


def _is_text(name: str) -> bool:
    return name.strip().lower() in (SAMPLE, "id", PREDICTED, *GIVEN)


def _json_lines(file: Path) -> Iterator[pa.RecordBatch]:
    rows: list[dict[str, Any]] = []
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no object")
            rows.append(row)
            if len(rows) == _BATCH:
                yield pa.RecordBatch.from_pylist(rows)
                rows = []
    if rows:
        yield pa.RecordBatch.from_pylist(rows)


def _columns(names: Sequence[str], question: Asked, where: str) -> tuple[list[str], tuple[str, ...], str]:
    """Columns of the scores in the order of the classes (dropped ones last), what is dropped, and the kind."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise RequestError(f"{where}: two columns are called {twice!r}: remove one of them")
    plain = {name: name.strip().lower() for name in names}
    if smuggled := [name for name, own in plain.items() if own in LABELS]:
        raise RequestError(f"{where}: it has a column {smuggled[0]!r}: answers hold no labels; remove it")
    if _id_column(names) is None:
        raise RequestError(f"{where}: there is no column {SAMPLE!r} with the names of the samples")
    rest = [name for name, own in plain.items() if own not in (SAMPLE, "id", *GIVEN)]
    if question.is_value:
        if [plain[name] for name in rest] != [REGRESSION]:
            raise RequestError(f"{where}: this data set asks for a value: give one column {REGRESSION!r}")
        return rest, (), "values"
    if [plain[name] for name in rest] == [PREDICTED]:
        return list(question.classes), (), "classes"
    columns, dropped = matched([name for name in rest if plain[name] != PREDICTED], question.classes, where)
    return [*columns, *dropped], dropped, "scores"


def _id_column(names: Sequence[str]) -> str | None:
    return next((name for name in names if name.strip().lower() in (SAMPLE, "id")), None)


def _places(
    batch: pa.RecordBatch,
    place: dict[str, int],
    hashed: Callable[[], dict[str, int]],
    answered: NDArray[np.bool_],
    where: str,
) -> NDArray[np.int64]:
    """(B,) places of the samples of some rows, named or hashed."""
    named = batch.column(str(_id_column(batch.schema.names))).to_pylist()
    try:
        known = place if not named or str(named[0]) in place else hashed()
        rows = np.array([known[str(name)] for name in named], dtype=np.int64)
    except KeyError as error:
        raise RequestError(f"{where}: sample {error.args[0]!r} is not in the test part ({len(place)} samples, such as "
                           f"{next(iter(place))!r}): see `template`") from None  # fmt: skip
    twice = rows[answered[rows]] if answered[rows].any() else _repeated(rows)
    if len(twice):
        name = list(place)[int(twice[0])]
        raise RequestError(f"{where}: sample {name!r} is answered twice: remove one of the rows")
    return rows


def _repeated(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    values, times = np.unique(rows, return_counts=True)
    return values[times > 1]


def _refuse_other_split(batch: pa.RecordBatch, question: Asked, where: str) -> None:
    if SPLIT in batch.schema.names:
        for found in batch.column(SPLIT).unique().to_pylist():
            if found is not None and found != question.fingerprint:
                raise RequestError(f"{where}: it was made for another test part (split {found}, not "
                                   f"{question.fingerprint}): make a template of this one")  # fmt: skip


def _classes(batch: pa.RecordBatch, question: Asked, where: str) -> NDArray[np.float64]:
    """(B,C) 1 for the class that is named, NaN for a row that names none."""
    codes = {meaning(name): code for code, name in enumerate(question.classes)}
    column = next(name for name in batch.schema.names if name.strip().lower() == PREDICTED)
    values = np.zeros((batch.num_rows, len(question.classes)))
    for row, name in enumerate(batch.column(column).to_pylist()):
        if name is None or not str(name).strip():
            values[row] = np.nan
        elif (code := codes.get(meaning(str(name)))) is None:
            raise RequestError(f"{where}: {str(name)[:40]!r} is no class of this data set: the classes are "
                               f"{', '.join(question.classes)}")  # fmt: skip
        else:
            values[row, code] = 1
    return values


def _numbers(batch: pa.RecordBatch, columns: Sequence[str], where: str) -> NDArray[np.float64]:
    found = []
    for name in columns:
        column = batch.column(name)
        try:
            numbers = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowException:
            raise RequestError(f"{where}: the column {name!r} holds something that is no number") from None
        found.append(np.asarray(numbers, dtype=np.float64))
    return np.stack(found, axis=1)


def _probabilities(
    scores: NDArray[np.float64], answered: NDArray[np.bool_], ids: Sequence[str], where: str
) -> tuple[NDArray[np.float64], str]:
    """Scores as probabilities: they are, or they are percentages, or logits."""
    own = scores[answered]
    sums = own.sum(axis=1)
    if (own >= 0).all() and (np.abs(sums - 1) <= SUM).all():
        return scores, "probabilities"
    if (own >= 0).all() and (np.abs(sums - 100) <= 100 * SUM).all():
        return scores / 100, "percentages"
    if (own < 0).any() or own.max() > 1:
        shifted = np.exp(own - own.max(axis=1, keepdims=True))
        result = np.zeros_like(scores)
        result[answered] = shifted / shifted.sum(axis=1, keepdims=True)
        return result, "logits"
    worst = int(np.abs(sums - 1).argmax())
    name = np.array(ids, dtype=object)[answered][worst]
    raise RequestError(f"{where}: the scores of sample {name!r} sum to {sums[worst]:.3f}: give probabilities that sum "
                       "to 1, percentages, or logits")  # fmt: skip


def _without_last(
    scores: NDArray[np.float64], dropped: int, answered: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores without the last columns, the others divided by what is left, and which samples are answered: where
    nothing is left, none of the classes that were asked for is meant."""
    kept = scores[:, :-dropped].copy()
    left = kept.sum(axis=1)
    answered = answered & (left > 0)
    kept[answered] /= left[answered, None]
    kept[~answered] = 0
    return kept, answered
