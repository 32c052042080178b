"""Published numbers beside ours: only where the same was asked of the same data, otherwise in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ferbench.benchmark.board.markdown import count, escape, figure
from ferbench.benchmark.board.sections import DataTable
from ferbench.benchmark.errors import RequestError

FILE = Path(__file__).parent / "published.yaml"
_NAMES = {"accuracy": "accuracy", "f1_macro": "macro F1", "abaw": "ABAW", "ccc": "CCC"}


@dataclass(frozen=True)
class Entry:
    """Results that one source measured under one protocol; see `published.yaml`."""

    dataset: str
    source: str
    protocol: str
    results: dict[str, dict[str, float]]
    beside: dict[str, str] = field(default_factory=dict)
    requires: dict[str, Any] = field(default_factory=dict)
    differs: str = ""

    def matches(self, data: DataTable) -> bool:
        """Whether the table's rows answer the question that these results answer."""
        record = next((row.finished[0].data for row in data.rows if row.finished), None)
        if record is None or record["source"] != "real" or record["dataset"] != self.dataset or not self.beside:
            return False
        notes = self.requires.get("notes", "")
        noted = any(str(note).startswith(notes) for note in record["notes"]) if notes else True
        return noted and len(record["classes"]) == self.requires.get("classes", len(record["classes"]))


@dataclass(frozen=True)
class Beside:
    """What stands in the column of published numbers, and its (escaped) footnote."""

    text: str
    note: str


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C, ten times as fast, where this PyYAML has it."""


class Literature:
    """All published numbers that the project knows."""

    def __init__(self, file: Path = FILE) -> None:
        try:
            self.entries = [Entry(**entry) for entry in yaml.load(file.read_text(encoding="utf-8"), _Loader)]
        except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
            raise RequestError(f"{file}: not a list of published numbers: {' '.join(str(error).split())}") from None

    def beside(self, data: DataTable) -> dict[str, Beside]:
        """By architecture, what was published for the same protocol."""
        found = {}
        for entry in self.entries:
            if not entry.matches(data):
                continue
            for name, architecture in entry.beside.items():
                differs = f"; {entry.differs}" if entry.differs else ""
                note = escape(f"published by {entry.source}: {entry.protocol}{differs}")
                found[architecture] = Beside(escape(numbers(entry.results[name])), note)
        shown = {row.architecture for row in data.rows}
        return {architecture: each for architecture, each in found.items() if architecture in shown}

    def words(self, data: DataTable) -> str:
        """What was published otherwise, as lines of markdown; of a twin only that it has nothing to do with it."""
        name = data.dataset.removesuffix("-twin")
        entries = [entry for entry in self.entries if entry.dataset == name]
        if not entries:
            return ""
        if data.dataset.endswith("-twin"):
            results = count(sum(len(entry.results) for entry in entries), "result")
            return (
                f"Published for the real {escape(name)}: {results}, with sources in `benchmark/board/published.yaml`. "
                "They say nothing about a twin, and none stands beside these rows."
            )
        others = [entry for entry in entries if not entry.matches(data)]
        if not others:
            return ""
        lines = [f"- {escape(entry.protocol)}: {_listed(entry)} ({escape(entry.source)})" for entry in others]
        return "\n".join(["Published under other protocols, not to be compared with these rows:", "", *lines])


def _listed(entry: Entry) -> str:
    return "; ".join(f"{escape(name)} {escape(numbers(each))}" for name, each in entry.results.items())


def numbers(measures: dict[str, float]) -> str:
    """`accuracy 0.347, macro F1 0.413`."""
    return ", ".join(f"{_NAMES[name]} {figure(value, 4).rstrip('0')}" for name, value in measures.items())
