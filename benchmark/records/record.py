"""What is kept of a cell, on disk: `record.json` with `predictions.parquet` beside it.

`<results>/<suite>/<dataset>/<architecture>/seed<S>-fold<F>/`. The predictions are written first and the record last,
each in one rename: a record that is there is whole, and a run that is killed at any moment loses no finished one.
Neither takes its place before both are on the disk. The record holds a digest of each table beside it, so that one that
was altered is refused, whoever altered it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.folders import settle_below

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA = 1
RECORD = "record.json"
PREDICTIONS = "predictions.parquet"
BY_HAND = "by hand"
"""How the recipe of a cell was chosen, unless its record says otherwise."""
ELSEWHERE = ", another data set"
"""What is said of a recipe where it is used on another data set than a search has chosen it on."""
ABOUT = "about_"
"""How the columns of predictions begin that hold what the release says of a sample beside its label."""
WEIGHTS = "weights.safetensors"
"""Trained weights of a cell, where they are kept; no part of its record."""
VALIDATION = "validation.parquet"
"""The same table for the validation part, from which an ensemble takes its weights. It is not published."""


class Headline(NamedTuple):
    """The measure that ranks a cell."""

    name: str
    value: float

    def __str__(self) -> str:
        return f"{self.name.upper()} {self.value:.3f}"


@dataclass(frozen=True)
class Record:
    """One record as it lies on disk; `data` is the content of `record.json`."""

    path: Path
    """Folder of the cell."""
    data: dict[str, Any]

    @property
    def headline(self) -> Headline:
        """The measure that ranks a finished cell; ABAW where the record names none."""
        name = self.data["metrics"].get("headline", "abaw")
        return Headline(name, float(self.data["metrics"][name]))

    def predictions(self) -> pd.DataFrame:
        """Table with `sample`, `subject`, `track`, `label`, `predicted` and `score_<class>` columns; of a regression
        `target` and `value` in place of the last three."""
        return self._table(PREDICTIONS)

    def validation(self) -> pd.DataFrame:
        """The same table for the validation part."""
        return self._table(VALIDATION)

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        file = self.path / name
        try:
            return pd.read_parquet(BytesIO(self._bytes_of(name)))
        except (OSError, ValueError) as error:
            raise _unreadable(file, error) from None

    def _bytes_of(self, name: str) -> bytes:
        """The content of a file beside the record.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what the record was written with.
        """
        content = (self.path / name).read_bytes()
        known = self.data.get("files", {}).get(name)
        if known is not None and hashlib.sha256(content).hexdigest() != known:
            raise ValueError(f"it is not the file that {RECORD} was written with")
        return content

    @cached_property
    def digest(self) -> str:
        """Hash of the bytes of the record and of its predictions."""
        return digest_of(self.path)

    def known_by(self, digest: str) -> None:
        """Takes a digest that was found before, so that its files are not read for it."""
        vars(self)["digest"] = digest

    def opened(self) -> Predictions:
        """Its predictions, of which some columns can be read.

        Raises:
            RequestError: the file cannot be read.
        """
        try:
            return Predictions(self.path, self._bytes_of(PREDICTIONS))
        except (OSError, ValueError) as error:
            raise _unreadable(self.path / PREDICTIONS, error) from None


class Predictions:
    """A file of predictions, read column by column: four times as fast as the whole table."""

    def __init__(self, folder: Path, content: bytes) -> None:
        from pyarrow import ArrowException, BufferReader
        from pyarrow.parquet import ParquetFile

        self.folder = folder
        self._content = content
        try:
            self._file = ParquetFile(BufferReader(self._content))  # of the path it would read in a dozen pieces
            self._schema = self._file.schema_arrow
        except (OSError, ValueError, ArrowException) as error:
            raise self._unreadable(error) from None

    def read(self, wanted: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
        """Some columns; an optional one may be missing.

        Raises:
            RequestError: they cannot be read, or one that is wanted is missing.
        """
        from pyarrow import ArrowException

        if missing := [name for name in wanted if name not in self._schema.names]:
            raise RequestError(
                f"{self.folder}: its predictions have no column {', '.join(missing)}: delete the folder and run again"
            )
        named = [*wanted, *(name for name in optional if name in self._schema.names)]
        try:
            table: pa.Table = self._file.read(columns=named, use_threads=False)
        except (OSError, ValueError, ArrowException) as error:
            raise self._unreadable(error) from None
        if table.num_rows != self._file.metadata.num_rows:
            raise self._unreadable(f"{table.num_rows} of {self._file.metadata.num_rows} lines")
        return table

    def begins_as(self, other: Predictions, names: Sequence[str]) -> bool:
        """Whether these columns hold what they hold in `other`, of which they have been read; False may mean only that
        they are stored in another way.

        It compares bytes from the start of both files to the end of the columns, which costs a tenth of decoding them,
        and takes nothing from the footer of this file but its schema: pyarrow ends the process over a damaged one.
        """
        alike = self._schema.equals(other._schema) and self._file.metadata.num_rows == other._file.metadata.num_rows
        return alike and self._content.startswith(other._content[: other._end(names)])

    def _end(self, names: Sequence[str]) -> int:
        """Where the last of these columns ends; the end of the file where columns do not lie there one by one."""
        about = self._file.metadata
        if about.num_row_groups != 1 or about.num_columns != len(self._schema.names):
            return len(self._content)
        chunks = [about.row_group(0).column(self._schema.names.index(name)) for name in names]
        starts = [each.dictionary_page_offset if each.has_dictionary_page else each.data_page_offset for each in chunks]
        return max(start + each.total_compressed_size for start, each in zip(starts, chunks, strict=True))

    def _unreadable(self, error: Exception | str) -> RequestError:
        return _unreadable(self.folder / PREDICTIONS, error)


def _unreadable(file: Path, error: Exception | str) -> RequestError:
    return RequestError(f"{file}: cannot be read ({error}): delete {file.parent} and run again")


def read_record(folder: Path) -> Record | None:
    """The record of a cell's folder, or None where there is none that is whole."""
    try:
        return _whole(folder)
    except (OSError, ValueError):
        return None


