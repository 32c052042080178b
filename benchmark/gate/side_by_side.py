"""Base and head side by side: two checkouts, a process each, measured in turns, their raw samples kept.

A process does nothing while the other measures. Which of the two goes first is drawn anew for each pair of samples, so
that whatever else the machine does falls on both alike. What looks slower is measured again in two new processes, since
the place of code and data in memory can make a process faster or slower for all of its life.
"""

from __future__ import annotations

import json
import math
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.gate import measured
from ferbench.benchmark.gate.measured import INFERENCE, TRAINING
from ferbench.benchmark.records.git import distrusted, git, own_environment
from ferbench.benchmark.records.installation import CHECKOUT, PACKAGE
from ferbench.benchmark.records.scratch import scratch
from ferbench.benchmark.running.worker import SETTINGS

SAMPLES, SAMPLES_AGAIN = 20, 30
"""Timed samples of each side, and when something is measured again."""
SAMPLE_SECONDS, SAMPLE_CALLS = 0.030, 3
"""A timed sample is the fastest of so many calls that they last this long together, but at least of three."""
TARGET_SECONDS = 30.0
"""About how long a target may take on both sides together; slow ones have fewer samples, but at least FEWEST."""
FEWEST = 8
ANSWER_SECONDS, END_SECONDS = 300, 5
SIDES = ("base", "head")


class SideError(Exception):
    """A side cannot be measured: one line that says which and why."""


@dataclass(frozen=True)
class Target:
    """One thing whose time is compared."""

    subject: str
    """An architecture or a part of the harness."""
    what: str
    """What of an architecture; empty for a part."""


@dataclass
class Samples:
    """Seconds a call on both sides, as they were taken; each is the fastest of `repeats` calls."""

    repeats: int
    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """What one pair of processes measured."""

    machine: dict[str, Any]
    samples: dict[Target, Samples]
    only_base: list[Target]
    """Targets that the head does not have."""
    only_head: list[Target]
    """Targets that the base does not have."""
    failed: dict[Target, str]
    """Targets that a side has and cannot run, with the reason."""

    def as_dict(self) -> dict[str, Any]:
        """For the file of raw samples."""
        rows = [{**asdict(target), **asdict(samples)} for target, samples in self.samples.items()]
        return {"machine": self.machine, "samples": rows}


