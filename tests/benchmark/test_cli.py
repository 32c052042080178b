"""The command line: what people type, and the one line that they get when it is wrong."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from ferbench.benchmark.cli import main
from ferbench.benchmark.planning.suite import BASELINES
from ferbench.benchmark.records.installation import CHECKOUT
from ferbench.benchmark.records.record import PREDICTIONS, RECORD
from ferbench.benchmark.running.claims import claimed

Command = Callable[..., tuple[int, str, str]]
Ferbench = Callable[..., "subprocess.CompletedProcess[str]"]
TwoRuns = tuple[Path, Path, "list[subprocess.Popen[str]]"]
"""Their results, the gate of their toys, and they."""

SUITE = """
description: A test.
architectures: [toy_quick]
datasets: [affectnet_small]
size: tiny
seeds: [0, 1, 2, 3]
"""
CELLS = 4 + len(BASELINES)  # four seeds, floors and an oracle


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setenv("FERBENCH_DEBUG", "")

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["python -m benchmark", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture
def refused(command: Command, tmp_path: Path) -> Callable[..., str]:
    """The one line that a wrong `run` gets; it exits with 2 and leaves nothing behind."""

    def run(*words: object) -> str:
        code, out, err = command("run", "--results", tmp_path / "results", *words)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert err.startswith("error: ")
        assert not list(tmp_path.glob(f"results/**/{RECORD}"))
        return err.removeprefix("error: ").strip()

    return run


# Wrong requests


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--architectures", "vit_es"], "unknown architecture 'vit_es': did you mean 'vit_se'?"),
        (["--datasets", "oulu"], "unknown data set 'oulu': did you mean 'oulu_casia'?"),
        (["--suite", "smok"], "unknown suite 'smok': did you mean 'smoke'?"),
        (["--device", "gpu"], "unknown device 'gpu': use auto, cpu or cuda"),
        (["--backend", "cloud"], "unknown backend 'cloud': use local or ray"),
        (["--data", "/nowhere"], "/nowhere: no such folder: --data takes a folder with one folder a data set"),
    ],
)
def test_a_wrong_word_is_told_in_one_line(refused: Callable[..., str], words: list[str], line: str) -> None:
    assert refused(*words) == line


@pytest.mark.parametrize("threads", ["two", "0", "-1", "1.5", "2 ", "9" * 5000])
def test_a_wrong_number_of_threads_is_told_before_anything_runs(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, threads: str
) -> None:
    monkeypatch.setenv("FERBENCH_THREADS", threads)
    said = "a number of threads is from 1 to 1024: set another one, or none"
    assert refused("--suite", "smoke") == f"FERBENCH_THREADS={threads!r}: {said}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SUITE + "epoch: 1", "unknown key 'epoch': use one of description, "),
        (SUITE + "epochs: many", "epochs: 'many' is not allowed: it should be a valid number"),
        ("description: [", "not a YAML file: "),
    ],
)
def test_a_wrong_suite_file_is_told_in_one_line(
    refused: Callable[..., str], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert refused("--suite", tmp_path / "mine.yaml").startswith(f"{tmp_path / 'mine.yaml'}: {message}")


def test_usage_errors_are_one_line_too(command: Command) -> None:
    for words in (["run", "--workers", "-1"], ["run", "--no-such"], ["walk"], ["list", "planets"]):
        code, out, err = command(*words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.endswith("(see python -m benchmark --help)\n")


def test_a_results_folder_that_cannot_be_written_is_told(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, err = command("run", "--suite", "smoke", "--results", tmp_path / "file")
    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path / 'file'}: results cannot be written there (File exists): use --results DIR\n"


# Wrong data


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "affectnet_small").mkdir(parents=True)
    return folder


def test_a_folder_without_any_data_set_is_told(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("--data", tmp_path) == (
        f"{tmp_path}: none of aff_wild2, affectnet_small, ck_plus, crema_d, ctbc, dfew, fer2013, ferv39k, folder, "
        "jaffe, mafw, oulu_casia, raf_db, ravdess, sendv1 is in it: --data takes a folder with one folder a data set"
    )


def test_an_empty_folder_is_told(refused: Callable[..., str], data: Path) -> None:
    assert refused("--data", data, "--datasets", "affectnet_small") == (
        f"{data / 'affectnet_small'}: the folder is empty: put affectnet_small there, or remove it to run the twin"
    )


def test_another_data_sets_folder_is_told(refused: Callable[..., str], twins: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "oulu_casia").symlink_to(twins / "affectnet_small")
    line = refused("--data", tmp_path / "data", "--datasets", "oulu_casia")
    assert "no Oulu-CASIA tree for VL/Strong" in line
    assert line.endswith("(it looks like affectnet_small)")


def test_a_half_copied_folder_is_told(refused: Callable[..., str], twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "oulu_casia", tmp_path / "data" / "oulu_casia")
    for emotion in ("Anger", "Disgust", "Fear", "Happiness"):  # one or two would be named and counted
        shutil.rmtree(copy / "PreProcess_Img" / "VL_Acropped" / "Strong" / "P003" / emotion)
    line = refused("--data", tmp_path / "data", "--datasets", "oulu_casia")
    assert line.endswith(
        "P003/Anger: no frames of this sequence: the copy of Oulu-CASIA is incomplete; copy it again "
        "(4 of 24 sequences cannot be used: too many to go on)"
    )


@pytest.mark.parametrize(
    ("column", "code", "message"),
    [
        (
            "emotion",
            1,
            (
                "training.csv: no column 'expression' in its first line: it has 'subdirectory_filepath, face_x, "
                "face_y, face_width, face_height, emotion'"
            ),
        ),
        (
            "expression",
            12,
            "training.csv, line 2: expression 12 is out of range: codes are 0 to 10 (2 of 2 annotations cannot be "
            "used: too many to go on)",
        ),
    ],
)
def test_a_wrong_csv_file_is_told(
    refused: Callable[..., str], data: Path, column: str, code: int, message: str
) -> None:
    for file in ("training.csv", "validation.csv"):
        with (data / "affectnet_small" / file).open("w", newline="") as lines:
            names = ["subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", column]
            csv.writer(lines).writerows([names, ["1/a.jpg", 0, 0, 9, 9, code]])
    assert refused("--data", data, "--datasets", "affectnet_small") == f"{data / 'affectnet_small' / message}"


def test_the_environment_names_the_data_too(
    refused: Callable[..., str], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FERBENCH_DATA", str(data))
    assert refused("--datasets", "affectnet_small").startswith(f"{data / 'affectnet_small'}: the folder is empty")


# Starting fast


@pytest.mark.parametrize(
    ("words", "code", "unneeded"),
    [
        ("--help", 0, "torch numpy yaml pydantic rich platformdirs"),
        ("run --help", 0, "torch numpy yaml rich platformdirs"),
        ("walk", 2, "torch numpy yaml rich platformdirs"),
        ("run --suite smok", 2, "torch pandas"),
        ("list architectures", 0, "torch numpy yaml rich"),
        ("list datasets", 0, "torch pandas rich"),
        ("list suites", 0, "torch timm torchvision pandas rich"),
        ("list cells --suite ablation", 0, "torch timm torchvision pandas rich"),
    ],
)
def test_what_is_not_needed_is_not_imported(ferbench: Ferbench, words: str, code: int, unneeded: str) -> None:
    done = ferbench(*words.split(), PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "ferbench.benchmark.cli" in imported
    assert not set(unneeded.split()) & imported
    assert done.returncode == code


def test_the_help_says_of_each_verb_what_it_does_in_a_whole_sentence(command: Command) -> None:
    for words in ([], ["list"], ["data"]):
        code, out, err = command(*words)  # no verb: the help
        assert (code, err) == (2, "")
        assert (0, out, "") == command(*words, "--help")
        verbs = [line for line in out.partition("Commands:\n")[2].splitlines() if line]
        assert len(verbs) > 2
        assert [line for line in verbs if not line.endswith(".") or line.endswith("...")] == []


def test_lists_are_tables_or_json(command: Command) -> None:
    code, out, _ = command("list", "suites", "--json")
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == [
        "ablation",
        "cross",
        "default",
        "field",
        "full",
        "gate",
        "methods_still",
        "methods_video",
        "pairs",
        "rehearsal",
        "small",
        "smoke",
    ]
    _, out, _ = command("list", "cells", "--suite", "pairs", "--json")
    assert {"dataset": "oulu_casia", "architecture": "c3d", "size": "tiny", "seed": 0, "fold": 0} in json.loads(out)
    _, out, _ = command("list", "architectures")
    assert "difference_of_embeddings" in out
    assert "Ensemble of CNN, CNN-RNN and CNN-Transformer" in out


# Twins and copies


def test_a_twin_is_written_verified_and_not_written_over(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "twin"
    words = ("data", "twin", "affectnet_small", folder, "--scale", 0.001, "--layout", "first", "--workers", 1)
    code, out, err = command(*words)
    assert (code, err) == (0, "")
    assert out.endswith("of affectnet_small at scale 0.001 (seed 0, layout first)\n")
    code, out, _ = command("data", "verify", "affectnet_small", folder, "--json")
    report = json.loads(out)
    assert (code, report["usable"], report["missing"], report["damaged"]) == (0, True, [], [])
    assert report["counts"]["test samples"] == 16
    assert report["official"] == {"train samples": 28762, "test samples": 3999}
    code, _, err = command(*words)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"error: {folder}: there is something in this folder already")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scale", "2"], "--scale 2.0: a share of the original counts"),
        (["--layout", "third"], "unknown layout 'third' of affectnet_small: use one of affectnet8, first"),
        (["--protocol", "fraction"], "--protocol fraction: write it as KEY=VALUE"),
        (["--protocol", "fraction=x"], "--protocol fraction=x: fraction takes a float"),
        (["--protocol", "light=Dark"], "--protocol: unknown protocol key 'light'"),
    ],
)
def test_a_wrong_twin_is_told(command: Command, tmp_path: Path, words: list[str], message: str) -> None:
    code, out, err = command("data", "twin", "affectnet_small", tmp_path / "twin", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: {message}")
    assert not (tmp_path / "twin").exists()


def test_verifying_finds_what_is_wrong_with_a_copy(command: Command, twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "affectnet_small", tmp_path / "copy")
    (copy / "train_set" / "images" / "1.jpg").write_bytes(b"half")
    shutil.copy(copy / "train_set" / "images" / "0.jpg", copy / "val_set" / "images" / "5.jpg")
    code, out, _ = command("data", "verify", "affectnet_small", copy)
    assert code == 2
    assert "damaged (of full length, bytes wrong): 1: train_set/images/1.jpg" in out
    assert "files: damaged (1 with wrong bytes): copy these again and look at the disk" in out
    assert "same content: 1: train_set/images/0.jpg = val_set/images/5.jpg" in out
    assert re.search("FAULT: .*: the same image is in the (train|validation) and the test part: .*remove one", out)
    assert out.endswith("cannot be used\n")


# A run, and what may come in between


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("suite") / "mine.yaml"
    file.write_text(SUITE)
    return file


@pytest.fixture(scope="module")
def words(suite: Path, twins: Path) -> list[str]:
    return ["run", "--suite", str(suite), "--data", str(twins), "--workers", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def finished(
    ferbench: Ferbench, words: list[str], toys: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Results of a run that nothing came in between, and what it said."""
    results = tmp_path_factory.mktemp("whole")
    return results, ferbench(*words, "--results", results, PYTHONPATH=str(toys))


