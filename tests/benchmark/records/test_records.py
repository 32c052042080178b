"""A record is there in whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.record import PREDICTIONS, RECORD, read_record, read_records, write_record
from tests.benchmark.written_cells import whole_record


def table(predicted: int) -> pd.DataFrame:
    return pd.DataFrame({"sample": ["a"], "subject": [None], "label": [0], "predicted": [predicted], "score_x": [1.0]})


def folder(results: Path, seed: int = 0) -> Path:
    return results / "smoke" / "made" / "c3d" / f"seed{seed}-fold0"


def content(cell: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in cell.iterdir()}


def test_a_record_is_read_back_with_its_predictions(tmp_path: Path) -> None:
    measures = {"accuracy": 0.5, "f1_macro": 0.5}
    data = whole_record(
        metrics={"abaw": np.float64(0.5), "confusion": np.eye(2, dtype=np.int64), **measures}, title="é"
    )
    write_record(folder(tmp_path), data, table(1))
    record = read_record(folder(tmp_path))
    assert record is not None
    digest = hashlib.sha256((folder(tmp_path) / PREDICTIONS).read_bytes()).hexdigest()
    assert record.data == {
        "schema": 1, **data, "metrics": {"abaw": 0.5, "confusion": [[1, 0], [0, 1]], **measures},
        "files": {PREDICTIONS: digest},
    }  # fmt: skip
    pd.testing.assert_frame_equal(record.predictions(), table(1))
    assert sorted(content(folder(tmp_path))) == [PREDICTIONS, RECORD]


def test_the_same_record_has_the_same_bytes(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_record(folder(tmp_path, seed), whole_record(), table(1))
    assert content(folder(tmp_path, 0)) == content(folder(tmp_path, 1))


def test_records_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        write_record(folder(tmp_path, seed), whole_record(seed=seed))
    (tmp_path / "published" / "smoke").mkdir(parents=True)
    assert [record.data["seed"] for record in read_records(tmp_path)] == [0, 1, 2]


def test_drafts_of_folders_are_no_records(tmp_path: Path) -> None:
    """As publishing and the site leave them where they are killed."""
    write_record(folder(tmp_path), whole_record())
    left = tmp_path / ".smoke" / "made" / "c3d" / "seed1-fold0"
    left.mkdir(parents=True)
    (left / RECORD).write_text("half a rec")
    assert [record.path for record in read_records(tmp_path)] == [folder(tmp_path)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[]", "it is not of schema 1"),
        ('{"schema": 2}', "it is not of schema 1"),
        ('{"schema": 1}', "key: Field required"),
        ('{"schema": NaN}', "NaN is no number"),
        ("[" * 100_000, "it is nested too deeply"),
        (json.dumps({"schema": 1, **whole_record(seed="0")}), "seed: Input should be a valid integer"),
        (json.dumps({"schema": 1, **whole_record(metrics=None)}), "a finished record has classes and metrics"),
        (json.dumps({"schema": 1, **whole_record(metrics={"abaw": 0.5})}), "metrics"),
    ],
)
def test_what_is_no_record_is_none_and_an_error_when_a_board_is_made(tmp_path: Path, text: str, reason: str) -> None:
    assert read_record(folder(tmp_path)) is None
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / RECORD).write_text(text)
    assert read_record(folder(tmp_path)) is None
    with pytest.raises(RequestError, match=rf"record.json: not a record \(.*{reason}.*\): delete .* and run again"):
        read_records(tmp_path)


def test_predictions_that_are_damaged_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    write_record(folder(tmp_path), whole_record(), table(1))
    (folder(tmp_path) / PREDICTIONS).write_bytes(b"PAR1 and no more")
    record = read_record(folder(tmp_path))
    assert record is not None
    with pytest.raises(RequestError, match=r"predictions.parquet: cannot be read .*: delete .* and run again"):
        record.predictions()


def test_files_that_begin_alike_are_known_by_their_bytes_and_a_damaged_one_by_its_name(tmp_path: Path) -> None:
    """The footer of a file may be damaged anywhere: nothing but an error comes of it, above all no end of the process
    (pyarrow 26 ends it where the description of a column is damaged)."""
    names = [f"P{index:03d}/0001" for index in range(60)]
    columns = {"sample": names, "subject": "s", "label": np.arange(60) % 5}
    for seed in (0, 1, 2):
        frame = pd.DataFrame({**columns, "predicted": np.arange(60) * (seed + 1) % 5})
        write_record(folder(tmp_path, seed), whole_record(), frame if seed < 2 else frame[::-1])
    first, second, other = (record.opened() for record in read_records(tmp_path))
    first.read(["sample", "label"])
    assert second.begins_as(first, ["sample", "label"])
    assert not second.begins_as(first, ["sample", "label", "predicted"])
    assert not other.begins_as(first, ["sample"])
    file = folder(tmp_path, 1) / PREDICTIONS
    whole = file.read_bytes()
    told = []
    for place in range(whole.index(b"schema") - 40, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        try:
            opened = read_records(tmp_path)[1].opened()
            if not opened.begins_as(first, ["sample", "label"]):
                opened.read(["sample", "label"])
            opened.read(["predicted"])
        except RequestError as error:
            told.append(str(error))
    assert told
    assert all(str(file.parent) in line for line in told)


def test_predictions_that_were_altered_are_refused(tmp_path: Path) -> None:
    write_record(folder(tmp_path), whole_record(), table(1), table(1))
    table(0).to_parquet(folder(tmp_path) / PREDICTIONS, index=False, compression="zstd")
    (record,) = read_records(tmp_path)
    for read in (record.predictions, record.opened):
        with pytest.raises(RequestError, match=r"it is not the file that record.json was written with"):
            read()
    assert record.validation()["predicted"].tolist() == [1]


def test_records_of_before_digests_are_read(tmp_path: Path) -> None:
    write_record(folder(tmp_path), whole_record(), table(1))
    data = json.loads((folder(tmp_path) / RECORD).read_text())
    del data["files"]
    (folder(tmp_path) / RECORD).write_text(json.dumps(data))
    assert read_records(tmp_path)[0].opened().read(["predicted"]).num_rows == 1


@pytest.mark.parametrize("file", [RECORD, PREDICTIONS])
def test_a_full_disk_leaves_the_earlier_record_untouched_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    write_record(folder(tmp_path), whole_record(run=1), table(1))
    before = content(folder(tmp_path))

    def full(descriptor: int) -> None:
        if file in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device"):
            write_record(folder(tmp_path), whole_record(run=2), table(2))
    assert content(folder(tmp_path)) == before
    write_record(folder(tmp_path), whole_record(run=2), table(2))
    assert content(folder(tmp_path)) != before


def test_a_number_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_record(folder(tmp_path), whole_record(), table(1))
    before = content(folder(tmp_path))
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_record(folder(tmp_path), whole_record(loss=float("nan")), table(2))
    with pytest.raises(TypeError, match="set cannot stand in a record"):
        write_record(folder(tmp_path), whole_record(loss={1}), table(2))
    assert content(folder(tmp_path)) == before


def test_a_failed_record_takes_the_place_of_an_earlier_one_with_its_predictions(tmp_path: Path) -> None:
    write_record(folder(tmp_path), whole_record(), table(1))
    write_record(folder(tmp_path), whole_record(status="failed"))
    assert list(content(folder(tmp_path))) == [RECORD]
    assert json.loads((folder(tmp_path) / RECORD).read_text())["status"] == "failed"