@contextmanager
def checkout(repository: Path, ref: str) -> Iterator[tuple[Path, str]]:
    """A work tree of a commit beside the present one, and the commit's hash; it is removed afterwards.

    Raises:
        RequestError: no such ref.
    """
    found = git(repository, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if found.returncode:
        raise RequestError(f"--base {ref}: neither a commit of {repository} nor a folder of records: fetch it first, "
                           "or name a ref that is there (a shallow clone holds one commit only)")  # fmt: skip
    commit = found.stdout.strip()
    git(repository, "worktree", "prune")  # of gates that were killed
    with scratch() as folder:
        place = folder.resolve() / "base"
        made = git(repository, "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", str(place), commit)
        if made.returncode:
            raise RequestError(f"--base {ref}: it cannot be checked out: {' '.join(made.stderr.split())}")
        try:
            yield place, commit
        finally:
            git(repository, "worktree", "remove", "--force", str(place))


def repository_of(folder: Path) -> Path:
    """The top of the git repository that holds a folder.

    Raises:
        RequestError: it is in none, or there is no git.
    """
    if not shutil.which("git"):
        raise RequestError("git: not found on PATH: --base REF needs it")
    found = git(folder, "rev-parse", "--show-toplevel")
    if said := distrusted(found):
        raise RequestError(said)
    if found.returncode:
        raise RequestError(f"{folder}: not in a git repository: --base REF needs one")
    return Path(found.stdout.strip())


def measure(
    base: Path, head: Path, device: str, records: Path | None, wanted: Callable[[Target], bool] = lambda _: True,
    samples: int = SAMPLES, roots: Sequence[str] = (".",), say: Callable[[str], None] = lambda _: None, seed: int = 0,
) -> Measurement:  # fmt: skip
    """Measures every target that both checkouts have and `wanted` takes.

    Args:
        records: a folder of records for the rendering of the board, the same for both sides.
        roots: folders of packages, relative to the top of a checkout.

    Raises:
        SideError: a side does not start, the two are not on the same machine, or the base is from before the packages
            of this project lay under one name.
    """
    if head == CHECKOUT and not (base / PACKAGE).is_dir():
        raise SideError(f"the base has another layout, without the folder {PACKAGE}/, and cannot be measured: name a "
                        "commit that has it")  # fmt: skip
    with ExitStack() as stack:
        places: dict[str, Path] = dict(zip(SIDES, (base, head), strict=True))
        own = stack.enter_context(scratch())
        sides = {name: stack.enter_context(_Process(name, places[name], roots, device, records, own)) for name in SIDES}
        about = {name: side.ask(ask="about") for name, side in sides.items()}
        machine = one_machine(about["base"]["machine"], about["head"]["machine"])
        for name in SIDES:
            if not about[name]["architectures"] and not about[name]["parts"]:
                raise SideError(f"the {name} has nothing to measure: no architecture lies in {places[name]}")
        has = {name: [t for t in _targets(about[name]) if wanted(t)] for name in SIDES}
        both = [target for target in has["head"] if target in has["base"]]
        taken: dict[Target, Samples] = {}
        failed: dict[Target, str] = {}
        draw = random.Random(seed)
        for number, target in enumerate(both, start=1):
            say(f"[{number}/{len(both)}] {target.subject} {target.what}")
            try:
                taken[target] = _in_turns(sides, target, samples, draw)
            except SideError as error:
                failed[target] = str(error)
        return Measurement(
            machine, taken, [t for t in has["base"] if t not in has["head"]],
            [t for t in has["head"] if t not in has["base"]], failed,
        )  # fmt: skip


def one_machine(base: dict[str, Any], head: dict[str, Any]) -> dict[str, Any]:
    """The machine of both sides.

    Raises:
        SideError: they are not the same; times of two machines say nothing about the code.
    """
    for fact in ("host", "device", "threads", "torch"):
        if base.get(fact) != head.get(fact):
            raise SideError(
                f"base was measured on {fact} {base.get(fact)}, head on {head.get(fact)}: times of two machines are "
                "not compared: measure both in one job with --base REF"
            )
    return head


def _targets(about: dict[str, Any]) -> list[Target]:
    models = [Target(name, what) for name in about["architectures"] for what in (INFERENCE, TRAINING)]
    return [*models, *(Target(part, "") for part in about["parts"])]


def _in_turns(sides: dict[str, _Process], target: Target, samples: int, draw: random.Random) -> Samples:
    seconds = [side.ask(ask="prepare", **asdict(target))["seconds"] for side in sides.values()]
    repeats = max(SAMPLE_CALLS, math.ceil(SAMPLE_SECONDS / max(min(seconds), 1e-7)))
    fit = int(TARGET_SECONDS / (sum(seconds) * repeats))
    found = Samples(repeats)
    for _ in range(max(FEWEST, min(samples, fit))):
        order = list(sides)
        draw.shuffle(order)
        for name in order:
            getattr(found, name).append(sides[name].ask(ask="sample", repeats=repeats)["seconds"])
    return found


class _Process:
    """One side: a process that measures when it is asked to."""

    def __init__(
        self, name: str, checkout: Path, roots: Sequence[str], device: str, records: Path | None, temporary: Path
    ) -> None:
        self.name = name
        # -P: the folder of the script, whose modules are named like the standard library's, is not on the path
        words = [sys.executable, "-P", measured.__file__, str(checkout), device, *([str(records)] if records else [])]
        own = [str((checkout / root).resolve()) for root in roots]
        path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**own_environment(), **SETTINGS, "PYTHONPATH": path, "TMPDIR": str(temporary)}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            words, cwd=checkout, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()  # it ends by itself, and puts away what it wrote
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_SECONDS)
        self.process.kill()
        self.process.wait()
        self.errors.close()

    def ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            SideError: the process ended, says that it cannot, or does not answer.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
            line = self.process.stdout.readline() if ready else None
        except OSError:
            line = ""
        if line is None:
            raise SideError(f"the {self.name} gave no answer in {ANSWER_SECONDS} s")
        if not line:
            raise SideError(f"the {self.name} cannot be measured: its process ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(f"the {self.name} cannot be measured: {answer['error']}")
        return answer

    def _last_words(self) -> str:
        self.process.wait(10)
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines()
        return said[-1] if said else f"exit code {self.process.returncode}"
