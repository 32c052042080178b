"""Any command as a predictor: it reads a template and writes a file of answers, in an environment of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ferbench.benchmark.entries.answers import Answers, read_answers
from ferbench.benchmark.entries.questions import Question
from ferbench.benchmark.entries.scoring import RunHere, digest_of_file
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.records.scratch import scratch

PLACES = ("template", "out", "data")
SHOWN = 20
"""Last lines of what a command printed that are shown when it fails."""
READ = 64_000
"""Bytes of it that are looked at."""


@dataclass(frozen=True)
class Command:
    """A command line with places for files: `{template}`, `{out}` and, where it is wanted, `{data}`."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, line: str) -> Command:
        """The words of a line; no shell will see them.

        Raises:
            RequestError: it is no command line, or lacks a place.
        """
        try:
            words = tuple(shlex.split(line))
        except ValueError as error:
            raise RequestError(f"--command {line!r}: {error}") from None
        if not words:
            raise RequestError("--command: it is empty: write a command with {template} and {out}")
        for place in PLACES[:2]:
            if not any(f"{{{place}}}" in word for word in words):
                raise RequestError(f"--command {line!r}: it must name {{{place}}}: the file is put there")
        return cls(words)

    def with_places(self, **places: Path) -> list[str]:
        """The words with files in their places."""
        words = list(self.words)
        for name, file in places.items():
            words = [word.replace(f"{{{name}}}", str(file)) for word in words]
        return words


def answers_by(command: Command, question: Question, seconds: float) -> tuple[Answers, RunHere, str]:
    """What a command answers to a question, how that was made, and the digest of its file of answers.

    Raises:
        RequestError: it cannot be started, fails, takes too long, or writes no answers that can be used.
    """
    with scratch() as folder:
        template, out = folder / "template.csv", folder / "answers.csv"
        question.template().to_csv(template, index=False)
        words = command.with_places(template=template, out=out, data=question.location.root)
        began = time.perf_counter()
        _run(words, seconds)
        took = time.perf_counter() - began
        if not out.is_file():
            raise RequestError(
                f"{command.words[0]}: it ended well and wrote no answers: {{out}} names the CSV to write"
            )
        try:
            answers = read_answers(out, question)
        except RequestError as error:
            raise RequestError(f"{command.words[0]}: {str(error).replace(str(out), 'its answers')}") from None
        run = RunHere(
            None, {"test_s": took}, {}, notes=(f"run here as a command: {took:.0f} s for the whole test part",)
        )
        return answers, run, digest_of_file(out)


def _run(words: list[str], seconds: float) -> None:
    """Runs a command to its end; whatever it started ends with it."""
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise RequestError(f"{words[0]}: cannot be started: {reason}") from None
        try:
            code = process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise RequestError(f"{words[0]}: stopped after {seconds:.0f} s, its time limit (--time-limit)"
                               f"{_told(printed)}") from None  # fmt: skip
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if code:
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise RequestError(f"{words[0]}: it failed ({why}){_told(printed)}")


def _told(printed: IO[bytes]) -> str:
    """The end of what was printed, whatever bytes that is."""
    printed.seek(0, os.SEEK_END)
    printed.seek(max(0, printed.tell() - READ))
    text = printed.read().decode("utf-8", "replace")
    shown = "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.replace("\r", "\n")
    )
    lines = [line[:300] for line in shown.splitlines() if line.strip()][-SHOWN:]
    return ": it printed nothing" if not lines else ": it printed\n" + "\n".join(f"  {line}" for line in lines)
