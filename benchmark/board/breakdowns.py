"""Where the scores of a data set come from, and what changes of an architecture cost: classes, subjects, videos and
ablations."""

from __future__ import annotations

from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from ferbench.benchmark.board.markdown import NOTHING, escape, figure, table
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable
from ferbench.benchmark.board.tables import HEADLINES, with_interval
from ferbench.benchmark.measures.calibration import BINS
from ferbench.benchmark.records.explained import Explained, read_explained

_HARDEST = 3
ONE_SEED = (
    "**One seed: they compare two trained models, not two designs.** Trained from another seed, the same design can "
    "differ as much; three seeds or more put that into p."
)


def classes(data: DataTable) -> str:
    """F1 of each class, a line a row; empty where there are no classes."""
    rows = [row for row in data.rows if row.figures.f1_per_class and not data.base(row)]
    lines = [[escape(row.title), *(figure(f1, 2) for f1 in row.figures.f1_per_class)] for row in rows]
    return table(["F1 of each class", *map(escape, data.classes)], lines, ["F1 of each class"]) if lines else ""


def units(data: DataTable, kind: str) -> str:
    """How evenly a row does over `subject`s or `video`s, and whom it does worst; empty where they are unknown."""
    measure = "CCC" if data.headline == "ccc" else "accuracy"
    lines = []
    for row in data.rows:
        each = row.figures.by_subject if kind == "subject" else row.figures.by_video
        if not each or data.base(row):
            continue
        low, quarter, middle, three, high = np.quantile(list(each.values()), [0, 0.25, 0.5, 0.75, 1])
        worst = sorted(each, key=lambda name: (each[name], name))[:_HARDEST]
        hardest = ", ".join(f"{escape(name)} ({figure(each[name], 2)})" for name in worst)
        tenth = worst_tenth(np.array(list(each.values())))
        spread = [figure(value, 2) for value in (low, tenth, quarter, middle, three, high)]
        lines.append([escape(row.title), str(len(each)), *spread, hardest])
    headers = [f"{measure} of each {kind}", f"{kind}s", "worst", "worst tenth", "quarter", "median", "three quarters"]
    headers += ["best"]
    headers += [f"hardest {kind}s"]
    return table(headers, lines, [headers[0], headers[-1]]) if lines else ""


