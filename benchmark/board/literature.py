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
_NAMES = {"accuracy": "accuracy", "f1_macro": "macro F1", "abaw": "ABAW", "uar": "UAR", "ccc": "CCC"}
CHOSEN = {
    "own validation": "chosen on own validation",
    "test": "chosen on test",
    "best of n": "best of n",
    "unknown": "chosen: unknown",
}
"""How the epoch, the settings or the run of a published number were chosen, and the words for it."""


@dataclass(frozen=True)
class Result:
    """The measures of one method, each a share, and how what was reported was chosen (one of `CHOSEN`)."""

    measures: dict[str, float]
    chosen: str

    @classmethod
    def of(cls, name: str, written: dict[str, Any]) -> Result:
        """What `published.yaml` says of the method `name`.

        Raises:
            ValueError: `chosen` is missing or none of `CHOSEN`, or a measure is unknown.
        """
        measures = {key: value for key, value in written.items() if key != "chosen"}
        chosen = written.get("chosen")
        if not isinstance(chosen, str) or chosen not in CHOSEN:
            said = "has no `chosen`" if chosen is None else f"has `chosen: {chosen}`"
            raise ValueError(f"{name} {said}: write one of {', '.join(CHOSEN)}")
        if unknown := [key for key in measures if key not in _NAMES]:
            raise ValueError(f"{name} has the measure {unknown[0]}: write one of {', '.join(_NAMES)}")
        return cls(measures, chosen)


@dataclass(frozen=True)
class Entry:
    """Results that one source measured under one protocol; see `published.yaml`."""

    dataset: str
    source: str
    protocol: str
    results: dict[str, Result]
    beside: dict[str, str] = field(default_factory=dict)
    requires: dict[str, Any] = field(default_factory=dict)
    differs: str = ""

    @classmethod
    def of(cls, written: dict[str, Any]) -> Entry:
        """One entry of `published.yaml`."""
        results = {name: Result.of(name, each) for name, each in written["results"].items()}
        return cls(**{**written, "results": results})

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
            self.entries = [Entry.of(entry) for entry in yaml.load(file.read_text(encoding="utf-8"), _Loader)]
        except (OSError, AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
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


def numbers(result: Result) -> str:
    """`accuracy 0.347, macro F1 0.413 (chosen on test)`."""
    shown = ", ".join(f"{_NAMES[name]} {figure(value, 5).rstrip('0')}" for name, value in result.measures.items())
    return f"{shown} ({CHOSEN[result.chosen]})"
