"""The outcome for people and for machines: terminal, markdown, JUnit XML, annotations of GitHub. Pure text."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET

from tabulate import tabulate

from ferbench.benchmark.gate.verdict import MARKS, Outcome, Verdict

HEADERS = ("verdict", "what", "base", "head", "change", "95% interval", "p", "limit", "why")
SIGN = {"newly failed": "💥", "worse": "🔴", "incomparable": "⚪", "better": "🟢", "same": "✔️"}
MOST_LINES = 1000
"""Verdicts in a summary: GitHub takes no more than 1 MiB, and each has some hundred bytes."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP = re.compile(r"([*_`\[\]~])")
TITLE = {0: "the gate is green", 1: "the gate is red", 3: "the gate could not compare everything"}


def terminal(outcome: Outcome) -> str:
    """One table, the worst first, then what must be known to read it and the answer."""
    lines = [_cells(verdict) for verdict in outcome.verdicts]
    table = tabulate(lines, HEADERS, tablefmt="simple", disable_numparse=True)
    return "\n".join([*([table, ""] if lines else []), *_words(outcome), f"{_answer(outcome)}: {counts(outcome)}"])


def markdown(outcome: Outcome) -> str:
    """A summary for a pull request: what is not `same` in full, the rest folded away."""
    shown = [verdict for verdict in outcome.verdicts if verdict.mark != "same" or verdict.red]
    rest = [verdict for verdict in outcome.verdicts if verdict not in shown]
    parts = [f"## {_answer(outcome)}: {counts(outcome)}"]
    if shown:
        parts.append(_markdown_table(shown[:MOST_LINES]))
    if rest:
        table = _markdown_table(rest[: max(0, MOST_LINES - len(shown))])
        parts.append(f"<details><summary>{len(rest)} same</summary>\n\n{table}\n\n</details>")
    parts.append("\n".join(f"- {_inert(line)}" for line in _words(outcome)[:MOST_LINES]))
    if (left_out := len(outcome.verdicts) - MOST_LINES) > 0:
        parts.append(f"{left_out} more are in `junit.xml`: GitHub takes 1 MiB.")
    return "\n\n".join(part for part in parts if part) + "\n"


def junit(outcome: Outcome) -> str:
    """JUnit XML: a suite a gate, a case a verdict. What could not be compared is an error where it counts."""
    top = ET.Element("testsuites", name="ferbench check")
    for gate in ("accuracy", "cost", "latency"):
        cases = [verdict for verdict in outcome.verdicts if verdict.gate == gate]
        bad = [verdict for verdict in cases if verdict.red]
        lost = [verdict for verdict in cases if _counts_as_error(verdict, outcome)]
        suite = ET.SubElement(
            top, "testsuite", name=gate, tests=str(len(cases)), failures=str(len(bad)), errors=str(len(lost))
        )
        for verdict in cases:
            owner, name = _xml(f"{gate}.{verdict.subject}"), _xml(verdict.name)
            case = ET.SubElement(suite, "testcase", classname=owner, name=name)
            if verdict in bad:
                ET.SubElement(case, "failure", message=_xml(f"{verdict.mark}: {_in_words(verdict)}"))
            elif verdict in lost:
                ET.SubElement(case, "error", message=_xml(verdict.reason))
            elif verdict.mark == "incomparable":
                ET.SubElement(case, "skipped", message=_xml(verdict.reason))
            elif not verdict.protected:
                ET.SubElement(case, "system-out").text = "not protected: its base stands at the floor"
    if outcome.unmeasured:
        number = str(len(outcome.unmeasured))
        suite = ET.SubElement(top, "testsuite", name="unmeasured", tests=number, failures="0", errors=number)
        for reason in outcome.unmeasured:
            case = ET.SubElement(suite, "testcase", classname="unmeasured", name=_xml(reason))
            ET.SubElement(case, "error", message=_xml(reason))
    ET.indent(top)
    return ET.tostring(top, encoding="unicode", xml_declaration=True) + "\n"


def github_lines(outcome: Outcome) -> list[str]:
    """Lines that GitHub shows beside a change: errors for what is red, warnings for what was not compared."""
    found = []
    for verdict in outcome.verdicts:
        if verdict.red:
            found.append(_annotation("error", f"{verdict.mark}: {verdict.name}", _in_words(verdict)))
        elif verdict.mark == "incomparable":
            found.append(_annotation("warning", f"incomparable: {verdict.name}", verdict.reason))
    return [*found, *(_annotation("error", "not measured", reason) for reason in outcome.unmeasured)]


def counts(outcome: Outcome) -> str:
    """`1 newly failed, 2 worse, 40 same`."""
    numbers = {mark: sum(verdict.mark == mark for verdict in outcome.verdicts) for mark in MARKS}
    return ", ".join(f"{number} {mark}" for mark, number in numbers.items() if number) or "nothing was compared"


def _answer(outcome: Outcome) -> str:
    return TITLE[outcome.exit_code]


def _words(outcome: Outcome) -> list[str]:
    return [*(f"NOT MEASURED: {reason}" for reason in outcome.unmeasured), *outcome.notes]


def _counts_as_error(verdict: Verdict, outcome: Outcome) -> bool:
    return verdict.mark == "incomparable" and outcome.complete and not verdict.excused


def _in_words(verdict: Verdict) -> str:
    """`0.7210 -> 0.6103, -0.1107 [-0.16, -0.06], p 0.0001; why`."""
    _, _, base, head, change, interval, p, _, why = _cells(verdict)
    compared = f"{base} -> {head}, {change} {interval}, p {p}" if change != "-" else f"{base} -> {head}"
    return "; ".join(part for part in (compared, why) if part)


def _cells(verdict: Verdict) -> list[str]:
    mark = f"{verdict.mark} (accept?)" if verdict.to_accept and verdict.mark == "better" else str(verdict.mark)
    mark += "" if verdict.protected else ", not protected"
    interval, change = "-", _change(verdict, verdict.change)
    if verdict.interval:
        low, high = (_change(verdict, value) for value in verdict.interval)
        interval = f"[{low}, {high}]"
    p = "-" if verdict.p is None else f"{verdict.p:.4f}"
    if verdict.second is not None:
        p += f" (McNemar {verdict.second:.4f})"
    limit = "-" if verdict.limit is None else _limit(verdict)
    base, head = _value(verdict, verdict.base), _value(verdict, verdict.head)
    return [mark, f"{verdict.gate}: {verdict.name}", base, head, change, interval, p, limit, verdict.reason]


def _value(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return "-"
    if verdict.gate == "cost":
        return f"{int(value):,}"
    return f"{value:.4f}" if verdict.gate == "accuracy" else f"{value:.3f}"


def _change(verdict: Verdict, value: float | None) -> str:
    if value is None:
        return "-"
    if verdict.gate == "cost":
        return f"{int(value):+,}"
    return f"{value:+.4f}" if verdict.gate == "accuracy" else f"x{value:.3f}"


def _limit(verdict: Verdict) -> str:
    assert verdict.limit is not None
    return f"±{verdict.limit:.4f}" if verdict.gate == "accuracy" else f"x{verdict.limit:.2f}"


def _markdown_table(verdicts: list[Verdict]) -> str:
    rows = [[f"{SIGN[verdict.mark]} {mark}", *rest] for verdict in verdicts for mark, *rest in [_cells(verdict)]]
    return tabulate([[_inert(cell) for cell in row] for row in rows], HEADERS, tablefmt="github", disable_numparse=True)


def _inert(text: str) -> str:
    """Text in a cell of a table of GitHub's markdown: no mark-up, no line of its own."""
    plain = html.escape(_printable(text), quote=False).replace("\\", "\\\\").replace("|", "\\|")
    return _MARKUP.sub(r"\\\1", plain)


def _xml(text: str) -> str:
    """Text without what no XML may hold, however it is written."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _printable(text: str) -> str:
    return " ".join(_NO_XML.sub("\N{REPLACEMENT CHARACTER}", text).split())


def _annotation(level: str, title: str, text: str) -> str:
    """GitHub's form of a line, with what would end a field written in its own way."""
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        title, text = title.replace(sign, code), text.replace(sign, code)
    return f"::{level} title={title.replace(':', '%3A').replace(',', '%2C')}::{text}"
