"""Parameters, those that training moves, multiply-adds, and what the networks are given: they are exact, so any change
is a change, and it must be accepted. A layer that is frozen by mistake, or a normalisation that is dropped, is seen
here at once, however little accuracy it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ferbench.benchmark.gate.verdict import Mark, Verdict
from ferbench.benchmark.records.record import Record

ACCEPT = "exact: make the baseline again if it is meant"
INPUTS = "pictures as networks see them"
"""Mean and deviation of each colour, as text."""
Contents = Mapping[str, Mapping[str, str]]
"""What the data sets hold, by their names: `benchmark.gate.runs.data_content`."""
COSTS = {
    "params": "parameters",
    "params_trained": "parameters that training moved",
    "macs": "multiply-adds",
    "params_full": "parameters at full size",
    "macs_full": "multiply-adds at full size",
}


def compare_costs(head: Sequence[Record], base: Sequence[Record]) -> list[Verdict]:
    """One verdict a cost of each architecture on each data set that both have: the classes decide the last layer."""
    before = {_cell(record): record for record in base if record.data["cost"]}
    after = {_cell(record): record for record in head if record.data["cost"]}
    found = []
    for cell in sorted(before.keys() & after.keys()):
        for cost in COSTS:
            old, new = (side[cell].data["cost"].get(cost) for side in (before, after))
            if (old, new) != (None, None):  # an architecture without a full size
                stages = _stages_changed(before[cell], after[cell]) if cost == "params_trained" else []
                found.append(_verdict(cell, cost, old, new, stages))
    return found


def compare_inputs(head: Contents, base: Contents) -> list[Verdict]:
    """One verdict on what the networks are given of each data set that both have.

    Networks get used to other inputs, if somewhat worse: a dropped normalisation costs the architectures of the gate
    0.014 on average, no more than chance may. So it is compared for itself.
    """
    found = []
    for dataset in sorted(head.keys() & base.keys()):
        old, new = (content[dataset].get(INPUTS) for content in (base, head))
        if (old, new) != (None, None):
            changed = old != new
            reason = f"{old or 'unknown'} -> {new}; {ACCEPT}" if changed else ""
            mark: Mark = "worse" if changed else "same"
            found.append(Verdict("cost", dataset, INPUTS, mark, reason=reason, to_accept=changed))
    return found


def _cell(record: Record) -> tuple[str, str, str]:
    return record.data["architecture"], record.data["dataset"], record.data["size"]


def _stages_changed(base: Record, head: Record) -> list[str]:
    """Stages that move more or fewer parameters than before: one may leave what another still moves."""
    old, new = ({epoch["stage"]: epoch.get("moved") for epoch in side.data["history"]} for side in (base, head))
    return [
        f"stage {name!r} moved {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _verdict(
    cell: tuple[str, str, str], cost: str, base: float | None, head: float | None, stages: Sequence[str]
) -> Verdict:
    """A gain turns the gate red too: what a model costs is part of what it is."""
    mark: Mark = "same"
    changed = base != head or bool(stages)
    if changed:
        fewer = base is not None and head is not None and head < base
        mark = "better" if fewer and cost != "params_trained" else "worse"
    return Verdict(
        "cost", cell[0], COSTS[cost], mark, where=f"{cell[1]}, {cell[2]}", base=base, head=head,
        change=None if base is None or head is None else head - base,
        reason="; ".join([*stages, ACCEPT]) if changed else "", to_accept=changed,
    )  # fmt: skip
