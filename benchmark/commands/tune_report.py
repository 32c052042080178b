"""`tune-report`: what tuning was worth, as a page with plots, from the trials that `tune` has kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ferbench.benchmark.board.figures import COLORS, legend_below, lines, panels, save, style
from ferbench.benchmark.board.markdown import NOTHING, escape, figure, table
from ferbench.benchmark.board.reading import all_records
from ferbench.benchmark.board.recipes_compared import Compared, recipes_compared
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
BOARDS = (
    "Scores on the test part, of trainings with other seeds than the search's. Pairs of rows are told apart at 5%, "
    "corrected for all pairs of their board. Of those that the first board tells apart, the same row is ahead (kept), "
    "the other one is (reversed), or they are told apart no longer (lost); new ones are told apart on that board alone."
)


def write_report(
    folders: Sequence[Path], out: Path, suites: Sequence[str] = (), results: Path = Path("results")
) -> list[Path]:
    """Writes the page and its plot beside it, as PNG and SVG.

    Args:
        suites: of boards to compare, that of the recipes by hand first, with records below `results`.

    Raises:
        RequestError: a folder has no search; two have the same one; no two boards have rows to compare; the page cannot
            be written.
    """
    found = [worth for folder in folders for worth in searches_in(folder)]
    names = [(worth.dataset, worth.size, worth.budget) for worth in found]
    if len(set(names)) < len(names):
        raise RequestError("two of these searches are on the same data set with the same budget: name one of them")
    if out.suffix != ".md":
        raise RequestError(f"{out}: the report is a page: name a .md file")
    if len(suites) == 1 or len(set(suites)) < len(suites):
        raise RequestError(f"--boards {','.join(suites)}: name two or more, each once, the one by hand first")
    picture = out.with_suffix(".png")
    text = page(found, picture.name)
    if suites:
        with all_records(results) as records:
            text += boards_page(recipes_compared(records, suites))
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


def boards_page(found: Sequence[Compared]) -> str:
    """What the boards of several choices of recipes tell apart, as markdown."""
    parts = ["## On the test part", BOARDS]
    for compared in found:
        parts += [f"### {compared.dataset}", _changes(compared), _scores(compared)]
    return "\n" + "\n\n".join(parts) + "\n"


def _changes(compared: Compared) -> str:
    first = compared.boards[0]
    headers = [
        "board",
        "pairs",
        "told apart",
        "kept",
        "reversed",
        "lost",
        "new",
        "rows of another rank",
        "Kendall's tau",
    ]
    rows = []
    for board in compared.boards:
        changed = board.against(first)
        own = [changed.kept, changed.reversed, changed.lost, changed.new, changed.moved]
        own_words = [NOTHING] * len(own) if board is first else [*map(str, own)]
        tau = NOTHING if board is first else f"{changed.tau:.2f}"
        rows.append([escape(board.suite), str(changed.pairs), str(changed.told_apart), *own_words, tau])
    return table(headers, rows, ("board",))


def _scores(compared: Compared) -> str:
    """Score and rank of each row on every board, those that lead the last one first."""
    headers = ["row", *(f"{board.suite} (rank)" for board in compared.boards)]
    order = sorted(range(len(compared.rows)), key=lambda i: (compared.boards[-1].ranks[i], compared.rows[i]))
    rows = [
        [escape(compared.rows[i]), *(f"{figure(board.scores[i])} ({board.ranks[i]})" for board in compared.boards)]
        for i in order
    ]
    return table(headers, rows, ("row",))


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


def _places(found: Sequence[Worth]) -> list[str]:
    """All rows, those first that have the best ranks over all data sets after all trials: a row has one colour."""
    ranks: dict[str, list[int]] = defaultdict(list)
    for worth in found:
        for row, rank in zip(worth.rows, worth.ranks(worth.trials), strict=True):
            ranks[row.row].append(rank)
    return sorted(ranks, key=lambda row: (fmean(ranks[row]), row))


def plot(found: Sequence[Worth]) -> Figure:
    """A panel a data set: the expected best over the number of trials, the score by hand as a dashed line."""
    drawn, axes = panels(len(found), 5.4, 3.6)
    order = _places(found)
    for worth, axis in zip(found, axes, strict=True):
        numbers = list(range(1, worth.trials + 1))
        shown = []
        for row in sorted(worth.rows, key=lambda row: order.index(row.row)):
            place = order.index(row.row)
            shown.append((place, row.row, numbers, row.expected(numbers).tolist()))
            if place < len(COLORS) - 1:
                if row.by_hand is not None:
                    axis.axhline(row.by_hand, color=COLORS[place], ls="--", lw=1.2, zorder=2)
                axis.fill_between(numbers, *row.interval(numbers), color=COLORS[place], alpha=0.12, lw=0)
        lines(axis, shown)
        axis.set(title=worth.dataset, xlabel="trials", ylabel="expected best, validation")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlim(left=0)
    legend_below(drawn, axes, order, "Bands: 95%. Dashed: by hand.")
    return drawn