def worst_tenth(values: NDArray[np.float64]) -> float:
    """The mean of the lowest tenth of values, of one at least."""
    return float(np.sort(values)[: -(-len(values) // 10)].mean())


def groups(data: DataTable, attribute: str) -> str:
    """How a row does on each group that the release tells apart by an attribute, and how far they lie apart."""
    measure = "CCC" if data.headline == "ccc" else "accuracy"
    rows = [row for row in data.rows if not data.base(row) and row.figures.by_group.get(attribute)]
    if not rows:
        return ""
    sizes = rows[0].figures.group_sizes[attribute]
    values = sorted(sizes, key=lambda value: (value == "", value))
    lines = []
    for row in rows:
        each = row.figures.by_group[attribute]
        known = [each[value] for value in values if value in each]
        lines.append([escape(row.title), *(figure(each.get(value), 2) for value in values),
                      figure(max(known) - min(known), 2)])  # fmt: skip
    title = f"{measure} by {escape(attribute)}"
    headers = [title, *(f"{escape(value) or 'unknown'} ({sizes[value]})" for value in values), "widest gap"]
    return table(headers, lines, [title])


def field(data: DataTable) -> str:
    """The measures that the field reports, with intervals, over all folds together; and their means over folds, which
    is what some papers print. Empty where the field reports others."""
    intervals = data.comparison.further
    rows = [row for row in data.rows if row.score is not None and not data.base(row)]
    if not intervals or not rows:
        return ""
    folds = len(data.folds) > 1
    names = {"accuracy": "WAR", "uar": "UAR"}
    lines = []
    for row in rows:
        line = [escape(row.title)]
        for metric in names:
            found = intervals[metric][row.architecture]
            line.append(f"{figure(row.scores[metric])} [{figure(found.low)}, {figure(found.high)}]")
        if folds:
            line += [_mean_of_folds(row, metric) for metric in names]
        lines.append(line)
    unit = data.comparison.unit
    headers = ["the field's measures", *(f"{name} [95% over {unit}s]" for name in names.values())]
    headers += [f"{name}, mean of folds ± over folds" for name in names.values()] if folds else []
    note = "\n\nWAR is the accuracy, UAR the mean recall of the classes"
    note += "; of all folds pooled unless said otherwise." if folds else "."
    return table(headers, lines, [headers[0]]) + note


def _mean_of_folds(row: Row, metric: str) -> str:
    mean, spread = row.figures.fold_means.get(metric), row.figures.fold_spreads.get(metric)
    return figure(mean) if spread is None else f"{figure(mean)} ± {figure(spread)}"


def calibration(data: DataTable) -> str:
    """How far each row's probabilities can be taken at their word, means over its cells; empty where none was asked."""
    lines = []
    for row in data.rows:
        known = [found for record in row.finished if (found := record.data.get("calibration"))]
        if known and not data.base(row):
            means = [fmean(each[name] for each in known) for name in ("error", "calibrated_error", "temperature")]
            lines.append([escape(row.title), *(figure(mean) for mean in means)])
    headers = ["calibration", "expected error", "after temperature scaling", "temperature"]
    note = (
        f"\n\nExpected calibration error on the test part ({BINS} bins): how far confidence and accuracy lie apart. "
        "The temperature was fitted on the validation part, which is small: what it mends there it may not mend here."
    )
    return table(headers, lines, ["calibration"]) + note if lines else ""


def localisation(data: DataTable) -> str:
    """Where each row looks that was asked (`explain --measure`); empty where none was."""
    lines = []
    for row in data.rows:
        if found := explained(row):
            low, high = found.times_chance
            said = (f"{found.of_chance:.2f} [{low:.2f}, {high:.2f}]", f"{found.middle_of_chance:.2f}")
            lines.append([escape(row.title), found.method, *said, f"{found.alike:.2f}", str(found.samples)])
    headers = ["where it looks", "by", "times chance", "a bell in the middle", "like random weights", "samples"]
    note = (
        "\n\nThe share of what counts for an answer that lies on the pixels which the expression moves, over the share "
        "of the picture that they are, with 95% over the samples; the same of a bell in the middle of the picture, "
        "which knows no face; and the correlation of the maps with those of the same model with weights drawn anew. Of "
        "the first cell of a row. Grad-CAM's maps are as coarse as the layer that they are of, a few places a side at "
        "this size, and SmoothGrad's are as fine as the picture: compare rows of one method."
    )
    return table(headers, lines, headers[:2]) + note if lines else ""


def explained(row: Row) -> Explained | None:
    """What was measured of a row's first cell that was asked."""
    return next((found for record in row.finished if (found := read_explained(record))), None)


def ablation(data: DataTable) -> str:
    """Each row that has variants, and the variants with their paired differences; empty without any."""
    named = HEADLINES[data.headline]
    lines = []
    for name, variants in data.variants.items():
        base = data.row(name)
        assert base is not None
        score = NOTHING if base.score is None else with_interval(data, base)
        lines.append([f"**{escape(base.title)}**", score, NOTHING, NOTHING])
        for row in variants:
            option = escape(_option(row))
            change = data.comparison.changes.get(row.architecture)
            if row.score is None:
                lines.append([option, "failed", NOTHING, NOTHING])
            elif change is None:
                lines.append([option, with_interval(data, row), "other samples", NOTHING])
            else:
                low, high = change.interval.low, change.interval.high
                difference = f"{change.value:+.3f} [{low:+.3f}, {high:+.3f}]"
                p = "< 0.001" if change.p < 0.001 else figure(change.p)
                lines.append([option, with_interval(data, row), difference, p])
    headers = ["ablation", f"{named} [95% over {data.comparison.unit}s]", "difference [95%]", "p"]
    note = (
        f"\n\nDifferences are paired, variant minus **architecture** on the same samples (bootstrap over "
        f"{data.comparison.unit}s); p is corrected (Holm) for the number of variants of one architecture."
    )
    if data.comparison.seeds == "one":
        note += f" {ONE_SEED}"
    else:
        note += " The interval is of these trained models; p counts as well how much trainings differ."
    return table(headers, lines, ["ablation"]) + note if lines else ""


def change_of(data: DataTable, variant: str) -> str:
    """`C3D, shuffled`: a variant and what it is one of, as plain text."""
    row = data.row(variant)
    assert row is not None
    base = data.base(row)
    return f"{base.title if base else variant}, {_option(row)}"


def _option(variant: Row) -> str:
    """What is changed, as plain text."""
    return variant.architecture.partition("@")[2].replace("=", ": ").replace("_", " ")