def records(results: Path) -> dict[str, Path]:
    """Records by their path below the results."""
    return {str(file.relative_to(results)): file for file in results.glob(f"mine/*/*/*/{RECORD}")}


def test_a_run_makes_every_record_and_the_board(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    results, done = finished
    assert (done.returncode, done.stderr) == (0, "")
    assert f"suite mine: {CELLS} cells to run, 0 finished before; 1 at a time on cpu" in done.stdout
    assert f"[{CELLS}/{CELLS}] affectnet_small-twin / " in done.stdout
    assert "] affectnet_small-twin / toy_quick seed 3 fold 0: ABAW 0." in done.stdout
    assert done.stdout.endswith(f"\n\n{results / 'leaderboard.md'} rendered\n")
    assert "\nWhat to pick, suite mine, twins (synthetic data), size tiny:\n  affectnet_small-twin: " in done.stdout
    assert len(records(results)) == CELLS
    assert "Toy" in (results / "leaderboard.md").read_text()


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with which torch cannot be imported."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "torch.py").write_text("raise SystemExit('torch was imported')")
    return folder


def test_a_second_run_does_nothing_and_says_so(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    ferbench: Ferbench,
    words: list[str],
    toys: Path,
    without_torch: Path,
) -> None:
    results, _ = finished
    board = results / "leaderboard.md"
    before = {file: file.stat().st_mtime_ns for file in results.rglob("*")}
    again = ferbench(*words, "--results", results, PYTHONPATH=f"{without_torch}{os.pathsep}{toys}")
    assert again.returncode == 0
    assert again.stdout == f"nothing to do: all {CELLS} cells of suite mine are finished in {results}: see {board}\n"
    assert {file: file.stat().st_mtime_ns for file in results.rglob("*")} == before


def test_more_or_fewer_seeds_than_the_suite_names(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    ferbench: Ferbench,
    words: list[str],
    toys: Path,
    tmp_path: Path,
) -> None:
    results = shutil.copytree(finished[0], tmp_path / "results")
    fewer, more = (ferbench(*words, "--seeds", n, "--results", results, PYTHONPATH=str(toys)) for n in (2, 5))
    assert fewer.stdout.startswith(f"nothing to do: all {CELLS - 2} cells of suite mine are finished")
    assert f"suite mine: 1 cells to run, {CELLS} finished before" in more.stdout
    assert "/toy_quick/seed4-fold0/" in " ".join(records(results))


def allow(gate: Path, toys: int) -> None:
    """In one step: a toy that waits reads the file again and again."""
    (gate / "new").write_text(str(toys))
    (gate / "new").replace(gate / "allowed")


def start(words: list[str], results: Path, toys: Path, gate: Path, allowed: int) -> subprocess.Popen[str]:
    """A run in which `allowed` toys in all get as far as being built; the next one waits."""
    gate.mkdir(exist_ok=True)
    allow(gate, allowed)
    return subprocess.Popen(
        [sys.executable, "-m", "benchmark", *words, "--results", str(results)],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(toys), "TOY_GATE": str(gate)}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c,
    )  # fmt: skip


