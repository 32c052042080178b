"""The loop of a search, in a pool that answers at once: what counts, what does not, and what is chosen."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import TimeoutError
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import yaml

from ferbench.benchmark.commands import tune as command
from ferbench.benchmark.commands.tune import TuneRequest, tune
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import locate
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.provenance import code_hash
from ferbench.benchmark.running.claims import Claims
from ferbench.benchmark.running.worker import JobError
from ferbench.benchmark.tuning import study
from ferbench.benchmark.tuning.study import RowStudy, asking, seed_of
from ferbench.benchmark.tuning.trial import Attempt, Task
from tests.benchmark.tuning.at_once import AtOnce, score

optuna = pytest.importorskip("optuna")
pebble = pytest.importorskip("pebble")


def request(folder: Path, trials: int = 4, rows: tuple[str, ...] = ("cnn", "vit_se"), **changes: Any) -> TuneRequest:
    return TuneRequest(list(rows), ["affectnet_small"], trials, "5s", study=folder, workers=1, device="cpu", **changes)


def trials_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    (file,) = folder.glob("*/trials.json")
    rows: dict[str, list[dict[str, Any]]] = json.loads(file.read_text())["rows"]
    return rows


def chosen_in(folder: Path) -> dict[str, Any]:
    (file,) = folder.glob("*/recipes.yaml")
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return content


def test_each_row_has_as_many_trials_and_its_own_recipe_first(tmp_path: Path, pool: type[AtOnce]) -> None:
    assert tune(request(tmp_path)) == 0
    rows = trials_in(tmp_path)
    assert {row: len(tried) for row, tried in rows.items()} == {"cnn": 5, "vit_se": 5}
    for row, tried in rows.items():
        assert [trial["by_hand"] for trial in tried] == [True, False, False, False, False]
        assert tried[0]["row"] == row
        assert all(architectures.get(trial["row"]) for trial in tried)
        best = max(tried[1:], key=lambda trial: trial["value"])
        assert architectures.get(best["row"]).sizes["tiny"].stages[0].lr == chosen_in(tmp_path)["recipes"][row]["lr"]
    budgets = {(task.cell.budget, task.cell.time_limit, task.cell.seed, task.cell.fold) for task in pool.tasks}
    assert budgets == {(5.0, 80, seed_of(0, "affectnet_small"), 0)}
    rows_begun = [task.study for task in pool.tasks]
    assert rows_begun[:4] == [rows_begun[0], rows_begun[1]] * 2  # in turn: a search that is stopped is fair


def test_seeds_of_a_search_are_none_that_people_write() -> None:
    seeds = {seed_of(seed, name) for seed in range(50) for name in ("oulu_casia", "ctbc")}
    assert len(seeds) == 100
    assert min(seeds) >= 2**31
    assert max(seeds) < 2**32


def test_a_search_goes_on_to_what_it_would_have_been(tmp_path: Path, pool: type[AtOnce]) -> None:
    tune(request(tmp_path / "once", 12))
    tune(request(tmp_path / "twice", 5))
    before = len(pool.tasks)
    tune(request(tmp_path / "twice", 12))
    assert len(pool.tasks) - before == 2 * 7
    assert [t["row"] for t in trials_in(tmp_path / "once")["cnn"]] == [
        t["row"] for t in trials_in(tmp_path / "twice")["cnn"]
    ]
    tune(request(tmp_path / "twice", 12))  # nothing is left
    assert len(pool.tasks) - before == 2 * 7


def test_another_seed_searches_otherwise(tmp_path: Path, pool: type[AtOnce]) -> None:
    tune(request(tmp_path / "a", 3, ("cnn",)))
    tune(request(tmp_path / "b", 3, ("cnn",), seed=1))
    assert [t["row"] for t in trials_in(tmp_path / "a")["cnn"]] != [t["row"] for t in trials_in(tmp_path / "b")["cnn"]]


FAILURES = {
    "diverges": (JobError("DivergedError: the training loss is nan"), "the training loss is nan"),
    "out of memory": (JobError("OutOfMemoryError: CUDA out of memory"), "out of memory"),
    "killed": (pebble.ProcessExpired("gone", code=-9), "exit code -9 (killed, or out of memory)"),
    "time": (TimeoutError(), "over its time limit of 80 s"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_trial_that_fails_is_a_bad_one_and_counts(tmp_path: Path, pool: type[AtOnce], kind: str) -> None:
    error, said = FAILURES[kind]

    def answer(task: Task) -> Attempt:
        if len(pool.tasks) in (3, 5):
            raise error
        return score(task)

    pool.answer = staticmethod(answer)
    assert tune(request(tmp_path, 5, ("cnn",))) == 0
    tried = trials_in(tmp_path)["cnn"]
    assert len(tried) == 6
    failed = [trial for trial in tried if trial["state"] == "failed"]
    assert len(failed) == 2
    assert all(said in trial["reason"] and trial["value"] is None for trial in failed)
    assert chosen_in(tmp_path)["recipes"]["cnn"]


def test_a_trial_that_is_lost_with_its_pool_does_not_count(
    tmp_path: Path, pool: type[AtOnce], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = []

    def answer(task: Task) -> Attempt:
        if len(pool.tasks) == 3 and not lost:
            lost.append(task)
            pool.active = False
            raise BrokenProcessPool
        return score(task)

    pool.answer = staticmethod(answer)
    monkeypatch.setattr(pool, "begin_again", lambda self: setattr(pool, "active", True))
    assert tune(request(tmp_path, 4, ("cnn",))) == 0
    assert lost
    tried = trials_in(tmp_path)["cnn"]
    assert [(trial["number"], trial["state"]) for trial in tried] == [(n, "finished") for n in range(5)]
    tune(request(tmp_path / "undisturbed", 4, ("cnn",)))
    assert [t["row"] for t in tried] == [t["row"] for t in trials_in(tmp_path / "undisturbed")["cnn"]]


def asked_to_end(task: Task) -> Attempt:
    raise pebble.ProcessExpired("told to end", code=128 + signal.SIGTERM)


def test_a_trial_whose_process_is_told_to_end_does_not_count(tmp_path: Path, pool: type[AtOnce]) -> None:
    pool.answer = staticmethod(lambda task: asked_to_end(task) if len(pool.tasks) in (2, 4) else score(task))
    assert tune(request(tmp_path, 4, ("cnn",))) == 0
    assert [trial["state"] for trial in trials_in(tmp_path)["cnn"]] == ["finished"] * 5
    assert len(pool.tasks) == 7
    pool.answer = staticmethod(asked_to_end)
    with pytest.raises(RequestError, match="worker processes are killed, or cannot be started"):
        tune(request(tmp_path, 5, ("cnn",)))


def test_where_no_worker_can_live_the_search_ends_in_one_line(tmp_path: Path, pool: type[AtOnce]) -> None:
    def answer(task: Task) -> Attempt:
        pool.active = False
        raise BrokenProcessPool

    pool.answer = staticmethod(answer)
    with pytest.raises(RequestError, match="worker processes are killed, or cannot be started"):
        tune(request(tmp_path, 4, ("cnn",)))


def test_a_row_of_which_nothing_finishes_has_no_recipe(tmp_path: Path, pool: type[AtOnce]) -> None:
    def answer(task: Task) -> Attempt:
        if "cnn" in task.study:
            raise JobError("DivergedError: nan")
        return score(task)

    pool.answer = staticmethod(answer)
    tune(request(tmp_path))
    assert [*chosen_in(tmp_path)["recipes"]] == ["vit_se"]
    assert len(trials_in(tmp_path)["cnn"]) == 5


def test_the_recipe_by_hand_is_no_candidate(
    tmp_path: Path, pool: type[AtOnce], capsys: pytest.CaptureFixture[str]
) -> None:
    pool.answer = staticmethod(lambda task: Attempt("finished", 0.2 if "@" in task.cell.architecture else 0.9))
    tune(request(tmp_path))
    first = {row: tried[1] for row, tried in trials_in(tmp_path).items()}
    assert all(chosen_in(tmp_path)["recipes"][row]["lr"] == trial["changes"]["lr"] for row, trial in first.items())
    assert f"cnn: by hand 0.900, chosen 0.200 with {first['cnn']['row']}" in capsys.readouterr().out


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Also where these tests run behind a shell's `&`, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path: Path, pool: type[AtOnce]) -> None:
    def answer(task: Task) -> Attempt:
        if len(pool.tasks) == 5:
            signal.raise_signal(signal.SIGINT)
        return score(task)

    pool.answer = staticmethod(answer)
    with pytest.raises(KeyboardInterrupt):
        tune(request(tmp_path))
    done = trials_in(tmp_path)
    assert 4 <= sum(map(len, done.values())) < 10
    assert chosen_in(tmp_path)["trials"] == 1  # each row has had one
    tune(request(tmp_path))
    assert {row: len(tried) for row, tried in trials_in(tmp_path).items()} == {"cnn": 5, "vit_se": 5}
    assert chosen_in(tmp_path)["trials"] == 4
    assert all(trials_in(tmp_path)[row][: len(tried)] == tried for row, tried in done.items())
    tune(request(tmp_path / "undisturbed"))
    names = [
        {row: [(t["number"], t["row"]) for t in tried] for row, tried in trials_in(folder).items()}
        for folder in (tmp_path, tmp_path / "undisturbed")
    ]
    assert names[0] == names[1]


def row_study(folder: Path, **changes: Any) -> RowStudy:
    asked = request(folder, rows=("cnn",), **changes)
    (cell,) = command._cells(asked, "affectnet_small", 5.0, None)
    return RowStudy(cell, locate(cell, None), folder, "cpu", Claims(folder))


def test_what_a_killed_search_has_left_does_not_count(tmp_path: Path) -> None:
    killed = row_study(tmp_path)
    with asking(killed.claims):
        assert killed.begin(1) is not None
    killed.claims.close()  # as the kernel does when a process is killed
    other = row_study(tmp_path)
    assert len(other.running()) == 1
    with asking(other.claims):
        other.forget_left([])
    assert not other.running()
    assert other.missing(1) == 2


def test_enough_is_enough_while_others_are_at_work(tmp_path: Path) -> None:
    one, other = row_study(tmp_path), row_study(tmp_path)
    with asking(one.claims):
        begun = [one.begin(2) for _ in range(3)]
    assert all(begun)
    with asking(other.claims):
        assert other.begin(2) is None
    assert other.missing(2) == 3


def test_a_study_of_another_version_is_refused_in_one_line(
    tmp_path: Path, pool: type[AtOnce], monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(request(tmp_path))
    for part, said in (("space", "search space"), ("storage", "sampler or pruner")):
        with monkeypatch.context() as patch:
            patch.setattr(study, "code_hash", lambda module, part=part: code_hash(module) * (not module.endswith(part)))
            with pytest.raises(RequestError, match=f"made with another version: other {said}: use --study"):
                tune(request(tmp_path))
    with pytest.raises(RequestError, match="other seed"):
        tune(request(tmp_path, seed=3))
    with pytest.raises(RequestError, match="other budget"):
        tune(TuneRequest(["cnn"], ["affectnet_small"], 4, "6s", study=tmp_path, device="cpu"))


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, pool: type[AtOnce]) -> None:
    folder = tmp_path / "affectnet_small-twin"
    folder.mkdir()
    (folder / "study.journal").write_text("not a journal\nat all\n")
    with pytest.raises(RequestError, match="not a journal of a search"):
        tune(request(tmp_path))


BAD = {
    "at least one trial": {"trials": 0},
    "unknown architecture 'cnm'": {"rows": ("cnm",)},
    "a variant has its recipe already: tune cnn": {"rows": ("cnn@lr=0.1",)},
    "no --backend ray": {"backend": "ray"},
    "unknown backend 'slurm'": {"backend": "slurm"},
    "--size huge: use tiny, small, full": {"size": "huge"},
    "--seed -1": {"seed": -1},
}


@pytest.mark.parametrize("said", BAD)
def test_bad_requests_are_refused_in_one_line(tmp_path: Path, pool: type[AtOnce], said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        tune(request(tmp_path, **BAD[said]))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_unknown_data_sets_and_none_are_refused(tmp_path: Path, pool: type[AtOnce]) -> None:
    with pytest.raises(RequestError, match="unknown data set 'afectnet_small'"):
        tune(TuneRequest(["cnn"], ["afectnet_small"], 1, "5s", study=tmp_path))
    with pytest.raises(RequestError, match="name the data sets"):
        tune(TuneRequest(["cnn"], [], 1, "5s", study=tmp_path))
    with pytest.raises(RequestError, match="--budget soon"):
        tune(TuneRequest(["cnn"], ["affectnet_small"], 1, "soon", study=tmp_path))


def test_without_optuna_it_says_what_to_install(
    tmp_path: Path, pool: type[AtOnce], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferbench.benchmark.tuning.storage.find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"pip install 'ferbench\[tune\]'"):
        tune(request(tmp_path))
