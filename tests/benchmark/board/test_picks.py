"""What to pick: the best row, those not told apart from it, the cheapest of them, and what is not decided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ferbench.benchmark.board import picks
from ferbench.benchmark.board.breakdowns import ONE_SEED
from ferbench.benchmark.board.comparison import Comparison
from ferbench.benchmark.board.markdown import share
from ferbench.benchmark.board.picks import Pick
from ferbench.benchmark.board.sections import DataTable, Section, sections
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell


def section_of(results: Path) -> Section:
    return sections(read_records(results))[0]


def cell(results: Path, name: str, skill: float, macs: float | None = 1e9, **changes: object) -> None:
    cost = {"macs": macs, "params": macs}
    write_cell(results, name, skill, cost=cost, **{"subjects": 30, "title": name.title(), **changes})


def name_of(data: DataTable) -> str:
    return data.name


def compared(p: list[list[float]]) -> Comparison:
    names = tuple("abc")[: len(p)]
    return Comparison({}, names, np.array(p), (names,), "subject", "several", {})


def test_pairs_that_are_told_apart_are_counted_once() -> None:
    found = compared([[1, 0.2, 0.04], [0.2, 1, 0.06], [0.04, 0.06, 1]])
    assert (found.pairs, found.told_apart) == (3, 1)
    assert found.leading == ("a", "b")
    assert (compared([]).pairs, compared([]).told_apart, compared([]).leading) == (0, 0, ())


def test_a_row_of_the_first_group_that_is_told_apart_from_the_best_does_not_lead() -> None:
    """The noise of its tests is not that of the others: b is told apart from a, c is not."""
    assert compared([[1, 0.01, 0.2], [0.01, 1, 0.6], [0.2, 0.6, 1]]).leading == ("a", "c")


def test_the_cheapest_of_the_leading_rows_is_named_and_not_a_worse_one(tmp_path: Path) -> None:
    cell(tmp_path, "best", 0.82, 4e9)
    cell(tmp_path, "close", 0.80, 2e9)
    cell(tmp_path, "unknown", 0.80, None)
    cell(tmp_path, "worse", 0.3, 1e6)
    (data,) = section_of(tmp_path).tables
    pick = Pick(data)
    assert sorted(row.architecture for row in pick.leading) == ["best", "close", "unknown"]
    assert pick.cheapest is not None
    assert pick.cheapest[0].architecture == "close"
    assert pick.tested_on == "30 subjects"
    text = picks.markdown(section_of(tmp_path), name_of)
    assert "Close 0." in text
    assert "<br>2.00 GMACs, 2,000 M params, 4.31 ms |" in text
    assert "3 of 6<br>(50%)".replace(" ", "\u00a0") in text
    assert "**Not decided**: 3 of 6 pairs (50%)." in text
    assert ONE_SEED in text
    assert "oulu_casia-twin: 3 of 6 pairs (50%) told apart, tested on 30 subjects" in picks.words(section_of(tmp_path))


def test_of_equally_cheap_rows_the_better_one_is_named(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        cell(tmp_path, name, 0.6)
    pick = Pick(section_of(tmp_path).tables[0])
    assert pick.cheapest is not None
    assert pick.cheapest[0] is pick.data.rows[0]


def test_where_no_pair_is_told_apart_nothing_is_picked(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        cell(tmp_path, name, 0.6, subjects=3)
    text = picks.markdown(section_of(tmp_path), name_of)
    assert "| *nothing is decided* | - " in text
    assert "On oulu_casia-twin (3 subjects) nothing is decided: the whole order of the rows may be chance." in text
    assert picks.words(section_of(tmp_path)).splitlines()[1:] == [
        "  oulu_casia-twin: nothing is decided: 0 of 3 pairs (0%) told apart, tested on 3 subjects"
    ]


@pytest.mark.parametrize(("error", "said"), [(None, "only Alone has a rank"), ("no memory", "no row has a rank")])
def test_nothing_to_compare_is_said(tmp_path: Path, error: str | None, said: str) -> None:
    cell(tmp_path, "alone", 0.6, error=error)
    text = picks.markdown(section_of(tmp_path), name_of)
    assert f"*{said}*" in text
    assert "Not decided" not in text
    assert f"oulu_casia-twin: {said}" in picks.words(section_of(tmp_path))


def test_all_data_sets_together(tmp_path: Path) -> None:
    """Only what leads on each of them; `unsteady` is the cheapest, and loses on the second."""
    for dataset, unsteady in (("oulu_casia-twin", 0.8), ("ctbc-twin", 0.3)):
        cell(tmp_path, "dear", 0.8, 4e9, dataset=dataset)
        cell(tmp_path, "cheap", 0.8, 2e9, dataset=dataset)
        cell(tmp_path, "unsteady", unsteady, 1e6, dataset=dataset)
        cell(tmp_path, "bad", 0.1, 1e6, dataset=dataset)
    cell(tmp_path, "one_only", 0.8, 1e3)
    section = section_of(tmp_path)
    every = picks.together(section)
    assert sorted(every.leading) == ["cheap", "dear"]
    assert every.cheapest == "cheap"
    assert (every.told_apart, every.pairs) == (9, 16)
    text = picks.markdown(section, name_of)
    assert "| all 2 " in text
    assert "**Cheapest of these**: Cheap." in text
    assert picks.words(section).splitlines()[-1] == "    cheapest of these: Cheap."


def test_no_row_leads_everywhere(tmp_path: Path) -> None:
    for dataset, first in (("oulu_casia-twin", 0.9), ("ctbc-twin", 0.2)):
        cell(tmp_path, "one", first, dataset=dataset)
        cell(tmp_path, "two", 1.1 - first, dataset=dataset)
    text = picks.markdown(section_of(tmp_path), name_of)
    assert "**Never told apart from the best**: none of those that have a rank on every data set." in text
    assert "Cheapest of these**" not in text


def test_changes_that_are_told_apart_are_named_with_their_difference(tmp_path: Path) -> None:
    for name, skill in (("c3d", 0.8), ("c3d@shuffled", 0.3), ("c3d@frames=4", 0.8), ("tsm", 0.2)):
        cell(tmp_path, name, skill, title="C3D")
    section = section_of(tmp_path)
    change = section.tables[0].comparison.changes["c3d@shuffled"].value
    assert change < -0.3
    found = f"**Ablations**: 1 of 2 changes (50%) are told apart from what they change: C3D, shuffled {change:+.3f} on"
    assert f"{found} oulu_casia-twin." in picks.markdown(section, name_of)


def test_a_share_reads_as_all_or_nothing_only_where_it_is() -> None:
    found = [share(part, 1755) for part in (0, 1, 333, 1754, 1755)]
    assert found == [
        "0 of 1,755 (0%)",
        "1 of 1,755 (1%)",
        "333 of 1,755 (19%)",
        "1,754 of 1,755 (99%)",
        "1,755 of 1,755 (100%)",
    ]
    assert share(67, 351, "pairs") == "67 of 351 pairs (19%)"
