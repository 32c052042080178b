"""Text that GitHub shows as it was meant: escaped words, tables, footnote marks, numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from tabulate import tabulate

NOTHING = "-"
"""Stands where there is no figure."""
NO_BREAK = "\u00a0"
"""A space at which a narrow column does not break."""


def escape(text: object) -> str:
    """Words from a record as one line of inert markdown; underscores inside words stay readable."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|#~$])", r"\\\1", line)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], words: Iterable[str]) -> str:
    """A pipe table. Columns named in `words` are aligned left, the others, figures, right."""
    left = set(words)
    align = ["left" if header in left else "right" for header in headers]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def link(text: str, path: str) -> str:
    """A link with this (already escaped) text to a path relative to where it stands."""
    return f"[{text}]({quote(path)})"


def figure(value: float | None, digits: int = 3) -> str:
    """A score with a fixed number of digits."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def amount(value: float | None, unit: float = 1) -> str:
    """A quantity in multiples of `unit`, to three significant digits, never in powers of ten."""
    if value is None or not math.isfinite(value):
        return NOTHING
    scaled = value / unit
    if scaled == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(scaled))))
    return f"{scaled:,.{digits}f}"


def count(number: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def share(part: int, whole: int, noun: str = "") -> str:
    """`67 of 351 pairs (19%)`; what is not all or nothing never reads 100% or 0%."""
    percent = min(max(round(100 * part / whole), int(part > 0)), 100 if part == whole else 99)
    return f"{part:,} of {whole:,}{f' {noun}' if noun else ''} ({percent}%)"


class Marks:
    """The footnotes of one table: each text gets a letter when it is first used."""

    def __init__(self) -> None:
        self._letters: dict[str, str] = {}

    def of(self, texts: Iterable[str]) -> str:
        """Superscript letters for these (already escaped) texts."""
        letters = [self._letters.setdefault(text, _letter(len(self._letters))) for text in texts]
        return f"<sup>{','.join(letters)}</sup>" if letters else ""

    def notes(self) -> list[str]:
        """One line a footnote, to stand under the table."""
        return [f"<sup>{letter}</sup> {text}" for text, letter in self._letters.items()]


def _letter(index: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    letter = chr(ord("a") + index % 26)
    return letter if index < 26 else _letter(index // 26 - 1) + letter
