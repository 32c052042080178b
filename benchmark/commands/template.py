"""`template`: the test samples of a data set, to be answered by whoever likes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.commands.tables import refuse_other_ending, write_table
from ferbench.benchmark.commands.terminal import say_aside
from ferbench.benchmark.entries.questions import question_of
from ferbench.benchmark.planning.data import data_folder


def write_template(
    dataset: str,
    suite: str,
    data: Path | None,
    out: Path | None,
    classes: Sequence[str] | None = None,
    hash_ids: bool = False,
) -> None:
    """Writes it as CSV or parquet, by the name of the file; to the standard output where none is named.

    Raises:
        RequestError: the request is wrong, or the file cannot be written.
    """
    refuse_other_ending(out)
    question = question_of(dataset, suite, data_folder(data), say_aside, classes)
    if write_table(question.template(hash_ids), out):
        asked = len(question.ids)
        print(f"{out}: {asked} samples of {question.location.name}, split {question.fingerprint}; fill in "
              f"{', '.join(question.classes)} (or one column predicted) and give it to `score`")  # fmt: skip
