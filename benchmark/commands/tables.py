"""Tables that a verb prints, or writes where a file is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.atomic import drafted

ENDINGS = (".csv", ".parquet")


def refuse_other_ending(out: Path | None, endings: tuple[str, ...] = ENDINGS) -> None:
    """Raises RequestError where a file is named that ends otherwise."""
    if out is not None and out.suffix not in endings:
        raise RequestError(f"{out}: name it {' or '.join(endings)}")


def write_table(table: pd.DataFrame, out: Path | None) -> bool:
    """Writes a table by the ending of the file; prints it as CSV where none is named. Whether a file was written.

    Raises:
        RequestError: it cannot be written.
    """
    if out is None:
        table.to_csv(sys.stdout, index=False)
        return False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with drafted(out) as draft:
            table.to_csv(draft, index=False) if out.suffix == ".csv" else table.to_parquet(draft, index=False)
    except OSError as error:
        raise RequestError(f"{out}: cannot be written: {error.strerror or error}") from None
    return True
