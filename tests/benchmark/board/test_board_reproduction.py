"""What a board says of rows that are published as well: verdicts and the line of a section."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.sections import Section, sections
from ferbench.benchmark.records.record import read_records
from tests.benchmark.written_cells import write_cell

NAMES = tuple(f"row_{letter}" for letter in "abcdef")


def write(folder: Path, skill: float, seeds: int = 1, names: tuple[str, ...] = NAMES, **changes: Any) -> None:
    for name in names:
        for seed in range(seeds):
            write_cell(folder, name, skill, seed=seed, **changes)


def against(tmp_path: Path) -> tuple[Published, Section]:
    (section,) = sections(read_records(tmp_path / "results"))
    return Published(read_records(tmp_path / "published"), [section]), section


def verdicts(published: Published, section: Section) -> dict[str, str]:
    (table,) = section.tables
    return {
        row.architecture: published.verdict(row, table.comparison.intervals.get(row.architecture)) for row in table.rows
    }


def test_the_same_predictions(tmp_path: Path) -> None:
    write(tmp_path / "published", 0.6, seeds=3)
    write(tmp_path / "results", 0.6)
    published, section = against(tmp_path)
    assert published.line(section) == "All 6 rows give the same predictions as the published ones."
    assert set(verdicts(published, section).values()) == {"yes"}


def test_another_draw_of_the_same_skill(tmp_path: Path) -> None:
    write(tmp_path / "published", 0.6, seeds=3)
    write(tmp_path / "results", 0.6, names=NAMES[:1])
    write(tmp_path / "results", 0.65, names=NAMES[1:])
    published, section = against(tmp_path)
    assert re.fullmatch(
        r"All 6 rows reproduce the published ones, 1 of them with the same predictions\. On average scores are "
        r"0\.0\d\d (above|below) the published ones, as chance makes them \(p = \d\.\d\d\d\)\.",
        published.line(section),
    )
    assert set(verdicts(published, section).values()) == {"yes"}


def test_a_ruined_row_is_named(tmp_path: Path) -> None:
    write(tmp_path / "published", 0.8, seeds=3)
    write(tmp_path / "results", 0.79, names=NAMES[1:])
    write(tmp_path / "results", 0.0, names=NAMES[:1])
    published, section = against(tmp_path)
    assert re.match(
        r"1 of 6 rows moved by more than trainings do, seen from the published ones \(p [<=] 0\.0\d\d that chance "
        r"moves any row so far\): row_a on oulu_casia-twin\.",
        published.line(section),
    )
    found = verdicts(published, section)
    assert re.fullmatch(r"no \(published 0\.\d\d\d\)", found.pop("row_a"))
    assert set(found.values()) == {"yes"}


def test_rows_that_move_together(tmp_path: Path) -> None:
    """No row by itself differs by more than trainings do; all of them do."""
    write(tmp_path / "published", 0.6, seeds=3)
    write(tmp_path / "results", 0.3)
    published, section = against(tmp_path)
    assert re.fullmatch(
        r"All 6 rows reproduce the published ones\. On oulu_casia-twin scores are on average 0\.\d\d\d below the "
        r"published ones \(p [<=] 0\.0\d\d\): something that they share has changed\.",
        published.line(section),
    )


@pytest.mark.parametrize("name", ["params", "params_trained"])
def test_another_model_is_no_chance(tmp_path: Path, name: str) -> None:
    """A layer that is frozen by mistake may cost no accuracy that could be told from chance."""
    cost = {"params": 100, "params_trained": 100}
    write(tmp_path / "published", 0.6, seeds=3, cost=cost)
    write(tmp_path / "results", 0.65, names=NAMES[1:], cost=cost)
    write(tmp_path / "results", 0.65, names=NAMES[:1], cost={**cost, name: 60})
    published, section = against(tmp_path)
    assert published.line(section).startswith(
        "1 of 6 rows had or trained other parameters than published: row_a on oulu_casia-twin. "
    )
    assert verdicts(published, section)["row_a"].startswith("no (published")


def test_with_one_published_seed_each_only_the_interval_is_known(tmp_path: Path) -> None:
    write(tmp_path / "published", 0.6)
    write(tmp_path / "results", 0.6, names=NAMES[1:])
    write(tmp_path / "results", 0.2, names=NAMES[:1])
    published, section = against(tmp_path)
    assert published.line(section) == (
        "1 of 6 rows fell outside the interval of its samples: row_a on oulu_casia-twin. How much trainings differ is "
        "not known, since nothing is published with two seeds: on another processor that may be all."
    )


def test_other_rows_tell_how_much_trainings_differ(tmp_path: Path) -> None:
    """The row was published with one seed, and lies outside the interval of its samples."""
    for name in NAMES[1:]:
        for seed, skill in enumerate((0.5, 0.6, 0.7)):
            write_cell(tmp_path / "published", name, skill, seed=seed)
    write_cell(tmp_path / "published", NAMES[0], 0.75)
    write(tmp_path / "results", 0.6)
    published, section = against(tmp_path)
    interval = section.tables[0].comparison.intervals[NAMES[0]]
    (row,) = (row for row in published._against[0].pairs if row.architecture == NAMES[0])
    assert published._against[0].pairs[row].published.score > interval.high
    assert verdicts(published, section)[NAMES[0]] == "yes"


def test_nothing_in_common_is_no_line(tmp_path: Path) -> None:
    write(tmp_path / "published", 0.6, protocol={"image_frames": 1})
    write(tmp_path / "results", 0.6)
    published, section = against(tmp_path)
    assert published.line(section) == ""
    assert set(verdicts(published, section).values()) == {"other protocol"}
