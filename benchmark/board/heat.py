"""What stands in the heat map of a section, drawn as a plot and as a table of the site."""

from __future__ import annotations

from dataclasses import dataclass

from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import Section


@dataclass(frozen=True)
class HeatLine:
    """An architecture, floor or oracle on every data set.

    place: by mean rank; None of a variant, which stands under its architecture, and of floors and oracle, which come
    last. rows: one for each table of the section, None where it is not there.
    """

    title: str
    place: int | None
    competes: bool
    rows: tuple[Row | None, ...]


def heat_lines(section: Section) -> list[HeatLine]:
    """The best mean rank first."""
    rows = {row.architecture: row for row in section.architectures}
    order = {name: place for place, name in enumerate(section.order, start=1)}
    base = {name: of if (of := name.partition("@")[0]) in order else name for name in order}
    names = sorted(order, key=lambda name: (order[base[name]], order[name]))
    names += sorted((name for name, row in rows.items() if not row.competes), key=lambda name: (rows[name].kind, name))
    return [
        HeatLine(
            rows[name].title,
            order[name] if base.get(name) == name else None,
            rows[name].competes,
            tuple(table.row(name) for table in section.tables),
        )
        for name in names
    ]