def _whole(folder: Path) -> Record:
    """The record of a cell's folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or of another schema.
    """
    from ferbench.benchmark.records.shape import fault_of

    try:
        data = json.loads((folder / RECORD).read_bytes(), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ValueError(f"it is not of schema {SCHEMA}")
    if fault := fault_of(data):
        raise ValueError(fault)
    return Record(folder, data)


def _no_number(written: str) -> float:
    raise ValueError(f"{written} is no number")


def finished(folder: Path, key: str) -> Headline | None:
    """Headline measure of the finished record of this key in a cell's folder; None where there is none."""
    record = read_record(folder)
    ok = record is not None and record.data["status"] == "ok" and record.data["key"] == key
    return record.headline if record is not None and ok else None


def digest_of(folder: Path) -> str:
    """Hash of the bytes of the record in a folder and of its predictions, where there are any."""
    found = hashlib.blake2b(digest_size=12)
    for name in (RECORD, PREDICTIONS):
        with contextlib.suppress(FileNotFoundError):
            found.update((folder / name).read_bytes())
    return found.hexdigest()


def record_files(results: Path) -> Iterator[Path]:
    """The files of all records below a folder, in any order. Hidden folders are passed over: they are drafts."""
    settle_below(results)
    for file in results.glob(f"*/*/*/seed*-fold*/{RECORD}"):
        if not any(part.startswith(".") for part in file.parts[-5:]):
            yield file


def read_records(results: Path) -> list[Record]:
    """Every record below a folder, in the order of their paths.

    Raises:
        RequestError: a record is damaged or of another schema.
    """
    records = []
    for file in sorted(record_files(results)):
        try:
            records.append(_whole(file.parent))
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise RequestError(f"{file}: not a record ({reason}): delete {file.parent} and run again") from None
    return records


def write_record(
    folder: Path,
    data: dict[str, Any],
    predictions: pd.DataFrame | None = None,
    validation: pd.DataFrame | None = None,
) -> None:
    """Writes a cell's record, which takes its place last: until then an earlier one stays.

    Raises:
        OSError: the folder cannot be written or the disk is full. Nothing earlier is lost, unless a file that is
            written whole cannot take its place: then one of two may be new.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {PREDICTIONS: predictions, VALIDATION: validation}
    files: dict[str, str] = {}
    with contextlib.ExitStack() as drafts:
        record = drafts.enter_context(drafted(folder / RECORD))  # begun first, so it takes its place last
        for name, table in tables.items():
            if table is not None:
                draft = drafts.enter_context(drafted(folder / name))
                table.to_parquet(draft, index=False, compression="zstd")
                files[name] = hashlib.sha256(draft.read_bytes()).hexdigest()
                _sync(draft)
        content = {"schema": SCHEMA, **data, "files": files}
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
        record.write_text(text + "\n", encoding="utf-8")
        _sync(record)
    for name, table in tables.items():
        if table is None:
            (folder / name).unlink(missing_ok=True)  # of an earlier record of this cell


def _plain(value: Any) -> Any:
    """Numpy's scalars and arrays as JSON's own types."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot stand in a record")


def _sync(file: Path) -> None:
    with file.open("rb") as written:
        os.fsync(written.fileno())
