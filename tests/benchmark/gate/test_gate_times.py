"""Two checkouts side by side: real processes on a small repository of a third party."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from torch import Tensor

from ferbench.benchmark.commands.check import import_roots, judge_times
from ferbench.benchmark.gate.measured import INFERENCE, TRAINING, inference, training_step
from ferbench.benchmark.gate.side_by_side import Measurement, Samples, SideError, Target, checkout, measure, one_machine
from ferbench.benchmark.planning.registry import architectures
from ferbench.benchmark.records.installation import CHECKOUT
from tests.benchmark.third_party import QUICK, install


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.invalid"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's project, packages below `src`. Tag `sound` has one architecture; the work tree another as well,
    and tag `broken` cannot be imported."""
    folder = tmp_path_factory.mktemp("project").resolve()
    package = folder / "src" / "their_models"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "toy_quick.py").write_text(QUICK)
    install(folder / "src", {"toy_quick": "their_models.toy_quick:ARCHITECTURE"}, name="theirs")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "sound")
    git(folder, "tag", "sound")
    (package / "toy_quick.py").write_text("import nothing_of_this_name\n")
    git(folder, "commit", "-qam", "broken")
    git(folder, "tag", "broken")
    (package / "toy_quick.py").write_text(QUICK)
    (package / "toy_new.py").write_text(QUICK.replace('"toy_quick"', '"toy_new"'))
    points = folder / "src" / "theirs-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "toy_new = their_models.toy_new:ARCHITECTURE\n")
    return folder


def test_both_sides_are_measured_in_turns_on_what_both_have(repository: Path) -> None:
    with checkout(repository, "sound") as (base, commit):
        assert len(commit) == 40
        found = measure(base, repository, "cpu", None, samples=8, roots=("src",))
    assert not base.exists()
    assert set(found.samples) == {Target("toy_quick", INFERENCE), Target("toy_quick", TRAINING)}
    assert set(found.only_head) == {Target("toy_new", INFERENCE), Target("toy_new", TRAINING)}
    assert (found.only_base, found.failed) == ([], {})
    for samples in found.samples.values():
        assert len(samples.base) == len(samples.head) == 8
        assert samples.repeats >= 3
        assert all(seconds > 0 for seconds in [*samples.base, *samples.head])
    assert found.machine["threads"] == 1
    rows = found.as_dict()["samples"]
    assert rows[0]["subject"] == "toy_quick"
    assert len(rows[0]["base"]) == 8
    verdicts = judge_times(found, None, [])
    assert [(v.subject, v.mark, v.excused) for v in verdicts[2:]] == [("toy_new", "incomparable", True)] * 2


def test_a_base_that_does_not_build_is_told(repository: Path) -> None:
    with checkout(repository, "broken") as (base, _):
        found = measure(base, repository, "cpu", None, samples=8, roots=("src",))
    assert set(found.failed) == {Target("toy_quick", INFERENCE), Target("toy_quick", TRAINING)}
    reason = found.failed[Target("toy_quick", INFERENCE)]
    assert reason.startswith("the base cannot be measured: RequestError: architecture 'toy_quick'")
    assert "No module named 'nothing_of_this_name'" in reason
    verdicts = judge_times(found, None, [])
    assert [v.mark for v in verdicts[:2]] == ["incomparable"] * 2
    assert not any(v.excused for v in verdicts[:2])


def test_a_checkout_without_anything_to_measure_is_told(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SideError, match="the base has nothing to measure: no architecture lies in"):
        measure(tmp_path, repository, "cpu", None, roots=("src",))


def test_a_base_from_before_the_one_name_is_told(tmp_path: Path) -> None:
    assert CHECKOUT is not None
    with pytest.raises(SideError, match="the base has another layout, without the folder ferbench/, and cannot be"):
        measure(tmp_path, CHECKOUT, "cpu", None)


def test_the_packages_are_found_where_they_lie(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repository / "src"))
    architectures.__dict__.pop("_modules", None)
    try:
        assert import_roots(repository) == ("src",)
    finally:
        architectures.__dict__.pop("_modules", None)


def test_two_machines_are_not_compared() -> None:
    mine = {"host": "a", "device": "x", "threads": 1, "torch": "2"}
    assert one_machine(mine, dict(mine)) == mine
    with pytest.raises(SideError, match="base was measured on torch 1, head on 2: times of two machines are not"):
        one_machine({**mine, "torch": "1"}, mine)


def test_a_second_measurement_that_fails_is_not_green() -> None:
    target = Target("c3d", INFERENCE)
    first = Measurement({}, {target: Samples(3, [1.0] * 20, [1.3] * 20)}, [], [], {})
    unmeasured: list[str] = []
    (verdict,) = judge_times(first, Measurement({}, {}, [], [], {target: "it ended"}), unmeasured)
    assert (verdict.mark, verdict.reason) == ("worse", "measured once")
    assert unmeasured == ["latency of c3d inference at batch 1, the second time: it ended"]


def test_a_side_by_side_of_nothing_is_not_green() -> None:
    unmeasured: list[str] = []
    assert judge_times(Measurement({}, {}, [], [], {}), None, unmeasured) == []
    assert unmeasured == ["latency: base and head have nothing in common that is measured"]


@pytest.mark.parametrize("name", architectures.names())
def test_every_architecture_has_times_to_measure(name: str) -> None:
    """One that cannot be run as the gate runs it would leave a hole in every gate."""
    found = inference(name)()
    assert isinstance(found, Tensor)
    assert found.isfinite().all()
    loss = training_step(name)()
    assert isinstance(loss, Tensor)
    assert loss.isfinite()
