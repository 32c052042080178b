"""What the page of a section shows: one line a row of the board, ablations, heat map, and the data of its chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ferbench.benchmark.board.costs import COSTS, cost, pareto
from ferbench.benchmark.board.heat import heat_lines
from ferbench.benchmark.board.literature import Literature, numbers
from ferbench.benchmark.board.markdown import NOTHING, amount, figure
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.board.site import addresses
from ferbench.benchmark.board.tables import HEADLINES, caveats, notes_of, tier
from ferbench.benchmark.measures.statistics import Interval
from ferbench.benchmark.records.entries import TRAINED_HERE

COST_NAMES = {"params": "parameters", "macs": "multiply-adds", "latency_ms_p50": "latency"}

UNITS = {"params": 1e6, "macs": 1e9, "latency_ms_p50": 1.0, "infer_samples_per_s": 1.0}


@dataclass(frozen=True)
class Value:
    """A cell of the table: what is written, what it is sorted by (itself where that is empty), what stands smaller
    beside it, and whether it is a cost by which its row is on the Pareto front."""

    text: str
    order: float | str = ""
    aside: str = ""
    front: bool = False


@dataclass(frozen=True)
class Column:
    """shown_from: pixels of a window from which on it is shown; None: only when a reader chooses it."""

    meaning: str
    shown_from: int | None = None


@dataclass(frozen=True)
class Line:
    """One row of the board."""

    title: str
    address: str
    kind: str
    view: str
    tier: str
    competes: bool
    dataset: str
    front: list[str]
    """Costs by which it is on the Pareto front, in words."""
    values: list[Value]
    notes: list[str]


@dataclass(frozen=True)
class Ablation:
    """A variant of a row, and how much better than that row it is."""

    dataset: str
    base: str
    option: str
    address: str
    score: str
    difference: str
    p: str


COLUMNS = {
    "rank": Column("Place within its data set; floors and the oracle have none", 600),
    "score": Column("ABAW, or CCC of a regression; 95% bootstrap interval in brackets", 0),
    "group": Column("Rows of one data set that share a letter cannot be told apart", 0),
    "± seeds": Column("Standard deviation over seeds", 700),
    "± folds": Column("Standard deviation over folds"),
    "view": Column("How the architecture sees a sample", 1000),
    "tier": Column("How its numbers came to be", 900),
    "coverage": Column("Share of the test samples that it answered; a missing answer is a wrong one", 900),
    "accuracy": Column("Share of samples that are right", 1200),
    "macro F1": Column("Mean of the F1 of each class", 1200),
    "UAR": Column("Mean of the recall of each class"),
    "params (M)": Column("Parameters of the size that ran, in millions", 700),
    "GMACs": Column("Multiply-adds of one input at the size that ran, in billions", 900),
    "latency (ms)": Column("Median at batch 1; compare on the same hardware only", 1000),
    "inputs/s": Column("Inference, at the largest batch of the list that fits"),
    "Pareto front": Column("No row has at least this score for less of it"),
    "hardware": Column("What speeds were measured on"),
    "seeds x folds": Column("Cells that the row is made of"),
    "started from": Column("Weights before training"),
    "published": Column("Published for the same protocol on the real data"),
    "reproduces": Column(
        "Whether it differs from the published row of this project by no more than trainings do", 1200
    ),
    "notes": Column("What must be known to read the row"),
}
"""Columns of the table, after architecture and data set: what they mean, and which are shown at first."""
_MAY_LACK = ("published", "reproduces", "± folds", "± seeds", "tier", "coverage")


def columns(lines: list[Line]) -> dict[str, Column]:
    """The columns that hold anything; of `_MAY_LACK` an empty one is left out."""
    empty = {
        name
        for index, name in enumerate(COLUMNS)
        if name in _MAY_LACK and all(line.values[index].text == NOTHING for line in lines)
    }
    return {name: column for name, column in COLUMNS.items() if name not in empty}


def lines(section: Section, page: str, literature: Literature, published: Published | None) -> list[Line]:
    """Every row of every data set, the best of each first; variants stand among the ablations instead."""
    found = []
    mixed = any(row.tier != TRAINED_HERE for table in section.tables for row in table.rows)
    for table in section.tables:
        _, notes = notes_of(table)
        beside = _published_numbers(literature, table)
        front = pareto(table)
        for place, row in enumerate(row for row in table.rows if not table.base(row)):
            values = _scores(table, row, place, mixed) + _costs(row, front[row.architecture])
            verdict = published.verdict(row, table.comparison.intervals.get(row.architecture)) if published else NOTHING
            values += [Value(beside.get(row.architecture, NOTHING)), Value(verdict)]
            values.append(Value("; ".join(notes[row.architecture]) or NOTHING))
            found.append(
                Line(
                    title=row.title,
                    address=addresses.between(page, addresses.of_row(section, table, row)),
                    kind=row.kind,
                    view=row.view,
                    tier=row.tier,
                    competes=row.competes,
                    dataset=table.name,
                    front=[COST_NAMES[name] for name in front[row.architecture]],
                    values=values,
                    notes=notes[row.architecture],
                )
            )
    return found


def _scores(table: DataTable, row: Row, place: int, mixed: bool) -> list[Value]:
    """mixed: whether the page has rows that were not trained here."""
    rank = str(table.ranks.get(row.architecture, NOTHING)) if row.competes else row.kind
    score, interval = _in_words(row.score, table.comparison.intervals.get(row.architecture))
    spreads = [float(each.std(ddof=1)) if len(each) > 1 else None for each in (row.seed_scores, row.fold_scores)]
    return [
        Value(rank, place),
        Value(score, _order(row.score), interval),
        Value(table.comparison.letters(row.architecture) or NOTHING),
        *(Value(figure(each), _order(each)) for each in spreads),
        Value(row.view if row.view != "none" else NOTHING),
        Value(tier(row) if mixed else NOTHING),
        Value(f"{row.coverage:.1%}" if row.coverage < 1 else NOTHING, _order(row.coverage)),
        *(Value(figure(v := row.scores.get(name)), _order(v)) for name in ("accuracy", "f1_macro", "uar")),
    ]


def _in_words(score: float | None, interval: Interval | None) -> tuple[str, str]:
    """A score and its interval as they stand everywhere."""
    return ("failed", "") if interval is None else (figure(score), f"[{figure(interval.low)}, {figure(interval.high)}]")


def _costs(row: Row, front: list[str]) -> list[Value]:
    measured = cost(row)
    each = {name: getattr(measured, name) if measured else None for name in UNITS}
    starts = sorted({str(record.data["started_from"] or "none") for record in row.records})
    return [
        *(Value(amount(value, UNITS[name]), _order(value), front=name in front) for name, value in each.items()),
        Value(", ".join(COST_NAMES[name] for name in front) or NOTHING),
        Value(measured.hardware if measured else NOTHING),
        Value(f"{len(row.seeds)} x {len(row.folds)}" if row.finished else NOTHING),
        Value(", ".join(starts) if row.competes else NOTHING),
    ]


def _order(value: float | None) -> float:
    """What is not known is less than anything that is."""
    return -1e9 if value is None or value != value else round(float(value), 9)


def _published_numbers(literature: Literature, table: DataTable) -> dict[str, str]:
    """By architecture, what was published for the same protocol, with its source."""
    return {
        architecture: f"{numbers(entry.results[name])} ({entry.source})"
        for entry in literature.entries
        if entry.matches(table)
        for name, architecture in entry.beside.items()
    }


def other_protocols(section: Section, literature: Literature) -> dict[str, list[str]]:
    """By real data set, what was published under other protocols; of twins nothing, for it has nothing to do with
    them."""
    found = {}
    for table in section.tables if section.source == "real" else ():
        entries = [each for each in literature.entries if each.dataset == table.dataset and not each.matches(table)]
        if entries:
            found[table.name] = [
                f"{entry.protocol}: {'; '.join(f'{name} {numbers(each)}' for name, each in entry.results.items())}"
                f" ({entry.source})"
                for entry in entries
            ]
    return found


def ablations(section: Section, page: str) -> list[Ablation]:
    """Each variant of each row with its paired difference."""
    found = []
    for table in section.tables:
        for name, variants in table.variants.items():
            base = table.row(name)
            assert base is not None
            for row in variants:
                change = table.comparison.changes.get(row.architecture)
                interval = change.interval if change else None
                found.append(
                    Ablation(
                        table.name,
                        base.title,
                        row.architecture.partition("@")[2].replace("=", ": ").replace("_", " "),
                        addresses.between(page, addresses.of_row(section, table, row)),
                        figure(row.score) if row.score is not None else "failed",
                        f"{change.value:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
                        if change and interval
                        else NOTHING,
                        NOTHING if change is None else "< 0.001" if change.p < 0.001 else figure(change.p),
                    )
                )
    return found


def remarks(section: Section) -> list[tuple[str, list[str]]]:
    """What is to be said of all rows of a data set alike, and what its rank groups do not say; data sets of which the
    same is to be said are named together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for table in section.tables:
        said = [f"All rows: {note}." for note in notes_of(table)[0]] + caveats(table)
        if said:
            found.setdefault(tuple(said), []).append(table.name)
    return [(", ".join(names), list(said)) for said, names in found.items()]


