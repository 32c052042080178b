"""A suite that need not run every pair: who meets whom, whoever is new."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.pairs import dealt
from ferbench.benchmark.planning.registry import architectures, data_sets, ensembles
from ferbench.benchmark.planning.suite import BASELINES, Cell, cells_of, load_suite

VIEWS = ("image", "pair", "clip", "sequence")


def cells(tmp_path: Path, text: str = "", **only: Any) -> list[Cell]:
    file = tmp_path / "mine.yaml"
    file.write_text(f"description: a test\nsize: tiny\npairs: dealt\n{text}")
    return cells_of(*load_suite(str(file)), **only)


def rows(found: list[Cell]) -> list[tuple[str, str]]:
    """Architecture and data set of each cell, without floors and oracle."""
    return [(cell.architecture, cell.dataset) for cell in found if cell.kind in ("architecture", "ensemble")]


def test_within_a_view_rows_and_data_sets_are_dealt_in_turn() -> None:
    assert dealt(["c3d", "tsm", "vivit"], ["d", "e"]) == {"c3d": {"d"}, "tsm": {"e"}, "vivit": {"d"}}
    assert dealt(["cnn", "vit_se"], ["d", "e", "f"]) == {"cnn": {"d", "f"}, "vit_se": {"e"}}
    both = dealt(["c3d", "cnn", "tsm", "vivit", "vit_se"], ["d", "e", "f"])
    assert both == {"c3d": {"d"}, "tsm": {"e"}, "vivit": {"f"}, "cnn": {"d", "f"}, "vit_se": {"e"}}


def test_a_librarys_model_meets_one_data_set_a_variant_those_of_its_base_and_an_ensemble_brings_its_members() -> None:
    deal = dealt(["timm:test_resnet", "torchvision:s3d", "c3d@shuffled", "c3d"], ["d", "e", "f"])
    assert (deal["timm:test_resnet"], deal["torchvision:s3d"]) == ({"d"}, {"e"})
    assert deal["c3d@shuffled"] == deal["c3d"] == {"d", "e", "f"}
    deal = dealt(["cnn", "vit_se", "cnn_rnn", "cnn_transformer", "ensemble"], ["d", "e"])
    assert deal == {
        "cnn": {"d"}, "vit_se": {"e"}, "cnn_rnn": {"d"}, "cnn_transformer": {"e", "d"}, "ensemble": {"d"},
    }  # fmt: skip


def test_the_deal_is_the_same_whichever_rows_are_wanted() -> None:
    every = architectures.names()
    deal = dealt(every, data_sets.names())
    for name in every:
        assert dealt(every, data_sets.names(), [name]) == {name: deal[name]}


def test_smoke_meets_every_architecture_and_every_data_set_under_every_view() -> None:
    suite = load_suite("smoke")[1]
    found = cells_of("smoke", suite)
    named = [*architectures.names(), *ensembles.names(), *suite.also]
    assert {row for row, _ in rows(found)} == set(named)
    data = {d for d in data_sets.names() if not data_sets.get(d).optional}
    view = {name: architectures.get(name).view for name in named if name not in ensembles.names()}
    met = {(view[row], d) for row, d in rows(found) if ":" not in row and row in view}
    assert {(v, d) for v, d in met if d in data} == {(v, d) for v in VIEWS for d in data}
    further = Counter(d for _, d in rows(found) if d not in data)
    assert further == dict.fromkeys(suite.also_datasets, 1)
    assert set(further) | data | {"folder"} == set(data_sets.names())
    assert len({view[row] for row, d in rows(found) if d in further}) == len(VIEWS)
    assert [(c.architecture, c.dataset) for c in found if c.architecture in BASELINES] == [
        (name, d) for d in dict.fromkeys(c.dataset for c in found) for name in BASELINES
    ]
    assert len(rows(found)) == len(set(rows(found))) < len(named) * len(data | set(further)) / 4


def test_who_is_new_is_met_without_being_named(toys_installed: None) -> None:
    found = rows(cells_of(*load_suite("smoke")))
    assert {"toy_quick", "toy_lender", "toy_borrower", "toy_mean"} <= {row for row, _ in found}
    (met,) = [d for row, d in found if row == "toy_mean"]
    assert {("toy_lender", met), ("toy_borrower", met)} <= set(found)


def test_an_architecture_that_is_asked_for_runs_where_it_is_dealt_and_with_a_data_set_that_pair_runs() -> None:
    smoke = load_suite("smoke")
    everything = rows(cells_of(*smoke))
    for name in ("c3d", "residual_attention_ms_tcn"):
        found = cells_of(*smoke, [name])
        assert rows(found) == [(row, d) for row, d in everything if row == name]
        assert {c.dataset for c in found} == {d for _, d in rows(found)}  # no floors of other data sets
    for dataset in ("ctbc", "sendv1_fine"):
        assert rows(cells_of(*smoke, ["c3d", "vit_se"], [dataset])) == [("c3d", dataset), ("vit_se", dataset)]
        assert sorted(rows(cells_of(*smoke, None, [dataset]))) == sorted((r, d) for r, d in everything if d == dataset)


def test_an_ensemble_that_is_asked_for_brings_its_members_to_its_data_set_alone() -> None:
    found = rows(cells_of(*load_suite("smoke"), ["ensemble"]))
    assert [row for row, _ in found] == ["cnn", "cnn_rnn", "cnn_transformer", "ensemble"]
    assert len({d for _, d in found}) == 1


def test_rows_and_data_sets_that_only_the_command_line_names_are_dealt_too(tmp_path: Path) -> None:
    assert rows(cells(tmp_path, only_architectures=["tsm@shuffled"])) == [
        ("tsm@shuffled", d) for _, d in rows(cells(tmp_path, only_architectures=["tsm"]))
    ]
    assert len(rows(cells(tmp_path, only_architectures=["timm:test_resnet"]))) == 1
    views = {
        architectures.get(row).view for row, _ in rows(cells(tmp_path, only_datasets=["folder"])) if row != "ensemble"
    }
    assert views == set(VIEWS)


def test_a_suite_without_architectures_has_the_floors_of_each_data_set(tmp_path: Path) -> None:
    found = cells(tmp_path, "architectures: []\ndatasets: [ctbc, oulu_casia]")
    assert [(c.architecture, c.dataset) for c in found] == [
        (name, d) for d in ("ctbc", "oulu_casia") for name in BASELINES
    ]


def test_another_word_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("description: a test\nsize: tiny\npairs: some\n")
    with pytest.raises(RequestError, match=r"pairs: 'some' is not allowed: it should be 'all' or 'dealt'$"):
        load_suite(str(tmp_path / "mine.yaml"))
