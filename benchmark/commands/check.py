"""`check`: the regression gate. It runs the gate's cells, measures base and head side by side, judges and reports."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from ferbench.benchmark.commands.leaderboard import PUBLISHED
from ferbench.benchmark.commands.run import choose_device
from ferbench.benchmark.commands.terminal import show_any_text
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate import report
from ferbench.benchmark.gate.accuracy import CellName, Limits, by_name, compare_cells, compare_groups
from ferbench.benchmark.gate.baseline import Baseline, NoBaselineError, cell_name, read_baseline
from ferbench.benchmark.gate.chance import FAMILY_ALPHA, Group, group_of, margins
from ferbench.benchmark.gate.cost import compare_costs, compare_inputs
from ferbench.benchmark.gate.latency import ALPHA, RATIO, compare_times
from ferbench.benchmark.gate.runs import LIBRARIES, GateRun, data_changes, data_content, run_cells
from ferbench.benchmark.gate.side_by_side import (
    SAMPLES_AGAIN,
    Measurement,
    SideError,
    Target,
    checkout,
    measure,
    one_machine,
    repository_of,
)
from ferbench.benchmark.gate.verdict import NOTHING_COMPARED, Outcome, Verdict, sorted_outcome
from ferbench.benchmark.planning.data import data_folder
from ferbench.benchmark.planning.registry import architectures, ensembles
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.git import git
from ferbench.benchmark.records.installation import PROGRAM, advised
from ferbench.benchmark.records.provenance import available_cores, environment
from ferbench.benchmark.records.record import Record, read_records
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running.scheduler import refuse_read_only

BASELINE = PUBLISHED / "gate"
WORK = Path("results") / "check"
"""Where a check keeps its records, its raw samples and its reports."""
REPORTS = ("report.md", "junit.xml", "latency.json")
BOARD_RECORDS = 6
"""How many cells the board is rendered from when its time is taken."""

Only = Literal["", "accuracy", "latency"]
Say = Callable[[str], None]
Wanted = Callable[[Target], bool]
Sides = tuple[Path, Path, str]
"""This checkout, that of the base, and the base's commit."""


@dataclass(frozen=True)
class Request:
    """What is asked of the gate."""

    base: str = ""
    """A git ref: times are compared with it. Empty: none are."""
    suite: str = "gate"
    only: Only = ""
    architectures: tuple[str, ...] = ()
    device: str = "auto"
    workers: int = 0
    data: Path | None = None
    work: Path = WORK
    baseline: Path = BASELINE


def check_gate(request: Request) -> int:
    """Runs the gate, prints what it found and writes it below `request.work`; returns the exit code.

    Raises:
        RequestError: the request is wrong, or the baseline is damaged; nothing has run then.
    """
    refuse_read_only(request.work, "--work")
    forget_reports(request.work)
    device = choose_device(request.device)
    known_architectures(request.architectures)
    if request.only == "latency" and not request.base:
        return _nothing("latency is compared with another commit, and none is named: give --base REF")
    with ExitStack() as stack:
        head = repository_of(Path.cwd()) if request.base else None
        sides = (head, *stack.enter_context(checkout(head, request.base))) if head else None
        return judge(request, device, sides)


def judge(request: Request, device: str, sides: Sides | None) -> int:
    """Runs the gate of a request that is right; sides are None where no times are asked for."""
    say = _progress
    verdicts: list[Verdict] = []
    notes: list[str] = []
    unmeasured: list[str] = []
    if request.only != "latency":
        try:
            verdicts += accuracy_and_cost(request, device, notes, say)
        except NoBaselineError as error:
            if not sides:
                return _nothing(str(error))
            unmeasured.append(f"accuracy and cost: {error}")
    if request.only != "accuracy" and sides:
        verdicts += latency(request, device, sides, notes, unmeasured, say)
    elif request.only != "accuracy":
        notes.append(
            "latency was not measured: name a commit to compare with, as in "
            + advised("check BASE=origin/main", "check --base origin/main")
        )
    outcome = sorted_outcome(verdicts, notes, unmeasured)
    return tell(outcome, request.work)


def check_folders(results: Path, base: Path) -> int:
    """Compares the records of one folder with those of another, without running anything; returns the exit code.

    Raises:
        RequestError: a folder is not there, or a record cannot be read.
    """
    for folder in (results, base):
        if not folder.is_dir():
            raise RequestError(
                f"{folder}: no such folder: run {advised('bench', 'run')} first, or name a folder of records"
            )
    head, before = read_records(results), read_records(base)
    limits = Limits()
    notes = [f"records only, nothing was run: worse is a loss of ABAW beyond {limits.margin(None):g} with p < "  # type: ignore[arg-type]
             f"{limits.alpha:g} (paired bootstrap over subjects where they are known)",
             "latency is not compared between records: two runs are two jobs; name a git ref with --base"]  # fmt: skip
    verdicts = [*compare_cells(head, before, limits), *compare_costs(head, before)]
    outcome = sorted_outcome(verdicts, notes, [], complete=False)
    print(report.terminal(outcome))
    if outcome.exit_code == NOTHING_COMPARED:
        print(f"nothing could be compared: run {advised('bench', 'run')} first, and see above what changed")
    return outcome.exit_code


