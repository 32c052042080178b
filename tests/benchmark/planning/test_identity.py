"""What a cell's key is made of, where its data are another data set's."""

from __future__ import annotations

import pytest

from ferbench.benchmark.planning import data, identity
from ferbench.benchmark.planning.data import locate
from ferbench.benchmark.planning.identity import key_parts
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import cells_of, load_suite
from ferbench.benchmark.records.provenance import code_hash

SHARED = [name for name in data_sets.names() if data_sets.get(name).folder_name != name]


@pytest.mark.parametrize("dataset", [*SHARED, "affectnet_small"])
def test_a_change_of_its_reader_is_a_change_of_the_key(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def parts() -> dict[str, str]:
        (cell,) = (c for c in cells_of(*load_suite("default"), ["cnn"], [dataset]) if c.architecture == "cnn")
        return key_parts(cell, locate(cell, None), "cpu")

    before, module = parts(), data_sets.module(dataset)
    for place in (identity, data):
        monkeypatch.setattr(place, "code_hash", lambda name: "changed" if name == module else code_hash(name))
    after = parts()
    changed = {part for part in before if before[part] != after[part]}
    assert changed == ({"reader"} if dataset in SHARED else {"data"})