def heed_ctrl_c() -> None:
    """As in a terminal; what a shell has started with `&`, such as these tests, ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_records(results: Path, count: int, process: subprocess.Popen[str]) -> None:
    wait_until(lambda: len(records(results)) >= count, process)


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200  # a machine may be busy
    while not there():
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_and_sigkill_lose_no_finished_cell_and_change_no_number(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    ferbench: Ferbench,
    words: list[str],
    toys: Path,
    tmp_path: Path,
) -> None:
    results, gate, baselines = tmp_path / "results", tmp_path / "gate", len(BASELINES)

    process = start(words, results, toys, gate, allowed=1)
    wait_for_records(results, baselines + 1, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends Ctrl-C to everybody
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "stopped: finished cells are kept; the same command goes on from here\n"
    kept = {name: file.stat().st_mtime_ns for name, file in records(results).items()}
    assert len(kept) == baselines + 1

    process = start(words, results, toys, gate, allowed=2)
    wait_for_records(results, baselines + 2, process)
    process.kill()
    process.communicate(timeout=30)

    last = ferbench(*words, "--results", results, PYTHONPATH=str(toys))
    assert last.returncode == 0
    assert f"{CELLS - baselines - 2} cells to run, {baselines + 2} finished before" in last.stdout
    assert {name: file.stat().st_mtime_ns for name, file in records(results).items() if name in kept} == kept
    whole = records(finished[0])
    assert records(results).keys() == whole.keys()
    for name, file in records(results).items():
        mine, theirs = (pd.read_parquet(f.with_name(PREDICTIONS)) for f in (file, whole[name]))
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True)
        assert json.loads(file.read_text())["metrics"] == json.loads(whole[name].read_text())["metrics"]


@pytest.fixture
def two_runs(words: list[str], toys: Path, tmp_path: Path) -> Iterator[TwoRuns]:
    """Two runs that are at work on the same results, each at a toy that is not built yet."""
    results, gate = tmp_path / "results", tmp_path / "gate"
    with ExitStack() as stack:
        runs = []
        for _ in range(2):
            runs.append(start(words, results, toys, gate, allowed=0))
            stack.callback(runs[-1].communicate, timeout=30)
            stack.callback(runs[-1].kill)
            wait_until(lambda: held_toys(results) == len(runs), runs[-1])
        yield results, gate, runs


def held_toys(results: Path) -> int:
    """How many toys are being trained now."""
    held = 0
    for seed in range(4):
        with claimed(results, f"mine/affectnet_small-twin/toy_quick/seed{seed}-fold0") as free:
            held += not free
    return held


def test_two_runs_in_one_results_folder_share_its_cells(
    two_runs: TwoRuns, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    results, gate, runs = two_runs
    allow(gate, 99)
    said = [run.communicate(timeout=100)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert len(list(gate.glob("passed-*"))) == 4  # each toy was built, and so trained, once
    assert f"\n{CELLS} cells finished, 0 failed" in said[0]
    for text in said:
        assert re.search(r"\n\d cells finished, 0 failed", text)
        assert text.endswith(f"{results / 'leaderboard.md'} rendered\n")
    made = [len(re.findall(r"toy_quick seed \d fold 0: ABAW 0.\d+ in", text)) for text in said]
    assert sum(made) == 4
    assert min(made) > 0
    assert "another run is at work here too: cells that it is at, such as affectnet_small-twin / toy_quick" in said[1]
    assert " by another run" in said[1]
    assert records(results).keys() == records(finished[0]).keys()
    assert "Toy" in (results / "leaderboard.md").read_text()


def test_a_run_that_is_killed_leaves_its_cell_to_the_other(two_runs: TwoRuns) -> None:
    results, gate, (killed, left) = two_runs
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait(timeout=30)
    allow(gate, 99)
    out, err = left.communicate(timeout=100)
    assert (left.returncode, err) == (0, "")
    assert len(list(gate.glob("passed-*"))) == 4
    assert len(re.findall(r"toy_quick seed \d fold 0: ABAW 0.\d+ in", out)) == 4
    assert len(records(results)) == CELLS


def test_a_failed_cell_makes_the_exit_code_1_and_stays_on_the_board(
    ferbench: Ferbench, twins: Path, toys: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(SUITE.replace("toy_quick", "toy_error").replace("[0, 1, 2, 3]", "[0]"))
    done = ferbench(
        "run", "--suite", tmp_path / "mine.yaml", "--data", twins, "--workers", 1, "--results", tmp_path / "results",
        PYTHONPATH=str(toys),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert "toy_error seed 0 fold 0: FAILED: ValueError: two lines" in done.stdout
    assert f"{len(BASELINES)} cells finished, 1 failed" in done.stdout
    assert "ValueError: two lines" in (tmp_path / "results" / "leaderboard.md").read_text()


def test_a_person_who_is_copied_under_another_name_is_found(command: Command, twins: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(twins / "oulu_casia", tmp_path / "copy")
    subjects = next(copy.glob("PreProcess_Img/VL_Acropped/Strong"))
    shutil.copytree(subjects / "P001", subjects / "P005")
    code, out, _ = command("data", "verify", "oulu_casia", copy)
    assert code == 2
    assert "FAULT: oulu_casia-twin: the same image is in the" in out