def refuse_saved_times(file: Path) -> int:
    """Says why times of an earlier measurement are no base; returns the exit code.

    Raises:
        RequestError: the file does not hold times.
    """
    try:
        machine = dict(json.loads(file.read_text(encoding="utf-8"))["machine"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{file}: neither a folder of records nor times that `check` saved ({type(error).__name__}: "
                           f"{error}): give --base a git ref or a folder") from None  # fmt: skip
    try:
        one_machine(machine, this_machine())
    except SideError as error:
        return _nothing(f"{file}: {error}")
    return _nothing(
        f"{file}: measured in another job: times are compared only when base and head are measured in turns: give "
        "--base a git ref"
    )


def this_machine() -> dict[str, Any]:
    """What tells this machine from another, as a measurement keeps it."""
    import torch

    from ferbench.benchmark.measures.efficiency import device_name

    return {"host": os.uname().nodename, "device": device_name("cpu"), "threads": 1, "torch": torch.__version__}


def accuracy_and_cost(request: Request, device: str, notes: list[str], say: Say) -> list[Verdict]:
    """Runs the cells and compares them with the baseline.

    Raises:
        NoBaselineError: there is none; nothing has run then.
    """
    gate = gate_run(request, device)
    name, cells = gate.cells()
    baseline = read_baseline(request.baseline, name, remake(request))
    records, _ = run_cells(cells, gate, say)
    content = data_content(cells, gate.data)
    notes += _notes_on(baseline, records)
    verdicts = judge_records(baseline, records, data_changes(baseline, content), request.architectures)
    return [*verdicts, *compare_inputs(content, baseline.data)]


def judge_records(
    baseline: Baseline, records: list[Record], changes: dict[str, list[str]], only: tuple[str, ...] = ()
) -> list[Verdict]:
    """Accuracy and cost of records against a baseline; `only` names the architectures that were run, empty: all."""
    base = [record for record in baseline.records if not only or record.data["architecture"] in only]
    margin = margins(baseline.reruns)
    named = {cell: cell_name(record) for cell, record in by_name([*baseline.records, *records]).items()}
    limits = Limits(margin=lambda cell: margin[named[cell]])

    def as_group(cells: list[CellName]) -> Group:
        return group_of(baseline.reruns, [named[cell] for cell in cells])

    return [
        *compare_groups(records, base, as_group, limits, changes),
        *compare_cells(records, base, limits, changes),
        *compare_costs(records, base),
    ]


def remake(request: Request) -> str:
    """The command that makes the baseline of what is asked for, to be advised."""
    named = (("--suite", request.suite, Request.suite), ("--out", request.baseline, Request.baseline))
    words = [word for option, value, usual in named if value != usual for word in (option, quote(str(value)))]
    return f"`{PROGRAM} baseline {' '.join(words)}`" if words else advised("baseline")


def gate_run(request: Request, device: str) -> GateRun:
    """How the gate's cells are run."""
    import torch

    workers = request.workers or (available_cores() if device == "cpu" else torch.cuda.device_count())
    return GateRun(
        request.suite, request.work / "records", device, workers, data_folder(request.data), request.architectures
    )


def latency(
    request: Request, device: str, sides: Sides, notes: list[str], unmeasured: list[str], say: Say
) -> list[Verdict]:
    """Measures base and head in turns, and again what looks slower; keeps the raw samples."""
    head, base, commit = sides
    with scratch() as folder:
        notes.append(
            f"latency: this checkout against {request.base} ({commit[:12]}), in turns on this machine, with this "
            f"environment's libraries; worse: ratio > {RATIO:g} with p < {ALPHA:g}, twice"
        )
        notes += _accepted_since(head, commit, request.baseline)
        names = request.architectures
        wanted = (lambda target: target.subject in names) if names else (lambda _: True)
        records = board_records(request.baseline, folder)
        try:
            first, again = measure_twice(base, head, device, records, wanted, import_roots(head), say)
        except SideError as error:
            unmeasured.append(f"latency: {error}")
            return []
    kept = {"base": commit, "first": first.as_dict(), "again": again.as_dict() if again else None}
    (request.work / "latency.json").write_text(json.dumps({"machine": first.machine, **kept}, indent=1) + "\n")
    return judge_times(first, again, unmeasured)


def measure_twice(
    base: Path, head: Path, device: str, records: Path | None, wanted: Wanted, roots: Sequence[str], say: Say
) -> tuple[Measurement, Measurement | None]:
    """Measures two checkouts, and what looks slower a second time in new processes.

    Raises:
        SideError: a side cannot be measured.
    """
    first = measure(base, head, device, records, wanted, roots=roots, say=say)
    slower = {t for t, s in first.samples.items() if compare_times(t.subject, t.what, s.base, s.head).red}
    if not slower:
        return first, None
    return first, measure(base, head, device, records, slower.__contains__, SAMPLES_AGAIN, roots, say, seed=1)


def judge_times(first: Measurement, again: Measurement | None, unmeasured: list[str]) -> list[Verdict]:
    """One verdict a target of a measurement, and of a second one for what looked slower in the first."""
    verdicts = []
    for target, samples in first.samples.items():
        second = again.samples.get(target) if again else None
        if again and target in again.failed:
            unmeasured.append(f"latency of {target.subject} {target.what}, the second time: {again.failed[target]}")
        verdicts.append(
            compare_times(
                target.subject, target.what, samples.base, samples.head, (second.base, second.head) if second else None
            )
        )
    for target, reason in first.failed.items():
        verdicts.append(Verdict("latency", target.subject, target.what, "incomparable", reason=reason))
    for targets, reason in ((first.only_head, "not in the base"), (first.only_base, "no longer there")):
        verdicts += [
            Verdict("latency", target.subject, target.what, "incomparable", reason=reason, excused=True)
            for target in targets
        ]
    if not verdicts:
        unmeasured.append("latency: base and head have nothing in common that is measured")
    return verdicts


def board_records(baseline: Path, folder: Path) -> Path | None:
    """A few cells of the baseline as a folder of records; None where there is no baseline."""
    records = read_records(baseline / "records")[:BOARD_RECORDS]
    for record in records:
        shutil.copytree(record.path, folder / record.path.relative_to(baseline / "records"))
    return folder if records else None


def import_roots(head: Path) -> tuple[str, ...]:
    """Folders of a checkout, relative to its top, from which the packages of its architectures are imported."""
    import importlib.util

    roots = set()
    for name in architectures.names():
        module = architectures.module(name)
        spec = importlib.util.find_spec(module)
        if spec and spec.origin and Path(spec.origin).resolve().is_relative_to(head):
            depth = module.count(".") + (Path(spec.origin).stem == "__init__")
            top = Path(spec.origin).parents[depth]  # climbed before links are followed: they may lead out of a package
            roots.add(top.resolve().relative_to(head).as_posix())
    return tuple(sorted(roots)) or (".",)


def known_architectures(names: tuple[str, ...]) -> None:
    """Raises RequestError for a name that is neither an architecture nor an ensemble."""
    for name in names:
        if name not in ensembles.names():
            architectures.module(name)


def forget_reports(work: Path) -> None:
    """Removes the reports of an earlier check, so that after one that is killed none can be taken for its own."""
    for name in REPORTS:
        (work / name).unlink(missing_ok=True)


def tell(outcome: Outcome, work: Path) -> int:
    """Prints and writes the outcome in every form; returns its exit code."""
    work.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.md", report.markdown(outcome)), ("junit.xml", report.junit(outcome))):
        with drafted(work / name) as draft:
            draft.write_text(text, encoding="utf-8")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(report.markdown(outcome))
    show_any_text()
    print(report.terminal(outcome))
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print("\n".join(report.github_lines(outcome)))
    return outcome.exit_code


def _notes_on(baseline: Baseline, records: list[Record]) -> list[str]:
    """By which limits was decided, and whether the baseline comes from somewhere else."""
    notes = [
        "accuracy: worse is a loss of ABAW beyond the cell's own limit with p < 0.01 (paired bootstrap over subjects); "
        f"reruns of the baseline set the limits: chance alone exceeds any of them in {FAMILY_ALPHA:.0%} of new draws"
    ]
    now, then = environment(), baseline.records[0].data["environment"]
    other = [f"{name} {then.get(name)} -> {now[name]}" for name in LIBRARIES if then.get(name) != now[name]]
    device = next((r.data["environment"]["device"] for r in records if r.data["status"] == "ok"), then["device"])
    if device != then["device"]:
        other.append(f"{then['device']} -> {device}")
    if other:
        notes.append(f"the baseline was made elsewhere ({', '.join(other)}): sums may be rounded differently, which "
                     "draws every score anew")  # fmt: skip
    return notes


def _accepted_since(head: Path, commit: str, baseline: Path) -> list[str]:
    """Says so where the baseline itself was changed since the base: its changes count as accepted."""
    found = git(head, "diff", "--quiet", commit, "--", str(baseline))
    return ["the baseline was changed since the base: what it holds now counts as accepted"] * (found.returncode == 1)


def _nothing(message: str) -> int:
    """Tells people and GitHub that there was nothing to compare."""
    print(f"error: {message}", file=sys.stderr)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        print(f"::error title=the gate compared nothing::{message}")
    return NOTHING_COMPARED


def _progress(line: str) -> None:
    print(line, flush=True)
