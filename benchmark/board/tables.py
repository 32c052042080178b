"""The tables of a section: all data sets at a glance, then scores and costs of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ferbench.benchmark.board import matrices
from ferbench.benchmark.board.costs import Cost, cost, hardware_letters, pareto, setting
from ferbench.benchmark.board.literature import Literature
from ferbench.benchmark.board.markdown import NO_BREAK, NOTHING, Marks, amount, count, escape, figure, table
from ferbench.benchmark.board.reproduction import Published
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.measures.statistics import FEWEST_DATA_SETS
from ferbench.benchmark.records.entries import TRAINED_HERE
from ferbench.benchmark.records.record import BY_HAND, ELSEWHERE

_WORDS = (
    "rank",
    "group",
    "architecture",
    "tier",
    "recipe",
    "view",
    "started from",
    "published",
    "reproduces published",
    "hardware",
)
_SPREADS = ("± seeds", "± folds")
HEADLINES = {"abaw": "ABAW", "ccc": "CCC"}
TASKS = {"still": "Pictures", "video": "Clips and videos", "valence": "Valence", "": "Others"}
"""What data sets ask, where there are too many for one table."""
AT_A_GLANCE = 6
"""Data sets that are readable side by side."""
FRONT = "◆"
"""Stands beside a cost that no row undercuts at an equal or a better score."""


def all_datasets(section: Section) -> str:
    """The headline measure of every row on every data set, with its rank groups. Means are over all data sets or not
    at all: a mean over some of them would compare different questions."""
    if matrices.is_transfer(section):
        return matrices.matrices(section)
    kinds = {kind: [table for table in section.tables if table.task == kind] for kind in TASKS}
    legend = "After a score: its rank groups. Rows of one data set that cannot be told apart share a letter."
    if len(section.tables) <= AT_A_GLANCE or len([kind for kind in kinds if kinds[kind]]) < 2:
        return _part(section, section, legend)
    parts = []
    for kind, own in kinds.items():
        if own:
            parts += [f"**{TASKS[kind]}**", _part(section, replace(section, tables=tuple(own)))]
    return "\n\n".join([*parts, f"{legend} Ranks and means are those of a table; # is a row's number in the plots."])


def _part(section: Section, part: Section, *first: str) -> str:
    """A part of a section at a glance, with its notes under it."""
    marks, alike = Marks(), _recipes_alike(part.tables)
    text = _glance(section, part, marks, alike=bool(alike))
    return _with_notes(text, [*first, *alike, *marks.notes()])


def _glance(section: Section, part: Section, marks: Marks, *, alike: bool) -> str:
    """The tables of a part of a section side by side, a line a row that is in one of them."""
    tables, lines = part.tables, []
    for row in section.architectures:
        name = row.architecture
        if any(table.base(row) for table in section.tables if table.row(name)):
            continue  # a variant stands in the table of its ablation
        if not any(table.row(name) for table in tables):
            continue
        number = str(section.order.index(name) + 1) if row.competes else NOTHING
        scores = [_score_anywhere(table, name, marks) for table in tables]
        mean, mean_rank = _means(part, name)
        title = (escape(row.title) if row.competes else _name(row)) + marks.of([] if alike else _tuned(tables, name))
        key = (part.order.index(name) if row.competes else len(part.order), -(mean or 0.0), name)
        lines.append((key, [number, title, _view(row), *scores, figure(mean_rank, 1), figure(mean)]))
    lines.sort(key=lambda sortable: sortable[0])
    headers = ["#", "architecture", "view", *(_column(table) for table in tables), "mean rank", "mean"]
    return table(headers, [line for _, line in lines], _WORDS)


def _tuned(tables: Sequence[DataTable], name: str) -> list[str]:
    """What must be known of a row whose recipe a search has chosen, beside others by hand."""
    rows = [row for table in tables if (row := table.row(name)) is not None]
    found = {row.chosen.removesuffix(ELSEWHERE) for row in rows} - {BY_HAND}
    return [f"recipe {escape(chosen)}" for chosen in sorted(found)]


def _recipes_alike(tables: Sequence[DataTable]) -> list[str]:
    """What is to be said where the recipes of all rows were chosen in one way, and by a search."""
    rows = [row for table in tables for row in table.rows if row.kind == "architecture" and not table.base(row)]
    found = {row.chosen.removesuffix(ELSEWHERE) for row in rows}
    return [] if len(found) != 1 or BY_HAND in found else [f"Recipes of all rows {escape(found.pop())}."]


def across(section: Section) -> str:
    """What can be said of all data sets together, in a sentence or two."""
    found = section.across
    if found is None:
        return "Over all data sets nothing can be said: fewer than two architectures have a rank on each of them."
    test, numbers = found.test, f"{len(found.names)} architectures"
    blocks = count(test.data_sets, "data set")
    if test.data_sets != len(section.tables):
        blocks += f" ({len(section.tables)} tables; those that share their faces count as one)"
    critical = f"by Nemenyi's test mean ranks must differ by {test.critical_difference:.1f}"
    if test.data_sets < FEWEST_DATA_SETS:
        return (
            f"{blocks} cannot decide which of {numbers} is better in general: at least {FEWEST_DATA_SETS} are needed, "
            f"and {critical}. Mean ranks describe these data sets only."
        )
    if test.too_few:
        return f"{blocks} are too few to tell {numbers} apart: {critical}, more than any two could."
    p = f"Friedman's test over {blocks} and {numbers}: p {f'= {figure(test.p)}' if test.p >= 0.001 else '< 0.001'}"
    if not test.decides:
        return f"{p}: no difference in general is shown. Mean ranks describe these data sets only."
    return f"{p}; {critical} for a pair to differ in general."


def scores(data: DataTable, published: Published | None, literature: Literature) -> str:
    """One line a row, the best first, with what must be known to read it in footnotes."""
    marks = Marks()
    everywhere, row_notes = notes_of(data)
    rows = [row for row in data.rows if not data.base(row)]
    named = HEADLINES[data.headline]
    beside = literature.beside(data)
    tiers = ["tier"] if any(row.tier != rows[0].tier for row in rows) else []
    tiers += ["coverage"] if any(row.coverage < 1 for row in rows) else []
    alike = _recipes_alike([data])
    tiers += ["recipe"] if not alike and any(row.chosen != BY_HAND for row in rows) else []
    headers = ["rank", "group", "architecture", *tiers, "view", f"{named} [95% over {data.comparison.unit}s]"]
    headers += [*_SPREADS, *(label for label, _ in _further(data)), "seeds x folds", "started from"]
    headers += (["published"] if beside else []) + (["reproduces published"] if published else [])
    lines = []
    for row in rows:
        notes = _escaped(row_notes[row.architecture]) + (
            [beside[row.architecture].note] if row.architecture in beside else []
        )
        rank = str(data.ranks.get(row.architecture, NOTHING)) if row.competes else row.kind
        group = data.comparison.letters(row.architecture) or NOTHING
        line = [
            rank,
            group,
            _name(row) + marks.of(notes),
            *(
                {
                    "tier": tier(row),
                    "coverage": NOTHING if row.score is None else f"{row.coverage:.1%}",
                    "recipe": _recipe(row, marks),
                }[name]
                for name in tiers
            ),
            _view(row),
        ]
        line += _score_cells(data, row)
        line += [_cells(row), _started_from(row)]
        line += [beside[row.architecture].text if row.architecture in beside else NOTHING] if beside else []
        line += [escape(published.verdict(row, data.comparison.intervals.get(row.architecture)))] if published else []
        lines.append(line)
    notes = [*marks.notes(), *alike, *(f"All rows: {note}." for note in _escaped(everywhere)), *caveats(data)]
    return _with_notes(table(*_without_empty(_SPREADS, headers, lines), _WORDS), notes)


def costs(data: DataTable) -> str:
    """One line an architecture, in the order of the scores; empty when nothing was measured."""
    found = [(row, measured) for row in data.rows if not data.base(row) and (measured := cost(row)) is not None]
    if not found:
        return ""
    letters = hardware_letters(row for row, _ in found)
    front = pareto(data)
    marks = Marks()
    headers = ["architecture", "params (M)", "GMACs", "paper's params (M)", "paper's GMACs", "training (inputs/s)"]
    headers += ["inference (inputs/s)", "batch", "latency p50 (ms)", "p95 (ms)", "memory (MB)"]
    headers += ["hardware"] if len(letters) > 1 else []
    lines = []
    for row, measured in found:
        line = [escape(row.title), *_cost_cells(measured, front[row.architecture])]
        if len(letters) > 1:
            line.append(letters[measured.hardware] + marks.of(_elsewhere(measured)))
        lines.append(line)
    names = [f"{letter}: {escape(name)}" if len(letters) > 1 else escape(name) for name, letter in letters.items()]
    measured_on = f"Measured on {'; '.join(names)}."
    if len(letters) > 1:
        measured_on += " Speeds and memory of different hardware must not be compared."
    pareto_note = f"{FRONT} on the Pareto front: no row has at least this {HEADLINES[data.headline]} for less"
    pareto_note += " (latency: on the same hardware)." if len(letters) > 1 else "."
    return _with_notes(table(headers, lines, _WORDS), [measured_on, pareto_note, *marks.notes()])


def _recipe(row: Row, marks: Marks) -> str:
    """How its recipe was chosen; of a row that trains nothing that is no question."""
    if row.kind != "architecture":
        return NOTHING
    return BY_HAND if row.chosen == BY_HAND else "by search" + marks.of([f"recipe {escape(row.chosen)}"])


def tier(row: Row) -> str:
    """How its numbers came to be; of a floor and the oracle that is no question."""
    return NOTHING if row.kind in ("floor", "oracle") else row.tier


def _escaped(notes: Sequence[str]) -> list[str]:
    return [escape(note) for note in notes]


def _without_empty(
    names: Sequence[str], headers: Sequence[str], lines: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """A table without those of the named columns that hold nothing."""
    kept = [i for i, name in enumerate(headers) if name not in names or any(line[i] != NOTHING for line in lines)]
    return [headers[i] for i in kept], [[line[i] for i in kept] for line in lines]


def _with_notes(text: str, notes: Sequence[str]) -> str:
    return text + ("\n\n" + "<br>\n".join(notes) if notes else "")


def _column(data: DataTable) -> str:
    return escape(data.name) + ("" if data.headline == "abaw" else f" ({HEADLINES[data.headline]})")


def _further(data: DataTable) -> list[tuple[str, str]]:
    """Headers and names of the measures beside the headline."""
    if data.headline == "ccc":
        return []
    return [("accuracy", "accuracy"), ("macro F1", "f1_macro"), ("weighted F1", "f1_weighted"), ("UAR", "uar")]


def _score_anywhere(data: DataTable, architecture: str, marks: Marks) -> str:
    row = data.row(architecture)
    if row is None:
        return NOTHING
    letters = data.comparison.letters(architecture)
    score = "failed" if row.score is None else figure(row.score) + (f"{NO_BREAK}{letters}" if letters else "")
    return score + marks.of(_escaped(_failures(row) + _lacking(data, row)))


def _means(section: Section, architecture: str) -> tuple[float | None, float | None]:
    """Mean score and mean rank; none unless the row is whole on each data set, no mean of different measures."""
    rows = [(table, table.row(architecture)) for table in section.tables]
    values = [row.score for table, row in rows if row is not None and row.covers(table.folds) and row.score is not None]
    one_measure = len({table.headline for table in section.tables}) == 1
    mean = sum(values) / len(values) if len(values) == len(rows) and one_measure else None
    ranks = section.across.mean_rank if section.across else {}
    return mean, ranks.get(architecture)


def notes_of(data: DataTable) -> tuple[list[str], dict[str, list[str]]]:
    """What is to be said of all rows alike, and of each row by itself; plain text, not yet escaped."""
    own = {row.architecture: _about(row) for row in data.rows}
    finished = [own[row.architecture] for row in data.rows if row.finished]
    common = [note for note in (finished[0] if finished else []) if all(note in notes for notes in finished)]
    settings = _settings(data)
    each = {
        row.architecture: [note for note in own[row.architecture] if note not in common]
        + _lacking(data, row)
        + _failures(row)
        + settings.get(row.architecture, [])
        for row in data.rows
    }
    return common, each


def _about(row: Row) -> list[str]:
    """What the records say that changes how a score is read."""
    notes: dict[str, None] = {}
    for record in row.finished:
        data = record.data
        if data["absent_classes"]:
            notes[f"the data lack {', '.join(data['absent_classes'])}"] = None
        if not data["subjects_known"]:
            notes["subjects are unknown, so it is not known whether training and test share people"] = None
        notes.update((str(note), None) for note in data["notes"])
    return list(notes)


def _settings(data: DataTable) -> dict[str, list[str]]:
    """Marks rows that ran on other hardware, with other libraries or with other training code than most: their scores
    are shown, but a difference may be that of the machines."""
    notes: dict[str, list[str]] = {}
    trained = [row for row in data.ranked if row.tier == TRAINED_HERE]
    settings = {row.architecture: [setting(record) for record in row.finished] for row in trained}
    for kind, words in (("machine", "ran on"), ("training", "trained with version")):
        found = {name: sorted({each[kind] for each in own} - {""}) for name, own in settings.items()}
        numbers = Counter(value for values in found.values() for value in values)
        if len(numbers) > 1:
            most = min(numbers, key=lambda value: (-numbers[value], value))
            for name, values in found.items():
                if values != [most]:
                    note = f"{words} {' and '.join(values)}, most rows {most}: compare with care"
                    notes.setdefault(name, []).append(note)
    return notes


def caveats(data: DataTable) -> list[str]:
    """What the rank groups do and do not say."""
    if len(data.ranked) < 2:
        return []
    unit = data.comparison.unit
    said = (
        f"Groups: paired bootstrap over {unit}s, corrected for all pairs, 5%; rows that cannot be told apart share a "
        "letter."
    )
    if data.comparison.seeds == "one":
        said += " They compare trained models: with one seed, what another training would give is not known."
    else:
        said += " How much trainings differ, as the seeds show it, is part of the test."
    if data.comparison.seeds == "some":
        said += " For rows with one seed it is taken from the others, which may be steadier."
    return [said]


def _lacking(data: DataTable, row: Row) -> list[str]:
    """A row that lacks folds was scored on other samples than its neighbours."""
    notes = []
    if row.outdated:
        notes.append(f"without {count(len(row.outdated), 'cell')} of an earlier version of its code, weights or data")
    if row.finished and not row.covers(data.folds):
        done, wanted = len(row.finished), len(row.seeds) * len(data.folds)
        where = f"scored on {done} of {count(wanted, 'cell')}"
        notes.append(f"{where}, that is on other samples than its neighbours: not ranked")
    return notes


def _failures(row: Row) -> list[str]:
    return [
        f"seed {record.data['seed']}, fold {record.data['fold']} failed: {record.data['error'] or 'no reason'}"
        for record in row.failed
    ]


def _name(row: Row) -> str:
    """Floors and oracles are no competitors: they stand in italics."""
    if row.competes:
        return escape(row.title)
    return f"*{row.kind}: {escape(row.title)}*" if row.kind not in row.title.lower() else f"*{escape(row.title)}*"


def _view(row: Row) -> str:
    return row.view if row.view != "none" else NOTHING


def _score_cells(data: DataTable, row: Row) -> list[str]:
    further = [metric for _, metric in _further(data)]
    if row.score is None:
        return ["failed", *[NOTHING] * (2 + len(further))]
    spreads = [figure(each.std(ddof=1)) if len(each) > 1 else NOTHING for each in (row.seed_scores, row.fold_scores)]
    return [with_interval(data, row), *spreads, *(figure(row.scores[metric]) for metric in further)]


def with_interval(data: DataTable, row: Row) -> str:
    """`0.512 [0.480, 0.544]`."""
    interval = data.comparison.intervals[row.architecture]
    return f"{figure(row.score)} [{figure(interval.low)}, {figure(interval.high)}]"


def _cells(row: Row) -> str:
    return f"{len(row.seeds)} x {len(row.folds)}" if row.finished else NOTHING


def _started_from(row: Row) -> str:
    starts = sorted({str(record.data["started_from"] or "none") for record in row.records})
    return escape(", ".join(starts)) if row.competes else NOTHING


def _cost_cells(measured: Cost, front: Sequence[str]) -> list[str]:
    def marked(name: str, unit: float = 1) -> str:
        return amount(getattr(measured, name), unit) + (f" {FRONT}" if name in front else "")

    return [
        marked("params", 1e6),
        marked("macs", 1e9),
        amount(measured.params_full, 1e6),
        amount(measured.macs_full, 1e9),
        amount(measured.train_samples_per_s),
        amount(measured.infer_samples_per_s),
        "/".join(map(str, measured.infer_batches)) or NOTHING,
        marked("latency_ms_p50"),
        amount(measured.latency_ms_p95),
        amount(measured.peak_memory_mb),
    ]


def _elsewhere(measured: Cost) -> list[str]:
    if not measured.other_cells:
        return []
    return [f"without the {count(measured.other_cells, 'cell')} of this row that ran on other hardware"]
