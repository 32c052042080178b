"""`show`: all that is known of one cell, or of all cells of an architecture on a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tabulate import tabulate

from ferbench.benchmark.board.cell_facts import commands, flat, hardest
from ferbench.benchmark.board.comparison import draw
from ferbench.benchmark.board.costs import cost
from ferbench.benchmark.board.find import find_row
from ferbench.benchmark.board.markdown import amount, count
from ferbench.benchmark.board.rows import Row


def show(results: Path, name: str) -> str:
    """The cell `name` below `results` (see `find_row`) as text.

    Raises:
        RequestError: there is no such cell, or it has not finished.
    """
    row = find_row(results, name)
    parts = [
        _title(row),
        _scores(row),
        _classes(row),
        _units(row, "subject", row.figures.by_subject),
        _units(row, "video", row.figures.by_video),
        _hardest(row),
        _cost(row),
    ]
    data = row.finished[0].data
    parts += [f"{kind}\n{_entries(data[kind])}" for kind in ("protocol", "recipe", "environment")]
    parts.append("\n  ".join(["run it again with", *commands(row)]))
    return "\n\n".join(part for part in parts if part)


def _title(row: Row) -> str:
    data = row.finished[0].data
    where = f"{row.title} ({row.architecture}) on {data['dataset']}, suite {data['suite']}, size {data['size']}"
    cells = f"{count(len(row.finished), 'cell')}: seeds {_numbers(row.seeds)}, folds {_numbers(row.folds)}"
    notes = [note for record in row.finished for note in record.data["notes"]]
    lines = [where, cells, f"started from {data['started_from']}", *dict.fromkeys(notes)]
    lines += [f"seed {r.data['seed']}, fold {r.data['fold']} failed: {r.data['error']}" for r in row.failed]
    lines += [f"{count(len(row.outdated), 'cell')} of an earlier version left out"] if row.outdated else []
    return "\n".join(lines)


def _numbers(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))


def _scores(row: Row) -> str:
    interval = draw([row]).interval(row)
    bounds = f"95% [{interval.low:.3f}, {interval.high:.3f}] over {interval.unit}s"
    lines = [[name, f"{value:.3f}", bounds if name == row.headline else ""] for name, value in row.scores.items()]
    for kind, each in (("seeds", row.seed_scores), ("folds", row.fold_scores)):
        if len(each) > 1:
            lines.append([f"± {kind}", f"{each.std(ddof=1):.3f}", f"from {each.min():.3f} to {each.max():.3f}"])
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _classes(row: Row) -> str:
    if row.confusion is None:
        return ""
    names = row.finished[0].data["classes"]
    f1 = ["-" if value is None else f"{value:.3f}" for value in row.figures.f1_per_class]
    lines = [[name, score, *counts] for name, score, counts in zip(names, f1, row.confusion.tolist(), strict=True)]
    return tabulate(lines, ["truth \\ predicted", "F1", *names], tablefmt="simple", disable_numparse=True)


def _units(row: Row, kind: str, each: Mapping[str, float]) -> str:
    measure = "CCC" if row.headline == "ccc" else "accuracy"
    lines = [[name, f"{value:.3f}"] for name, value in sorted(each.items(), key=lambda item: (item[1], item[0]))]
    return tabulate(lines, [kind, measure], tablefmt="simple", disable_numparse=True) if lines else ""


def _hardest(row: Row) -> str:
    found = hardest(row)
    if not found:
        return ""
    if row.headline == "ccc":
        headers = ["hardest samples", "truth", "predicted", "error"]
    else:
        headers = ["hardest samples", "truth", "predicted", "score of the truth"]
    lines = [[each.sample, each.truth, each.predicted, f"{each.measure:.3f}"] for each in found]
    return tabulate(lines, headers, tablefmt="simple", disable_numparse=True)


def _cost(row: Row) -> str:
    measured = cost(row)
    if measured is None:
        return ""
    lines = [
        ["params (M)", amount(measured.params, 1e6)],
        ["GMACs", amount(measured.macs, 1e9)],
        ["training (inputs/s)", amount(measured.train_samples_per_s)],
        ["inference (inputs/s)", amount(measured.infer_samples_per_s)],
        ["latency p50, p95 (ms)", f"{amount(measured.latency_ms_p50)}, {amount(measured.latency_ms_p95)}"],
        ["memory (MB)", amount(measured.peak_memory_mb)],
        ["measured on", measured.hardware],
    ]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _entries(values: Mapping[str, Any]) -> str:
    return "\n".join(f"  {name}: {value}" for name, value in flat(values).items())
