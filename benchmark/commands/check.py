"""`check`: the regression gate over records."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from pathlib import Path

from benchmark.commands.leaderboard import PUBLISHED
from benchmark.errors import RequestError
from benchmark.provenance import CHECKOUT
from benchmark.regression import check, exit_code, report


def check_regression(base: str, results: Path) -> int:
    """Compares the local records with a base and prints what it found; returns the exit code.

    `base` is a folder of records, or a git ref whose published records are taken; empty: the published ones here.

    Raises:
        RequestError: the base is neither, or the results folder is not there.
    """
    if not results.is_dir():
        raise RequestError(f"{results}: no such folder: run `make bench` first, or name a folder with --results")
    with tempfile.TemporaryDirectory(prefix="ferbench-base-") as scratch:
        folder = _base_folder(base, Path(scratch))
        verdicts = check(results, folder)
    print(report(verdicts))
    code = exit_code(verdicts)
    if code == 3:
        print("nothing could be compared: run `make bench` first, and see above what changed")
    return code


def _base_folder(base: str, scratch: Path) -> Path:
    if not base:
        return PUBLISHED
    if Path(base).is_dir():
        return Path(base)
    packed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "archive", "--format=tar", base, "results/published"], capture_output=True
    )
    if packed.returncode:
        raise RequestError(f"--base {base}: neither a folder of records nor a git ref that has results/published")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(scratch, filter="data")
    return scratch / "results" / "published"
