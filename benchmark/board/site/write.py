"""Records to the folder of web pages: the site's main story."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ferbench.benchmark.board.literature import Literature
from ferbench.benchmark.board.provenance import facts, words
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.sections import DataTable, Section, prepare, sections
from ferbench.benchmark.board.site import addresses, tables
from ferbench.benchmark.board.site.cells import Page, cell_page, row_page
from ferbench.benchmark.board.site.libraries import library_files
from ferbench.benchmark.board.tables import HEADLINES, across, notes_of
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.folders import redone
from ferbench.benchmark.records.installation import own_version
from ferbench.benchmark.records.record import RECORD, Record

MARK = ".ferbench-site"
"""Lies in every folder that this wrote: only such a folder is replaced."""


def write_site(records: Iterable[Record], out: Path, published: Iterable[Record] = ()) -> int:
    """Writes the pages of all records to `out`, in place of an earlier site there; returns the number of pages.

    The same records give the same bytes. An earlier site stays until the new one is whole.

    published: records that each row may reproduce; empty: no such column.

    Raises:
        RequestError: `out` holds something else, or a record's predictions cannot be read.
        OSError: `out` cannot be written.
    """
    if out.exists() and not (out.is_dir() and (_is_site(out) or not any(out.iterdir()))):
        raise RequestError(f"{out}: holds something other than a site: name a new or an empty folder with --out")
    found = sections(records)
    prepare(found)
    reference = Published(published, found) if (published := list(published)) else None
    pages = 0
    with redone(out) as draft:
        for address, text in _pages(found, reference):
            file = draft / address
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
            pages += 1
        for name, content in (*_own_files(), *library_files()):
            (draft / "assets").mkdir(exist_ok=True)
            (draft / "assets" / name).write_bytes(content)
        (draft / MARK).touch()
    return pages


def _is_site(folder: Path) -> bool:
    """Whether this wrote a folder, and no suite of its name has put records there since."""
    return (folder / MARK).exists() and not any(folder.glob(f"*/*/seed*-fold*/{RECORD}"))


def _pages(found: list[Section], published: Published | None) -> Iterator[tuple[str, str]]:
    literature = Literature()
    for index, section in enumerate(found):
        address = addresses.of_section(section, index == 0)
        yield address, _section(found, section, address, literature, published)
        for table in section.tables:
            yield from _table(section, table, address)


def _section(
    found: list[Section], section: Section, address: str, literature: Literature, published: Published | None
) -> str:
    lines = tables.lines(section, address, literature, published)
    return _render(
        "section.html",
        address,
        section=section,
        source=_source(section),
        others=[
            (
                addresses.of_section(each, index == 0),
                f"{each.suite}: {_source(each)}, size {each.size}",
                each is section,
            )
            for index, each in enumerate(found)
        ],
        lines=lines,
        columns=tables.columns(lines),
        all_columns=list(tables.COLUMNS),
        ablations=tables.ablations(section, address),
        remarks=tables.remarks(section),
        reproduced=published.line(section) if published else "",
        published=tables.other_protocols(section, literature),
        across=across(section),
        headlines=HEADLINES,
        facts=facts(section),
        protocols={table.name: words(table.protocol) or "not recorded" for table in section.tables},
        heat=tables.heat(section, address) if len(section.tables) > 1 else None,
        charts=_as_json(tables.charts(section, address)),
    )


def _table(section: Section, table: DataTable, up: str) -> Iterator[tuple[str, str]]:
    """The page of each row of a data set, and of each of its cells."""
    _, notes = notes_of(table)
    for row in table.rows:
        pooled = row_page(section, table, row, notes[row.architecture])
        yield pooled.address, _cell(section, pooled, [(up, _source(section))])
        for record in (*row.records, *row.outdated):
            page = cell_page(record, table, row)
            yield page.address, _cell(section, page, [(up, _source(section)), (pooled.address, pooled.title)])


def _cell(section: Section, page: Page, above: list[tuple[str, str]]) -> str:
    return _render("cell.html", page.address, section=section, source=_source(section), page=page, above=above)


def _source(section: Section) -> str:
    return "twins (synthetic data)" if section.source == "twin" else "real data"


def _render(template: str, address: str, **context: Any) -> str:
    def link(target: str) -> str:
        return addresses.between(address, target)

    return _environment().get_template(template).render(link=link, version=own_version(), **context) + "\n"


@cache
def _environment() -> Environment:
    """Every value is escaped; a name that a template misspells is an error."""
    loader = PackageLoader("ferbench.benchmark.board.site")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _as_json(value: Any) -> Markup:
    """JSON that can stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # made inert above


def _own_files() -> Iterator[tuple[str, bytes]]:
    for file in sorted(files("ferbench.benchmark.board.site").joinpath("assets").iterdir(), key=lambda each: each.name):
        yield file.name, file.read_bytes()
