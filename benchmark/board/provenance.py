"""Where the figures of a section come from: devices, versions, commit, dates, and each data set's protocol in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from benchmark.board.costs import hardware
from benchmark.board.markdown import count, escape
from benchmark.board.sections import DataTable, Section
from benchmark.records import Record

_LIBRARIES = ("python", "torch", "torchvision", "timm", "numpy")


def provenance(section: Section) -> str:
    """A list, one line a fact."""
    lines = [f"- {name}: {escape(value)}" for name, value in facts(section).items()]
    return "\n".join(lines + [_protocol(table) for table in section.tables])


def facts(section: Section) -> dict[str, str]:
    """What is known, by its name; plain text, not yet escaped."""
    records = section.records
    measured = [record for record in records if record.data["kind"] == "architecture"]
    failed = sum(record.data["status"] != "ok" for record in records)
    found = {
        "Cells": f"{len(records) - failed} finished, {failed} failed",
        "Hardware": _different(measured, hardware),
        "Host": _different(records, lambda record: _environment(record, "host_os")),
        "Workers side by side": _different(records, lambda record: _environment(record, "workers")),
        "Versions": _different(records, _versions),
        "Commit": _different(records, _commit),
        "Records from": _dates(records),
    }
    return {name: value for name, value in found.items() if value}


def _different(records: Iterable[Record], fact: Callable[[Record], str]) -> str:
    """Each value that occurs; with the number of cells where there are several."""
    found = Counter(value for record in records if (value := fact(record)))
    if len(found) == 1:
        return next(iter(found))
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return "; ".join(f"{value} ({count(cells, 'cell')})" for value, cells in ordered)


def _environment(record: Record, name: str) -> str:
    value = record.data["environment"].get(name)
    return "" if value is None else str(value)


def _versions(record: Record) -> str:
    return _in_words(*(record.data["environment"].get(name) for name in _LIBRARIES))


@cache
def _in_words(*versions: object) -> str:
    return ", ".join(f"{name} {version}" for name, version in zip(_LIBRARIES, versions, strict=True) if version)


def _commit(record: Record) -> str:
    commit = _environment(record, "commit")[:12]
    return f"{commit} with uncommitted changes" if commit and record.data["environment"].get("dirty") else commit


def _dates(records: Iterable[Record]) -> str:
    created = sorted(text for record in records if (text := _environment(record, "created")))
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
