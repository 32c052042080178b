"""`tune-report`: what tuning was worth, as a page with plots, from the trials that `tune` has kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferbench.benchmark.board.figures import COLORS, legend_below, lines, panels, save, style
from ferbench.benchmark.board.markdown import NOTHING, escape, figure, table
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.tuning.worth import RowWorth, Worth, searches_in

SHOWN = (10, 30)
"""Numbers of trials of the tables, where there are so many; the last is what there is."""
TELLS = (
    "Expected best: of so many trials drawn from those that were made (Dodge et al. 2019, arXiv 1909.03004), and its "
    "95% interval over trials. The recipe by hand is none of them. A sampler that learns does not draw its trials "
    "alike, so the curve tells how far trials go, not how good the sampler is; `found` is what the search itself had. "
    "All scores are of the validation part that also chose, and so higher than those of a test part."
)


def write_report(folders: Sequence[Path], out: Path) -> list[Path]:
    """Writes the page and its plot beside it, as PNG and SVG.

    Raises:
        RequestError: a folder has no search; two have the same one; the page cannot be written.
    """
    found = [worth for folder in folders for worth in searches_in(folder)]
    names = [(worth.dataset, worth.size, worth.budget) for worth in found]
    if len(set(names)) < len(names):
        raise RequestError("two of these searches are on the same data set with the same budget: name one of them")
    if out.suffix != ".md":
        raise RequestError(f"{out}: the report is a page: name a .md file")
    picture = out.with_suffix(".png")
    text = page(found, picture.name)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with style():
            save(plot(found), out.with_suffix(""))
        with drafted(out) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{out}: the report cannot be written there ({error.strerror})") from None
    return [out, picture]


def page(found: Sequence[Worth], picture: str) -> str:
    """The report as markdown."""
    parts = ["# What tuning was worth", "<!-- Written by `tune-report`. -->", TELLS]
    parts += [f"![Expected best score on the validation part over the number of trials]({picture})"]
    for worth in found:
        parts += [f"## {worth.dataset}", _said(worth), _table(worth), _ranks(worth)]
    return "\n\n".join(parts) + "\n"


def numbers_of(worth: Worth) -> list[int]:
    """Numbers of trials of the tables."""
    return sorted({*(number for number in SHOWN if number < worth.trials), worth.trials})


def _said(worth: Worth) -> str:
    tried = sum(len(row.trials) for row in worth.rows)
    pruned, failed = (sum(getattr(row, kind) for row in worth.rows) for kind in ("pruned", "failed"))
    return (
        f"{len(worth.rows)} rows at size {worth.size}, {worth.trials} trials of {worth.budget:g} s each: {tried} in "
        f"all, {pruned} pruned, {failed} failed."
    )


def _table(worth: Worth) -> str:
    numbers = numbers_of(worth)
    headers = ["row", "by hand", *(f"best of {number} [95%]" for number in numbers), "found", "rank by hand"]
    headers += [f"rank after {number}" for number in numbers]
    ranks = [worth.ranks(0), *(worth.ranks(number) for number in numbers)]
    lines_of = []
    for place, row in enumerate(worth.rows):
        line = [escape(row.row), NOTHING if row.by_hand is None else figure(row.by_hand), *_expected(row, numbers)]
        line += [figure(row.found(worth.trials)), *(str(rank[place]) for rank in ranks)]
        lines_of.append((ranks[-1][place], line))
    return table(headers, [line for _, line in sorted(lines_of)], ("row", "by hand"))


def _expected(row: RowWorth, numbers: Sequence[int]) -> list[str]:
    low, high = row.interval(numbers)
    each = zip(row.expected(numbers), low, high, strict=True)
    return [f"{figure(value)} [{figure(a)}, {figure(b)}]" for value, a, b in each]


def _ranks(worth: Worth) -> str:
    """How far the ranks move, in a sentence."""
    if len(worth.rows) < 2:
        return "One row alone has no rank to change."
    steps = [0, *numbers_of(worth)]
    said = []
    for before, after in pairwise(steps):
        moved = sum(a != b for a, b in zip(worth.ranks(before), worth.ranks(after), strict=True))
        first = "the recipes by hand" if not before else f"{before} trials"
        tau = worth.agreement(before, after)
        said.append(f"from {first} to {after} trials {moved} of {len(worth.rows)} rows change rank (Kendall's tau "
                    f"{tau:.2f})")  # fmt: skip
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}."


def plot(found: Sequence[Worth]) -> Figure:
    """A panel a data set: the expected best over the number of trials, the score by hand as a dashed line."""
    drawn, axes = panels(len(found), 5.4, 3.6)
    order: list[str] = []
    for worth, axis in zip(found, axes, strict=True):
        numbers = list(range(1, worth.trials + 1))
        final = worth.scores(worth.trials)
        ranked = sorted(range(len(final)), key=lambda i: -final[i])
        shown = []
        for place, index in enumerate(ranked):
            row = worth.rows[index]
            shown.append((place, row.row, numbers, row.expected(numbers).tolist()))
            if place < len(COLORS) - 1:
                if row.by_hand is not None:
                    axis.axhline(row.by_hand, color=COLORS[place], ls="--", lw=1.2, zorder=2)
                axis.fill_between(numbers, *row.interval(numbers), color=COLORS[place], alpha=0.12, lw=0)
            order += [row.row] if row.row not in order else []
        lines(axis, shown)
        axis.set(title=worth.dataset, xlabel="trials", ylabel="expected best, validation")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlim(left=0)
    legend_below(drawn, axes, order, "Bands: 95%. Dashed: by hand.")
    return drawn
