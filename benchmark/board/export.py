"""The board for other programs and for papers: CSV, JSON, LaTeX, and a line to cite it with."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from typing import Any

from ferbench.benchmark.board.costs import cost, pareto
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.tables import HEADLINES
from ferbench.benchmark.records.installation import own_version

SCHEMA = 1
"""Of the JSON export; `board.schema.json` describes it."""


def as_csv(sections: Sequence[Section]) -> str:
    """One line a row; lists are joined with spaces, and what is not known is empty."""
    rows = [_plain(row) for section in sections for row in _rows(section)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _inert(value: Any) -> Any:
    """Text that a spreadsheet does not take for a formula: an apostrophe goes before what begins like one."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def as_json(sections: Sequence[Section]) -> str:
    """Everything that the board knows, as `board.schema.json` says."""
    content = {
        "schema": SCHEMA,
        "generator": f"ferbench {own_version()}",
        "sections": [
            {
                "suite": section.suite,
                "source": section.source,
                "size": section.size,
                "data_sets": [_data_set(table) for table in section.tables],
                "across": _across(section),
                "rows": _rows(section),
            }
            for section in sections
        ],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_latex(sections: Sequence[Section]) -> str:
    """A booktabs table for each section; bold: cannot be told apart from the best row of the data set."""
    return "\n".join(_latex(section) for section in sections)


def as_citation(sections: Sequence[Section]) -> str:
    """One line that names what was run, of which code and when."""
    records = [record for section in sections for record in section.records]
    environments = [record.data["environment"] for record in records]
    commits = sorted({str(each["commit"])[:12] for each in environments if each.get("commit")})
    days = sorted({str(each["created"])[:10] for each in environments if each.get("created")})
    span = "" if not days else days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    suites = ", ".join(dict.fromkeys(f"{s.suite} ({'twins' if s.source == 'twin' else 'real data'})" for s in sections))
    facts = [f"suite {suites}", f"{len(records)} records", span, f"commit {', '.join(commits)}" if commits else ""]
    line = f"ferbench {own_version()}: a leaderboard of facial expression recognition"
    return f"{line}; {'; '.join(filter(None, facts))}. How to cite the program itself: CITATION.cff.\n"


def _rows(section: Section) -> list[dict[str, Any]]:
    return [_row(section, table, row) for table in section.tables for row in table.rows]


def _row(section: Section, table: DataTable, row: Row) -> dict[str, Any]:
    interval = table.comparison.intervals.get(row.architecture)
    measured = cost(row)
    return {
        "suite": section.suite,
        "source": section.source,
        "size": section.size,
        "dataset": table.dataset,
        "protocol": table.variant,
        "architecture": row.architecture,
        "title": row.title,
        "kind": row.kind,
        "tier": row.tier,
        "coverage": row.coverage,
        "view": row.view,
        "rank": table.ranks.get(row.architecture),
        "group": table.comparison.letters(row.architecture),
        "headline": row.headline,
        "score": row.score,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "resampled": interval.unit if interval else None,
        "seeds": list(row.seeds),
        "folds": list(row.folds),
        "seed_spread": _spread(row.seed_scores),
        "fold_spread": _spread(row.fold_scores),
        **{name: row.scores.get(name) for name in ("accuracy", "f1_macro", "f1_weighted", "uar")},
        "failed_cells": len(row.failed),
        "started_from": sorted({str(record.data["started_from"] or "none") for record in row.records}),
        "params": measured.params if measured else None,
        "macs": measured.macs if measured else None,
        "latency_ms_p50": measured.latency_ms_p50 if measured else None,
        "infer_samples_per_s": measured.infer_samples_per_s if measured else None,
        "hardware": measured.hardware if measured else None,
        "pareto": pareto(table)[row.architecture],
    }


def _spread(values: Any) -> float | None:
    return float(values.std(ddof=1)) if len(values) > 1 else None


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: " ".join(map(str, value)) if isinstance(value, list) else value for name, value in row.items()}


def _data_set(table: DataTable) -> dict[str, Any]:
    return {
        "name": table.dataset,
        "protocol": table.variant,
        "headline": table.headline,
        "classes": table.classes,
        "definition": table.protocol,
        "groups": [list(group) for group in table.comparison.groups],
        "compared": list(table.comparison.ranked),
        "p": table.comparison.p.tolist(),
        "pairs": table.comparison.pairs,
        "told_apart": table.comparison.told_apart,
    }


def _across(section: Section) -> dict[str, Any] | None:
    found = section.across
    if found is None:
        return None
    return {
        "architectures": list(found.names),
        "mean_ranks": found.test.mean_ranks.tolist(),
        "blocks": found.test.data_sets,
        "friedman_p": found.test.p,
        "critical_difference": found.test.critical_difference,
        "decides": found.test.decides,
    }


def _latex(section: Section) -> str:
    kind = "synthetic stand-ins (twins)" if section.source == "twin" else "real data"
    columns = "l" + "c" * len(section.tables) + "c"
    names = [f"{_tex(table.name)} ({HEADLINES[table.headline]})" for table in section.tables]
    lines = [f"{_line(section, row)} \\\\" for row in _in_order(section)]
    floors = [f"{_line(section, row)} \\\\" for row in section.architectures if not row.competes]
    caption = (
        f"Suite {_tex(section.suite)}, size {_tex(section.size)}, {kind}. In brackets: 95\\% bootstrap interval. "
        "Bold: not told apart from the best of its column."
    )
    return "\n".join(
        [
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{caption}}}",
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            f"{' & '.join(['Architecture', *names, 'Mean rank'])} \\\\",
            "\\midrule",
            *lines,
            *(["\\midrule", *floors] if floors else []),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def _in_order(section: Section) -> list[Row]:
    rows = {row.architecture: row for row in section.architectures}
    return [rows[name] for name in section.order]


def _line(section: Section, row: Row) -> str:
    cells = [_tex(row.title)]
    for table in section.tables:
        own = table.row(row.architecture)
        interval = table.comparison.intervals.get(row.architecture)
        if own is None or own.score is None or interval is None:
            cells.append("--")
            continue
        groups = table.comparison.groups
        best = f"\\textbf{{{own.score:.3f}}}" if groups and row.architecture in groups[0] else f"{own.score:.3f}"
        cells.append(f"{best} [{interval.low:.3f}, {interval.high:.3f}]")
    mean = section.across.mean_rank.get(row.architecture) if section.across else None
    return " & ".join([*cells, "--" if mean is None else f"{mean:.1f}"])


def _tex(text: str) -> str:
    named = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: named.get(found[0], f"\\{found[0]}"), text)
