"""What to pick: of each data set the best row, the rows that cannot be told apart from it, the cheapest of them all,
and how much is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ferbench.benchmark.board.breakdowns import ONE_SEED, change_of
from ferbench.benchmark.board.costs import Cost, cost
from ferbench.benchmark.board.markdown import NO_BREAK, NOTHING, amount, count, escape, figure, share, table
from ferbench.benchmark.board.rows import Row
from ferbench.benchmark.board.sections import DataTable, Section
from ferbench.benchmark.measures.statistics import ALPHA

_NAMED = 2
"""How many of the rows that cannot be told apart from the best a table names."""
_LISTED = 10
"""How many a sentence names."""

HOW_TO_READ = (
    "**Not told apart**: the difference may be chance (tests on the same samples, 5%, corrected for all pairs "
    "of the data set). That does not say that two rows are equally good: the smaller the share of pairs that are told "
    "apart, the less the data set can decide. **Cheapest**: the fewest multiply-adds of one input, that is of an "
    "image, a pair or a clip, among the best row and those not told apart from it; its latency is that of one input "
    "on the hardware that it ran on. **Never**: on no data set, of the architectures that have a rank on all of them."
)


@dataclass(frozen=True)
class Pick:
    """What one data set says of which row to pick."""

    data: DataTable

    @cached_property
    def leading(self) -> list[Row]:
        """The best row and every other that cannot be told apart from it, the best first."""
        return [row for row in self.data.ranked if row.architecture in self.data.comparison.leading]

    @property
    def cheapest(self) -> tuple[Row, Cost] | None:
        """The one of them with the fewest multiply-adds, of equals the better one; None where none was measured."""
        known = [(row, measured) for row in self.leading if (measured := cost(row)) and measured.macs is not None]
        return min(known, key=lambda each: each[1].macs or 0.0, default=None)

    @property
    def undecided(self) -> str:
        """Why there is nothing to pick by, as plain text; empty where there is something."""
        ranked = self.data.ranked
        if len(ranked) < 2:
            return f"only {ranked[0].title} has a rank" if ranked else "no row has a rank"
        return "" if self.data.comparison.told_apart else "nothing is decided"

    @property
    def tested_on(self) -> str:
        """`13 subjects`: what was drawn anew for the tests."""
        row, unit = self.data.rows[0], self.data.comparison.unit
        named = {"subject": row.figures.by_subject, "video": row.figures.by_video}
        if unit in named:
            return count(len(named[unit]), unit) if named[unit] else NOTHING
        return NOTHING if row.confusion is None else count(int(row.confusion.sum()) // len(row.seeds), unit)


@dataclass(frozen=True)
class Everywhere:
    """What all data sets of a section say together."""

    section: Section
    picks: tuple[Pick, ...]

    @property
    def pairs(self) -> int:
        return sum(pick.data.comparison.pairs for pick in self.picks)

    @property
    def told_apart(self) -> int:
        return sum(pick.data.comparison.told_apart for pick in self.picks)

    @cached_property
    def leading(self) -> list[str]:
        """Architectures that are told apart from the best one on no data set, in the order of the section."""
        each = [pick.data.comparison.leading for pick in self.picks]
        return [name for name in self.section.order if all(name in leading for leading in each)]

    @property
    def cheapest(self) -> str | None:
        """The one of them with the fewest multiply-adds, all data sets together; None where one was not measured."""
        macs = {name: [self._macs(pick.data, name) for pick in self.picks] for name in self.leading}
        known = {name: sum(filter(None, each)) for name, each in macs.items() if None not in each}
        return min(known, key=lambda name: known[name], default=None)

    def title(self, architecture: str) -> str:
        return next(row.title for row in self.section.architectures if row.architecture == architecture)

    @staticmethod
    def _macs(data: DataTable, architecture: str) -> float | None:
        row = data.row(architecture)
        measured = cost(row) if row else None
        return measured.macs if measured else None


def together(section: Section) -> Everywhere:
    return Everywhere(section, tuple(map(Pick, section.tables)))


def markdown(section: Section, link: Callable[[DataTable], str]) -> str:
    """A table with a line for each data set and one of all, then in words what all of them say and what is not decided.

    link: what stands for a data set.
    """
    every = together(section)
    lines = [[f"{link(pick.data)}<br>{pick.tested_on}", *_cells(pick)] for pick in every.picks]
    headers = ["data set", "best", "not told apart from it", "cheapest of these", "pairs told apart"]
    if not every.pairs:
        return table(headers, lines, headers[:-1])
    if len(lines) > 1:
        lines.append([f"all {len(lines)}", *[NOTHING] * 3, _broken(share(every.told_apart, every.pairs))])
    notes = {**_in_general(every, _LISTED), "Not decided": _not_decided(every), **_ablations(section)}
    said = [f"**{name}**: {escape(text)}" for name, text in notes.items()]
    if any(pick.data.comparison.seeds == "one" and pick.data.comparison.pairs for pick in every.picks):
        said.append(ONE_SEED)
    return "\n\n".join([table(headers, lines, headers[:-1]), *said])


def words(section: Section) -> str:
    """The same for a terminal: plain text, a few lines a data set."""
    every = together(section)
    lines = [f"What to pick, suite {section.suite}, {section.title}:"]
    for pick in every.picks:
        lines.append(f"  {pick.data.name}: {decided(pick)}")
        lines += [f"    {line}" for line in sentences(pick)]
    if len(every.picks) > 1 and every.pairs:
        lines.append(f"  all {len(every.picks)} data sets: {_told(every.told_apart, every.pairs)}")
        lines += [f"    {name.lower()}: {text}" for name, text in _in_general(every, _NAMED).items()]
    return "\n".join(lines)


def sentences(pick: Pick) -> list[str]:
    """The best row and the cheapest of those not told apart from it, as plain text; nothing where nothing decides."""
    if pick.undecided:
        return []
    best, level, others = pick.leading[0], len(pick.leading) - 1, len(pick.data.ranked) - 1
    told = f"{level} of {others} others are not told apart from it" if level else f"told apart from all {others} others"
    lines = [f"best: {best.title} {figure(best.score)}; {told}"]
    if pick.cheapest and level:
        row, measured = pick.cheapest
        lines.append(f"cheapest of these: {row.title} {figure(row.score)}, {amount(measured.macs, 1e9)} GMACs")
    return lines


def decided(pick: Pick) -> str:
    """How much is decided, as plain text."""
    compared = pick.data.comparison
    told = f"{_told(compared.told_apart, compared.pairs)}, tested on {pick.tested_on}" if compared.pairs else ""
    return ": ".join(filter(None, [pick.undecided, told]))


def _told(apart: int, pairs: int) -> str:
    return f"{share(apart, pairs, 'pairs')} told apart"


def _cells(pick: Pick) -> list[str]:
    compared = pick.data.comparison
    told = _broken(share(compared.told_apart, compared.pairs)) if compared.pairs else NOTHING
    if pick.undecided:
        return [f"*{escape(pick.undecided)}*", NOTHING, NOTHING, told]
    best, others = pick.leading[0], [row.title for row in pick.leading[1:]]
    level = f"{len(others)} of {len(pick.data.ranked) - 1}: {escape(_first(others, _NAMED))}" if others else "none"
    return [f"{escape(best.title)} {figure(best.score)}", level, _cheapest_cell(pick), told]


def _cheapest_cell(pick: Pick) -> str:
    if pick.cheapest is None:
        return NOTHING
    row, measured = pick.cheapest
    costs = f"{amount(measured.macs, 1e9)} GMACs, {amount(measured.params, 1e6)} M params"
    if measured.latency_ms_p50 is not None:
        costs += f", {amount(measured.latency_ms_p50)} ms"
    return f"{escape(row.title)} {figure(row.score)}<br>{costs}"


def _broken(shared: str) -> str:
    """A share in a narrow column: its percentage in a line of its own."""
    return shared.replace(" (", "<br>(").replace(" ", NO_BREAK)


def _in_general(every: Everywhere, number: int) -> dict[str, str]:
    """What holds on all data sets, by what it is, with so many names; nothing with one data set."""
    if len(every.picks) < 2:
        return {}
    never, cheapest = "Never told apart from the best", "Cheapest of these"
    names = [every.title(name) for name in every.leading]
    if not names:
        return {never: "none of those that have a rank on every data set."}
    found = {never: f"{_first(names, number)}."}
    return found | ({cheapest: f"{every.title(every.cheapest)}."} if every.cheapest else {})


def _not_decided(every: Everywhere) -> str:
    left = every.pairs - every.told_apart
    said = f"{share(left, every.pairs, 'pairs')}."
    if blind := [pick for pick in every.picks if pick.undecided and pick.data.comparison.pairs]:
        where = " and ".join(f"{pick.data.name} ({pick.tested_on})" for pick in blind)
        said += f" On {where} nothing is decided: the whole order of the rows may be chance."
    return said


def _ablations(section: Section) -> dict[str, str]:
    """Which changes of an architecture are told apart from it; nothing where none was changed."""
    tried = [(data, name, change) for data in section.tables for name, change in data.comparison.changes.items()]
    if not tried:
        return {}
    found = [
        f"{change_of(data, name)} {change.value:+.3f} on {data.name}"
        for data, name, change in tried
        if change.p < ALPHA
    ]
    told = f"{share(len(found), len(tried), 'changes')} are told apart from what they change"
    return {"Ablations": f"{told}: {_first(found, _LISTED)}." if found else f"{told}."}


def _first(names: Sequence[str], number: int) -> str:
    """The first few, and how many more; names hold commas."""
    more = len(names) - number
    return "; ".join([*names[:number], f"{more} more"] if more > 0 else names)
