"""What people and machines are told."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from ferbench.benchmark.gate.report import github_lines, junit, markdown, terminal
from ferbench.benchmark.gate.verdict import Outcome, Verdict, sorted_outcome

FAILED = Verdict("accuracy", "tsm", "ABAW", "newly failed", "oulu_casia-twin", base=0.65, reason="no memory: 1, 2")
WORSE = Verdict(
    "accuracy", "c3d", "ABAW", "worse", "oulu_casia-twin", 0.72, 0.61, -0.11, (-0.16, -0.06), 0.0001, 0.0004, 0.08,
    "changed: training code",
)  # fmt: skip
SLOWER = Verdict("latency", "vit_se", "training step, ms", "worse", "", 4.0, 4.8, 1.2, (1.18, 1.22), 1e-6, limit=1.1)
DEARER = Verdict("cost", "vivit", "parameters", "worse", "", 1000, 1001, 1, reason="exact", to_accept=True)
CHEAPER = Verdict("cost", "tsm", "parameters", "better", "", 1000, 900, -100, reason="exact", to_accept=True)
APART = Verdict("accuracy", "vivit", "ABAW", "incomparable", reason="another question: changed seed (0 -> 1)")
NEW = Verdict("latency", "new_one", "training step, ms", "incomparable", reason="not in the base", excused=True)
BETTER = Verdict("accuracy", "vit_se", "ABAW", "better", "", 0.5, 0.7, 0.2, (0.1, 0.3), 0.0001)
SAME = Verdict("accuracy", "r2plus1d", "ABAW", "same", "", 0.5, 0.5, 0.0, (0.0, 0.0), 1.0, reason="a | b")


def outcome(*verdicts: Verdict, unmeasured: list[str] | None = None) -> Outcome:
    return sorted_outcome(list(verdicts), ["latency was not measured"], unmeasured or [])


def test_the_worst_stands_first() -> None:
    found = outcome(SAME, BETTER, NEW, APART, CHEAPER, DEARER, SLOWER, WORSE, FAILED)
    assert found.verdicts == (FAILED, SLOWER, WORSE, DEARER, CHEAPER, APART, NEW, BETTER, SAME)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ((SAME, BETTER), 0),
        ((SAME, NEW), 0),
        ((SAME, WORSE, APART), 1),
        ((SAME, CHEAPER), 1),
        ((FAILED,), 1),
        ((SAME, APART), 3),
        ((NEW,), 3),
        ((), 3),
    ],
)
def test_green_means_that_all_of_it_was_compared(verdicts: tuple[Verdict, ...], code: int) -> None:
    assert outcome(*verdicts).exit_code == code


def test_nothing_is_green_when_a_part_could_not_be_measured() -> None:
    assert outcome(SAME, unmeasured=["latency: the base cannot be measured"]).exit_code == 3
    assert outcome(WORSE, unmeasured=["latency: the base cannot be measured"]).exit_code == 1


def test_the_terminal_shows_one_table() -> None:
    lines = terminal(outcome(SAME, WORSE, SLOWER, CHEAPER)).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["worse", "worse", "better", "same"]
    row = next(line for line in lines if "c3d" in line)
    assert " ".join(row.split()) == (
        "worse accuracy: c3d ABAW (oulu_casia-twin) 0.7200 0.6100 -0.1100 [-0.1600, -0.0600] "
        "0.0001 (McNemar 0.0004) ±0.0800 changed: training code"
    )
    assert lines[-1] == "the gate is red: 2 worse, 1 better, 1 same"


def test_the_markdown_folds_what_is_the_same() -> None:
    text = markdown(outcome(SAME, WORSE))
    assert text.startswith("## the gate is red: 1 worse, 1 same\n\n| verdict")
    shown, folded = text.split("<details><summary>1 same</summary>")
    assert "🔴 worse" in shown
    assert "r2plus1d" not in shown
    assert "a \\| b" in folded
    assert text.endswith("</details>\n\n- latency was not measured\n")


def test_junit_tells_failures_from_what_could_not_be_compared() -> None:
    top = ET.fromstring(junit(outcome(SAME, WORSE, APART, NEW, DEARER, unmeasured=["latency: the base is gone"])))
    suites = {suite.get("name"): suite for suite in top}
    numbers = {name: (s.get("tests"), s.get("failures"), s.get("errors")) for name, s in suites.items()}
    assert numbers == {
        "accuracy": ("3", "1", "1"), "cost": ("1", "1", "0"), "latency": ("1", "0", "0"), "unmeasured": ("1", "0", "1"),
    }  # fmt: skip
    (failure,) = suites["accuracy"].iter("failure")
    assert failure.get("message") == (
        "worse: 0.7200 -> 0.6100, -0.1100 [-0.1600, -0.0600], p 0.0001 (McNemar 0.0004); changed: training code"
    )
    assert [case.get("message") for case in suites["latency"].iter("skipped")] == ["not in the base"]


def test_github_is_told_in_its_own_format() -> None:
    lines = github_lines(outcome(SAME, FAILED, APART, unmeasured=["latency: 100%\nlost"]))
    assert lines == [
        "::error title=newly failed%3A tsm ABAW (oulu_casia-twin)::0.6500 -> -; no memory: 1, 2",
        "::warning title=incomparable%3A vivit ABAW::another question: changed seed (0 -> 1)",
        "::error title=not measured::latency: 100%25%0Alost",
    ]


HOSTILE = "a\x00b\x1bc\ud800 <script>alert(1)</script> | *bold* [x](javascript:1) `code`\nnew line"


def test_whatever_a_name_holds_the_reports_are_whole() -> None:
    hostile = outcome(
        Verdict("accuracy", HOSTILE, "ABAW", "worse", HOSTILE, 0.5, 0.4, -0.1, (-0.2, -0.05), 0.001, reason=HOSTILE),
        Verdict("accuracy", "b", HOSTILE, "incomparable", reason=HOSTILE),
        unmeasured=[HOSTILE],
    )
    top = ET.fromstring(junit(hostile).encode("utf-8"))
    assert len(list(top.iter("testcase"))) == 3
    summary = markdown(hostile)
    summary.encode("utf-8")
    assert "<script>" not in summary
    assert "&lt;script&gt;" in summary
    assert r"\*bold\* \[x\](javascript:1) \`code\`" in summary
    (row,) = [line for line in summary.splitlines() if "accuracy: a" in line]
    assert row.replace(r"\|", "").count("|") == 10  # nine cells


def test_a_summary_fits_into_what_github_takes() -> None:
    verdicts = [Verdict("accuracy", f"{'long name ' * 20}{i}", "ABAW", "worse", "x" * 90) for i in range(6100)]
    summary = markdown(outcome(*verdicts))
    assert len(summary.encode()) < 2**20
    assert "5100 more are in `junit.xml`: GitHub takes 1 MiB." in summary
    assert len(list(ET.fromstring(junit(outcome(*verdicts))).iter("testcase"))) == 6100


def test_what_is_not_protected_is_told_in_every_report() -> None:
    bare = outcome(
        Verdict("accuracy", "c3d", "ABAW", "same", "x", 0.13, 0.13, 0.0, (-0.1, 0.1), 1.0, limit=0.02, protected=False)
    )
    for text in (terminal(bare), markdown(bare)):
        assert "same, not protected" in text
        assert "1 cells are not protected: their base stands at the floor" in text
    (case,) = ET.fromstring(junit(bare)).iter("testcase")
    assert case.findtext("system-out") == "not protected: its base stands at the floor"
    assert bare.exit_code == 0
