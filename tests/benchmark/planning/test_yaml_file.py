"""A file of settings is read within bounds, whatever stands in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.suite import load_suite
from ferbench.benchmark.planning.yaml_file import read_yaml

BASE = "description: a suite\nsize: tiny\n"


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "own.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def nested_aliases(levels: int, width: int) -> str:
    below = (f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels))
    return "\n".join(["a0: &a0 [x, x]", *below])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested_aliases(9, 9), "its aliases stand for more than 20000 values: write them out"),
        ("a: &a [*a]", "its aliases stand for more than 20000 values"),
        ("a: &a\n  b: *a", "its aliases stand for more than 20000 values"),
        ("[" * 5000, "it is nested too deeply, or holds itself"),
        ("a: " + "[" * 3000 + "]" * 3000, "it is nested too deeply, or holds itself"),
        ("a: " + "9" * 5000, "not a YAML file: Exceeds the limit"),
        ("a: 2020-99-99", "not a YAML file: month must be in 1..12"),
        ("x" * (2**20 + 1), "bytes are too many: a file of settings has 1048576"),
        ("a: !!python/object/apply:os.system [ls]", "not a YAML file: could not determine a constructor"),
        ("a: b: c", "not a YAML file: mapping values are not allowed here"),
        (b"\xff\xfe\x00", "not a YAML file: 'utf-8' codec can't decode"),
        ("a: \x07", "not a YAML file: unacceptable character"),
        ("--- a\n--- b", "not a YAML file: expected a single document"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        read_yaml(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_aliases_and_merges_are_read(tmp_path: Path) -> None:
    text = "base: &base {scale: 0.1}\nother: {<<: *base, seed: 1}\nlist: [*base, *base]\n"
    content = read_yaml(written(tmp_path, "\ufeff" + text))
    assert content["other"] == {"scale": 0.1, "seed": 1}
    assert content["list"] == [{"scale": 0.1}] * 2
    assert read_yaml(written(tmp_path, "")) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "seeds: [100000000000000000000000]",
            "seeds.0: 100000000000000000000000 is not allowed",
        ),
        ("epochs: .inf", "epochs: inf is not allowed: it should be less than or equal to 1000"),
        ("epochs: .nan", "epochs: nan is not allowed: it should be less than"),
        ("epochs: 1e9", "epochs"),
        ("time_limit: 100000000000", "time_limit: 100000000000 is not allowed: it should be less than or equal to"),
        (f"folds: ['{'9' * 1000}']", "folds"),
    ],
)
def test_numbers_have_bounds(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(RequestError, match=re.escape(message)) as caught:
        load_suite(str(written(tmp_path, f"{BASE}{line}\n")))
    assert len(str(caught.value)) < 400
