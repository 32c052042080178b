"""Where the figures of a section come from: devices, versions, commit, dates, and each data set's protocol in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ferbench.benchmark.board.costs import hardware
from ferbench.benchmark.board.markdown import count, escape
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.records.record import Record

_LIBRARIES = ("python", "torch", "torchvision", "timm", "numpy")


class Known(NamedTuple):
    """What is told of the environment of a record, in words; empty where it is not known."""

    host_os: str
    workers: str
    versions: str
    commit: str


def provenance(section: Section) -> str:
    """A list, one line a fact."""
    return "\n".join(f"- {name}: {escape(value)}" for name, value in facts(section).items())


def facts(section: Section) -> dict[str, str]:
    """What is known, by its name; plain text, not yet escaped."""
    records = section.records
    failed = sum(record.data["status"] != "ok" for record in records)
    known = [_known(record.data["environment"]) for record in records]
    found = {
        "Cells": f"{len(records) - failed} finished, {failed} failed",
        "Hardware": _each(hardware(record) for record in records if record.data["kind"] == "architecture"),
        "Host": _each(each.host_os for each in known),
        "Workers side by side": _each(each.workers for each in known),
        "Versions": _each(each.versions for each in known),
        "Commit": _each(each.commit for each in known),
        "Records from": _dates(records),
    }
    return {name: value for name, value in found.items() if value}


def _each(values: Iterable[str]) -> str:
    """Each value that is known; with the number of cells where there are several."""
    found = Counter(value for value in values if value)
    known = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    if len(known) == 1:
        return known[0][0]
    return "; ".join(f"{value} ({count(cells, 'cell')})" for value, cells in known)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _known(environment: Mapping[str, object]) -> Known:
    versions = [(name, _text(environment.get(name))) for name in _LIBRARIES]
    commit = _text(environment.get("commit"))[:12]
    return Known(
        _text(environment.get("host_os")),
        _text(environment.get("workers")),
        ", ".join(f"{name} {version}" for name, version in versions if version),
        f"{commit} with uncommitted changes" if commit and environment.get("dirty") else commit,
    )


def _dates(records: Iterable[Record]) -> str:
    created = sorted(text for record in records if (text := _text(record.data["environment"].get("created"))))
    if not created:
        return ""
    first, last = created[0][:10], created[-1][:10]
    return f"{first} (UTC)" if first == last else f"{first} to {last} (UTC)"


def protocol(table: DataTable) -> str:
    """What was asked of the rows of a table, as one line of plain text."""
    return words(table.protocol) or "not recorded"


def words(protocol: Mapping[str, Any]) -> str:
    """A protocol as one line of plain text."""
    said = (
        f"{name.replace('_', ' ')}: {_value(value)}{_MEANT.get(name, '')}" for name, value in sorted(protocol.items())
    )
    return "; ".join(said)


_MEANT = {"validation": " of training, cut from it where the release has no such part"}
"""What a number does not say of itself."""


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
