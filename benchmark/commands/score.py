"""`score`: a file of answers to a test part -> an entry on the board."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferbench.benchmark.board.comparison import draw
from ferbench.benchmark.board.rows import pool
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.entries.answers import Answers, format_of, read_answers
from ferbench.benchmark.entries.cards import Card, read_card, unknown_card
from ferbench.benchmark.entries.questions import Question, question_of
from ferbench.benchmark.entries.scoring import RunHere, digest_of_file, read_kept_card, write_entry
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import data_folder
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.records.entries import ENTRIES
from ferbench.benchmark.records.record import Record, read_record, read_records

ANSWERS = ("answers.csv", "answers.parquet", "answers.jsonl")
"""What the answers of a submission are called."""


def entries_in(results: Path) -> list[dict[str, Any]]:
    """A row an entry: its name, its data set, what it has seen of it, and the score of each fold's mean.

    Raises:
        RequestError: a record is damaged.
    """
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in read_records(results):
        if record.data["suite"] == ENTRIES:
            found[record.data["dataset"], record.data["architecture"]].append(record)
    rows = []
    for (dataset, name), records in sorted(found.items()):
        row = pool(records)
        card = read_kept_card(records[0].path.parent)
        seen = ", ".join(f"{own}: {part}" for own, part in card.seen.items())
        about = {"name": name, "title": row.title, "dataset": dataset, "seen": seen, "authors": card.authors}
        rows.append({**about, row.headline: row.score})
    return rows


def score_file(
    file: Path,
    dataset: str,
    card: Path | None,
    suite: str,
    data: Path | None,
    results: Path,
    classes: Sequence[str] | None = None,
) -> None:
    """Checks and scores a file, keeps it as an entry, and prints what it scores.

    Raises:
        RequestError: the file, the card or the request is wrong.
    """
    if not file.is_file():
        raise RequestError(f"{file}: no such file of answers")
    about = read_card(card, dataset) if card else unknown_card(name_of(file.stem), dataset)
    question = question_of(dataset, suite, data_folder(data), say_aside, classes)
    answers = read_answers(file, question)
    keep(results, question, answers, about, digest_of_file(file))


def check_format(file: Path, dataset: str, card: Path | None) -> None:
    """Checks what can be checked of a file and its card without the data, and prints what it is.

    Raises:
        RequestError: the file or the card is wrong.
    """
    if not file.is_file():
        raise RequestError(f"{file}: no such file of answers")
    classes = data_sets.get(dataset).classes
    if not classes:
        raise RequestError(f"{dataset}: only the data tell its classes: score the file where they are")
    about = read_card(card, dataset) if card else None
    asked = format_of(file, classes)
    answers = read_answers(file, asked)
    split = f"split {asked.fingerprint}" if asked.fingerprint else "it names no split"
    whose = f"card of {about.name}" if about else "no card"
    print(
        f"{file}: answers to {len(asked.ids)} samples, read as {answers.kind}; "
        f"{answers.coverage:.1%} of them answered; {split}; {whose}"
    )


def check_submissions(folder: Path) -> None:
    """Checks every `<data set>/<name>/` below a folder by its format, and prints what each is.

    Raises:
        RequestError: one of them is wrong; the others are checked all the same.
    """
    found = sorted(each for each in folder.glob("*/*") if each.is_dir())
    wrong = []
    for each in found:
        try:
            files = sorted(file.name for file in each.iterdir())
            answers = [name for name in files if name in ANSWERS]
            if len(answers) != 1 or files != sorted([*answers, "card.yaml"]):
                raise RequestError(f"{each}: it holds {', '.join(files) or 'nothing'}: it must hold card.yaml and "
                                   f"one of {', '.join(ANSWERS)}")  # fmt: skip
            if any((each / name).is_symlink() for name in files):
                raise RequestError(f"{each}: it holds a link: files alone are read")
            named = read_card(each / "card.yaml", each.parent.name).name
            if named != each.name:
                raise RequestError(f"{each}: its card is of {named!r}: give the folder that name")
            check_format(each / answers[0], each.parent.name, each / "card.yaml")
        except RequestError as error:
            wrong.append(str(error))
            print(f"WRONG: {error}")
    if wrong:
        raise RequestError(f"{folder}: {len(wrong)} of {len(found)} entries cannot be taken")
    print(f"{folder}: {len(found)} entries, all well")


def name_of(text: str) -> str:
    """What an entry without a card is called."""
    return re.sub(r"[^a-z0-9_.+-]+", "-", text.lower()).strip("-.")[:64] or "entry"


def keep(
    results: Path, question: Question, answers: Answers, card: Card, digest: str, run: RunHere | None = None
) -> None:
    """Keeps answers as an entry, and prints what they score.

    Raises:
        RequestError: it cannot be written.
    """
    try:
        records = write_entry(results, question, answers, card, digest, run)
    except OSError as error:
        raise RequestError(f"{results}: the entry cannot be written: {error.strerror or error}") from None
    row = pool([record for kept in records if (record := read_record(kept.path))])
    interval = draw([row]).interval(row)
    print(f"{card.title} on {question.location.name}: {row.headline.upper()} {row.score:.3f} "
          f"[{interval.low:.3f}, {interval.high:.3f}] over {interval.unit}s, "
          f"coverage {answers.coverage:.1%}, read as {answers.kind}")  # fmt: skip
    for note in dict.fromkeys(note for record in records for note in record.data["notes"]):
        print(f"  {note}")
    print(
        f"kept in {records[0].path.parent}: `leaderboard --results {results}` shows it beside the rows of its test part"
    )
