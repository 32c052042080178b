"""`template`: the test samples of a data set, to be answered by whoever likes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from ferbench.benchmark.entries.questions import question_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import data_folder
from ferbench.benchmark.records.atomic import drafted


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
    if out is not None and out.suffix not in (".csv", ".parquet"):
        raise RequestError(f"{out}: a template is .csv or .parquet: name the file so")
    question = question_of(dataset, suite, data_folder(data), lambda text: print(text, file=sys.stderr), classes)
    table = question.template(hash_ids)
    if out is None:
        table.to_csv(sys.stdout, index=False)
        return
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with drafted(out) as draft:
            table.to_csv(draft, index=False) if out.suffix == ".csv" else table.to_parquet(draft, index=False)
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror or error}") from None
    print(f"{out}: {len(table)} samples of {question.location.name}, split {question.fingerprint}; fill in "
          f"{', '.join(question.classes)} (or one column predicted) and give it to `score`")  # fmt: skip