@dataclass(frozen=True)
class Heat:
    """columns: names of the data sets. lines: title, place by mean rank where there is one, whether it competes, and of
    each data set the score in words, its share of 1 and its page, or None."""

    columns: list[str]
    lines: list[tuple[str, int | None, bool, list[tuple[str, float, str] | None]]]


def heat(section: Section, page: str) -> Heat:
    """The scores of everything on every data set."""

    def field(table: DataTable, row: Row | None) -> tuple[str, float, str] | None:
        if row is None or row.score is None:
            return None
        address = addresses.between(page, addresses.of_row(section, table, row))
        return figure(row.score), round(max(row.score, 0.0), 3), address

    return Heat(
        [t.name if t.headline == "abaw" else f"{t.name} ({HEADLINES[t.headline]})" for t in section.tables],
        [
            (line.title, line.place, line.competes, list(map(field, section.tables, line.rows)))
            for line in heat_lines(section)
        ],
    )


def charts(section: Section, page: str) -> list[dict[str, Any]]:
    """The data of the scatter of each data set, as JSON that the page's script draws."""
    return [_scatter(section, table, page) for table in section.tables]


def _scatter(section: Section, table: DataTable, page: str) -> dict[str, Any]:
    front = pareto(table)
    points = []
    for row in table.ranked:
        measured = cost(row)
        interval = table.comparison.intervals[row.architecture]
        if measured is None or row.score is None:
            continue
        points.append(
            {
                "title": row.title,
                "link": addresses.between(page, addresses.of_row(section, table, row)),
                "score": row.score,
                "low": interval.low,
                "high": interval.high,
                "said": " ".join(_in_words(row.score, interval)),
                "hardware": measured.hardware,
                "front": front[row.architecture],
                "number": section.order.index(row.architecture) + 1,
                **{name: getattr(measured, name) for name in COSTS},
                "costs": {name: amount(getattr(measured, name), UNITS[name]) for name in COSTS},
            }
        )
    references = [
        {"title": row.title, "score": row.score, "floor": row.kind == "floor"}
        for row in table.rows
        if not row.competes and row.score is not None
    ]
    return {"name": table.name, "measure": HEADLINES[table.headline], "points": points, "references": references}
