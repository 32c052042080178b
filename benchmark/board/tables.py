"""The tables of a section: all data sets at a glance, then scores and costs of each."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.board.costs import Cost, cost, hardware_letters
from benchmark.board.markdown import NOTHING, Marks, amount, count, escape, figure, table
from benchmark.board.reproduction import Published
from benchmark.board.rows import Row
from benchmark.board.sections import DataTable, Section

_WORDS = ("rank", "architecture", "view", "started from", "reproduces published", "hardware")


def all_datasets(section: Section) -> str:
    """ABAW of every row on every data set. Means are over all data sets or not at all: a mean over some of them
    would compare different questions."""
    marks = Marks()
    lines = []
    for row in section.architectures:
        scores = [_score_anywhere(table, row.architecture, marks) for table in section.tables]
        mean, mean_rank = _means(section, row.architecture)
        title = escape(row.title) if row.kind == "architecture" else _name(row)
        line = [title, _view(row), *scores, figure(mean), figure(mean_rank, 1)]
        lines.append(((mean is None, -(mean or 0.0), row.architecture), line))
    lines.sort(key=lambda sortable: sortable[0])
    headers = ["architecture", "view", *(escape(table.name) for table in section.tables), "mean ABAW", "mean rank"]
    return _with_notes(table(headers, [line for _, line in lines], _WORDS), marks.notes())


def scores(data: DataTable, published: Published | None) -> str:
    """One line a row, the best first, with what must be known to read it in footnotes."""
    marks = Marks()
    everywhere, row_notes = _notes(data)
    unit = next((row.interval.unit for row in data.rows if row.interval), "sample")
    headers = ["rank", "architecture", "view", f"ABAW [95% over {unit}s]", "accuracy", "macro F1", "weighted F1", "UAR"]
    headers += ["seeds x folds", "started from"] + (["reproduces published"] if published else [])
    lines = []
    for row in data.rows:
        mark = marks.of(row_notes[row.architecture])
        line = [_rank(data, row), _name(row) + mark, _view(row), *_score_cells(row), _cells(row), _started_from(row)]
        lines.append([*line, escape(published.verdict(row))] if published else line)
    notes = marks.notes() + [f"All rows: {note}." for note in everywhere]
    return _with_notes(table(headers, lines, _WORDS), notes)


def costs(data: DataTable) -> str:
    """One line an architecture, in the order of the scores; empty when nothing was measured."""
    found = [(row, measured) for row in data.rows if (measured := cost(row)) is not None]
    if not found:
        return ""
    letters = hardware_letters(row for row, _ in found)
    marks = Marks()
    headers = ["architecture", "params (M)", "GMACs", "paper's params (M)", "paper's GMACs", "training (inputs/s)"]
    headers += ["inference (inputs/s)", "batch", "latency p50 (ms)", "p95 (ms)", "memory (MB)"]
    headers += ["hardware"] if len(letters) > 1 else []
    lines = []
    for row, measured in found:
        line = [escape(row.title), *_cost_cells(measured)]
        if len(letters) > 1:
            line.append(letters[measured.hardware] + marks.of(_elsewhere(measured)))
        lines.append(line)
    names = [f"{letter}: {escape(name)}" if len(letters) > 1 else escape(name) for name, letter in letters.items()]
    measured_on = f"Measured on {'; '.join(names)}."
    if len(letters) > 1:
        measured_on += " Speeds and memory of different hardware must not be compared."
    return _with_notes(table(headers, lines, _WORDS), [measured_on, *marks.notes()])


def _with_notes(text: str, notes: Sequence[str]) -> str:
    return text + ("\n\n" + "<br>\n".join(notes) if notes else "")


def _score_anywhere(data: DataTable, architecture: str, marks: Marks) -> str:
    row = data.row(architecture)
    if row is None:
        return NOTHING
    notes = _failures(row) + _lacking(data, row)
    return (figure(row.scores["abaw"]) if row.scores else "failed") + marks.of(notes)


def _means(section: Section, architecture: str) -> tuple[float | None, float | None]:
    rows = [(table, table.row(architecture)) for table in section.tables]
    if not all(row is not None and row.scores and row.covers(table.folds) for table, row in rows):
        return None, None
    values = [row.scores["abaw"] for _, row in rows if row is not None]
    ranks = [rank for table, _ in rows if (rank := table.ranks.get(architecture)) is not None]
    return sum(values) / len(values), sum(ranks) / len(ranks) if len(ranks) == len(values) else None


def _notes(data: DataTable) -> tuple[list[str], dict[str, list[str]]]:
    """What is to be said of all rows alike, and of each row by itself."""
    own = {row.architecture: _about(row) for row in data.rows}
    finished = [own[row.architecture] for row in data.rows if row.finished]
    common = [note for note in (finished[0] if finished else []) if all(note in notes for notes in finished)]
    each = {
        row.architecture: [note for note in own[row.architecture] if note not in common]
        + _lacking(data, row)
        + _failures(row)
        for row in data.rows
    }
    return common, each


def _about(row: Row) -> list[str]:
    """What the records say that changes how a score is read."""
    notes: dict[str, None] = {}
    for record in row.finished:
        data = record.data
        if data["absent_classes"]:
            notes[f"the data lack {escape(', '.join(data['absent_classes']))}"] = None
        if not data["subjects_known"]:
            notes["subjects are unknown, so it is not known whether training and test share people"] = None
        notes.update((escape(note), None) for note in data["notes"])
    return list(notes)


def _lacking(data: DataTable, row: Row) -> list[str]:
    """A row that lacks folds was scored on other samples than its neighbours."""
    if not row.finished or row.covers(data.folds):
        return []
    done = len(row.finished)
    wanted = len(row.seeds) * len(data.folds)
    return [f"scored on {done} of {count(wanted, 'cell')}, that is on other samples than its neighbours: not ranked"]


def _failures(row: Row) -> list[str]:
    return [
        f"seed {record.data['seed']}, fold {record.data['fold']} failed: {escape(record.data['error'] or 'no reason')}"
        for record in row.failed
    ]


def _rank(data: DataTable, row: Row) -> str:
    return str(data.ranks.get(row.architecture, NOTHING)) if row.kind == "architecture" else row.kind


def _name(row: Row) -> str:
    """Floors and oracles are no competitors: they stand in italics."""
    if row.kind == "architecture":
        return escape(row.title)
    return f"*{row.kind}: {escape(row.title)}*" if row.kind not in row.title.lower() else f"*{escape(row.title)}*"


def _view(row: Row) -> str:
    return row.view if row.view != "none" else NOTHING


def _score_cells(row: Row) -> list[str]:
    if not row.scores or row.interval is None:
        return ["failed", *[NOTHING] * 4]
    low, high = figure(row.interval.low), figure(row.interval.high)
    rest = [figure(row.scores[metric]) for metric in ("accuracy", "f1_macro", "f1_weighted", "uar")]
    return [f"{figure(row.scores['abaw'])} [{low}, {high}]", *rest]


def _cells(row: Row) -> str:
    return f"{len(row.seeds)} x {len(row.folds)}" if row.finished else NOTHING


def _started_from(row: Row) -> str:
    starts = sorted({str(record.data["started_from"] or "none") for record in row.records})
    return escape(", ".join(starts)) if row.kind == "architecture" else NOTHING


def _cost_cells(measured: Cost) -> list[str]:
    return [
        amount(measured.params, 1e6),
        amount(measured.macs, 1e9),
        amount(measured.params_full, 1e6),
        amount(measured.macs_full, 1e9),
        amount(measured.train_samples_per_s),
        amount(measured.infer_samples_per_s),
        "/".join(map(str, measured.infer_batches)) or NOTHING,
        amount(measured.latency_ms_p50),
        amount(measured.latency_ms_p95),
        amount(measured.peak_memory_mb),
    ]


def _elsewhere(measured: Cost) -> list[str]:
    if not measured.other_cells:
        return []
    return [f"without the {count(measured.other_cells, 'cell')} of this row that ran on other hardware"]
