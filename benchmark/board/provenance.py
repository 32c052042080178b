"""Where the figures of a section come from: devices, versions, commit, dates, and each data set's protocol in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmark.board.costs import hardware
from benchmark.board.markdown import count, escape
from benchmark.board.sections import DataTable, Section
from benchmark.records import Record

_LIBRARIES = ("python", "torch", "torchvision", "timm", "numpy")
_FACTS = (*_LIBRARIES, "host_os", "workers", "commit", "dirty")
"""What is told of the environment of a record."""

Environment = Mapping[str, object]


def provenance(section: Section) -> str:
    """A list, one line a fact."""
    lines = [f"- {name}: {escape(value)}" for name, value in facts(section).items()]
    return "\n".join(lines + [_protocol(table) for table in section.tables])


def facts(section: Section) -> dict[str, str]:
    """What is known, by its name; plain text, not yet escaped."""
    records = section.records
    failed = sum(record.data["status"] != "ok" for record in records)
    environments = Counter(tuple(map(record.data["environment"].get, _FACTS)) for record in records)

    def different(fact: Callable[[Environment], str]) -> str:
        found: Counter[str] = Counter()
        for values, cells in environments.items():
            found[fact(dict(zip(_FACTS, values, strict=True)))] += cells
        return _each(found)

    found = {
        "Cells": f"{len(records) - failed} finished, {failed} failed",
        "Hardware": _each(Counter(hardware(record) for record in records if record.data["kind"] == "architecture")),
        "Host": different(lambda environment: _text(environment["host_os"])),
        "Workers side by side": different(lambda environment: _text(environment["workers"])),
        "Versions": different(_versions),
        "Commit": different(_commit),
        "Records from": _dates(records),
    }
    return {name: value for name, value in found.items() if value}


def _each(found: Mapping[str, int]) -> str:
    """Each value that is known; with the number of cells where there are several."""
    known = sorted(((value, cells) for value, cells in found.items() if value), key=lambda each: (-each[1], each[0]))
    if len(known) == 1:
        return known[0][0]
    return "; ".join(f"{value} ({count(cells, 'cell')})" for value, cells in known)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _versions(environment: Environment) -> str:
    return ", ".join(f"{name} {environment[name]}" for name in _LIBRARIES if _text(environment[name]))


def _commit(environment: Environment) -> str:
    commit = _text(environment["commit"])[:12]
    return f"{commit} with uncommitted changes" if commit and environment["dirty"] else commit


def _dates(records: Iterable[Record]) -> str:
    created = sorted(text for record in records if (text := _text(record.data["environment"].get("created"))))
    if not created:
        return ""
    first, last = created[0][:10], created[-1][:10]
    return f"{first} (UTC)" if first == last else f"{first} to {last} (UTC)"


def _protocol(table: DataTable) -> str:
    return f"- Protocol of {escape(table.name)}: {escape(words(table.protocol)) or 'not recorded'}"


def words(protocol: Mapping[str, Any]) -> str:
    """A protocol as one line of plain text."""
    return "; ".join(f"{name.replace('_', ' ')}: {_value(value)}" for name, value in sorted(protocol.items()))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} = {_value(each)}" for key, each in value.items())
    return (
        ", ".join(_value(each) for each in value) if isinstance(value, list | tuple) else str(value).replace("_", " ")
    )
