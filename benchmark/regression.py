"""The regression gate: did a change make an architecture worse?

Cells of a run are compared with the same cells of a base, sample by sample. Only cells with equal keys are compared:
a cell whose protocol, recipe or code changed answers another question and is reported as such, with what changed.
`judge` decides from numbers alone; `check` finds the numbers in records; `report` and `exit_code` say the outcome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from tabulate import tabulate

from benchmark.records import Record, read_records
from benchmark.statistics import RESAMPLES, Difference, mcnemar, paired_bootstrap, score

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.02
"""Loss of ABAW up to which a cell counts as the same."""
ALPHA = 0.01

Mark = Literal["newly failed", "worse", "better", "same", "incomparable"]
_WORST_FIRST: tuple[Mark, ...] = ("newly failed", "worse", "incomparable", "better", "same")
_REGRESSIONS: tuple[Mark, ...] = ("newly failed", "worse")
_COMPARED: tuple[Mark, ...] = ("worse", "better", "same", "newly failed")


class CellName(NamedTuple):
    """What makes two cells the same one."""

    suite: str
    dataset: str
    architecture: str
    size: str
    seed: int
    fold: int


@dataclass(frozen=True)
class Verdict:
    """The outcome for one cell. `base` and `head` are its ABAW before and now."""

    cell: CellName
    mark: Mark
    reason: str = ""
    base: float | None = None
    head: float | None = None
    difference: Difference | None = None
    mcnemar_p: float | None = None


@dataclass(frozen=True)
class Verdicts:
    """All outcomes, the worst first, and by which limits they were decided."""

    cells: tuple[Verdict, ...]
    margin: float
    alpha: float


def judge(difference: Difference, margin: float = MARGIN, alpha: float = ALPHA) -> Mark:
    """A change counts when it is both larger than the margin and unlikely by chance (p < alpha)."""
    if difference.p >= alpha or abs(difference.value) <= margin:
        return "same"
    return "worse" if difference.value < 0 else "better"


def check(
    results: Path, base: Path, margin: float = MARGIN, alpha: float = ALPHA, resamples: int = RESAMPLES
) -> Verdicts:
    """Compares every cell below `results` with the one of the same name below `base`.

    Raises:
        RequestError: a record or its predictions cannot be read.
    """
    before = {_name(record): record for record in _architectures(base)}
    after = {_name(record): record for record in _architectures(results)}
    verdicts = [
        _verdict(cell, before.get(cell), after.get(cell), margin, alpha, resamples) for cell in {*before, *after}
    ]
    return Verdicts(tuple(sorted(verdicts, key=_worst_first)), margin, alpha)


def exit_code(verdicts: Verdicts) -> int:
    """0 all well, 1 some regression, 3 nothing could be compared."""
    marks = {verdict.mark for verdict in verdicts.cells}
    if marks & set(_REGRESSIONS):
        return 1
    return 0 if marks & set(_COMPARED) else 3


def report(verdicts: Verdicts) -> str:
    """One table, the worst first, and the limits by which it was decided."""
    headers = ["verdict", "cell", "base", "head", "difference", "95% interval", "p", "McNemar p", "why"]
    lines = [_line(verdict) for verdict in verdicts.cells]
    numbers = {mark: sum(verdict.mark == mark for verdict in verdicts.cells) for mark in _WORST_FIRST}
    summary = ", ".join(f"{number} {mark}" for mark, number in numbers.items() if number) or "no cells at all"
    rule = (
        f"worse: ABAW lost more than {verdicts.margin:g} with p < {verdicts.alpha:g}, paired bootstrap on the same "
        "samples (over subjects where they are known); McNemar is a second opinion"
    )
    table = tabulate(lines, headers, tablefmt="simple", disable_numparse=True)
    return "\n".join([*([table, ""] if lines else []), summary, rule])


def _verdict(
    cell: CellName, before: Record | None, after: Record | None, margin: float, alpha: float, resamples: int
) -> Verdict:
    if after is None:
        return Verdict(cell, "incomparable", "not run here")
    failed = after.data["status"] != "ok"
    if before is not None and failed and before.data["status"] == "ok":
        return Verdict(cell, "newly failed", str(after.data["error"] or "no reason given"), base=_abaw(before))
    if failed:
        where = "not in the base" if before is None else "failed in the base as well"
        return Verdict(cell, "incomparable", f"failed here, {where}: {after.data['error']}")
    now = after.predictions()
    if not _finite(after, now):
        return Verdict(cell, "worse", "a score is not finite", base=_abaw(before) if before else None)
    if before is None or before.data["status"] != "ok":
        return Verdict(cell, "incomparable", "not in the base" if before is None else "failed in the base, not here")
    if before.data["key"] != after.data["key"]:
        return Verdict(cell, "incomparable", _changed(before, after), base=_abaw(before), head=_abaw(after))
    return _compared(cell, before, after, now, margin, alpha, resamples)


def _compared(
    cell: CellName, before: Record, after: Record, now: pd.DataFrame, margin: float, alpha: float, resamples: int
) -> Verdict:
    """Two finished cells with the same key, sample by sample."""
    old, new = (frame.set_index("sample").sort_index() for frame in (before.predictions(), now))
    same_samples = old.index.is_unique and old.index.equals(new.index)
    if not same_samples or not old["label"].equals(new["label"]):
        return Verdict(cell, "incomparable", "the same key, but other test samples or labels")
    labels, a, b = (column.to_numpy() for column in (new["label"], old["predicted"], new["predicted"]))
    known = bool(after.data["subjects_known"]) and not new["subject"].isna().any()
    subjects = new["subject"].to_numpy() if known else None
    num_classes = len(after.data["classes"])
    difference = paired_bootstrap(labels, a, b, subjects, num_classes, resamples=resamples)
    base, head = score(labels, np.stack([a, b]), num_classes).tolist()
    return Verdict(
        cell,
        judge(difference, margin, alpha),
        base=base,
        head=head,
        difference=difference,
        mcnemar_p=mcnemar(labels, a, b),
    )


def _architectures(results: Path) -> list[Record]:
    """Records of architectures. Floors and the oracle see no image: that they are the same proves nothing."""
    return [record for record in read_records(results) if record.data["kind"] == "architecture"]


def _name(record: Record) -> CellName:
    return CellName(*(record.data[axis] for axis in CellName._fields))


def _abaw(record: Record) -> float | None:
    metrics = record.data["metrics"]
    return None if metrics is None or metrics["abaw"] is None else float(metrics["abaw"])


def _finite(record: Record, predictions: pd.DataFrame) -> bool:
    """Whether the measures and all class scores are numbers: a model that went to NaN still predicts some class."""
    value = _abaw(record)
    scored = [name for name in predictions if str(name).startswith("score_")]
    return value is not None and math.isfinite(value) and bool(np.isfinite(predictions[scored].to_numpy()).all())


def _changed(before: Record, after: Record) -> str:
    """Which parts of the key differ."""
    old: dict[str, Any] = before.data["key_parts"]
    new: dict[str, Any] = after.data["key_parts"]
    parts = [part for part in sorted({*old, *new}) if old.get(part) != new.get(part)]
    return f"changed: {', '.join(parts) or 'the way keys are made'}"


def _worst_first(verdict: Verdict) -> tuple[int, float, CellName]:
    loss = verdict.difference.value if verdict.difference else -math.inf
    return _WORST_FIRST.index(verdict.mark), loss, verdict.cell


def _line(verdict: Verdict) -> list[str]:
    cell, difference = verdict.cell, verdict.difference
    name = f"{cell.suite}/{cell.dataset}/{cell.architecture} {cell.size} seed {cell.seed} fold {cell.fold}"
    compared = ["-"] * 3
    if difference is not None:
        low, high = difference.interval.low, difference.interval.high
        compared = [f"{difference.value:+.4f}", f"[{low:+.4f}, {high:+.4f}]", f"{difference.p:.4f}"]
    numbers = [_number(verdict.base), _number(verdict.head), *compared, _number(verdict.mcnemar_p)]
    return [verdict.mark, name, *numbers, " ".join(verdict.reason.split())]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
