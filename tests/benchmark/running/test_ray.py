"""Cells on a cluster: the same predictions, nodes that vanish, and clusters that cannot do the work."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ray = pytest.importorskip("ray")

from ray.cluster_utils import Cluster  # noqa: E402

from ferbench.benchmark.commands.run import RunRequest, run_suite  # noqa: E402
from ferbench.benchmark.errors import RequestError  # noqa: E402
from ferbench.benchmark.planning.suite import BASELINES, cells_of, load_suite  # noqa: E402
from ferbench.benchmark.records.record import PREDICTIONS, read_records  # noqa: E402
from ferbench.benchmark.running import ray_pool, worker  # noqa: E402
from ferbench.benchmark.running.claims import Claims  # noqa: E402
from ferbench.benchmark.running.estimate import Known  # noqa: E402
from ferbench.benchmark.running.ray_pool import refuse_other, time_limit  # noqa: E402
from ferbench.benchmark.running.scheduler import plan  # noqa: E402

pytestmark = pytest.mark.timeout(900)  # several processes import torch

SUITE = """
description: Floors, a net, and what is fused of it.
size: tiny
architectures: [cnn]
datasets: [raf_db]
epochs: 0.1
time_limit: 120
twins: {raf_db: {scale: 0.002}}
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("suite") / "few.yaml"
    file.write_text(SUITE, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without cores, as a login node, and a node of one core."""
    os.environ[ray_pool.NICENESS] = "0"  # or the tests beside leave it nothing
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def on(cluster: Cluster, suite: Path, results: Path, **more: Any) -> int:
    return run_suite(RunRequest(str(suite), results, device="cpu", backend="ray", address=cluster.address, **more))


def test_a_cluster_gives_the_predictions_of_this_machine(cluster: Cluster, suite: Path, tmp_path: Path) -> None:
    assert on(cluster, suite, tmp_path / "ray", keep="all") == 0
    assert run_suite(RunRequest(str(suite), tmp_path / "local", device="cpu", workers=1, keep="all")) == 0
    both = [
        {r.path.relative_to(tmp_path / where): r for r in read_records(tmp_path / where)} for where in ("ray", "local")
    ]
    assert both[0].keys() == both[1].keys()
    assert len(both[0]) == 1 + len(BASELINES)
    for place, record in both[0].items():
        other = both[1][place]
        assert (record.path / PREDICTIONS).read_bytes() == (other.path / PREDICTIONS).read_bytes()
        assert sorted(file.name for file in record.path.iterdir()) == sorted(file.name for file in other.path.iterdir())
        assert record.data["key"] == other.data["key"]
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "ray").rglob("record.json")}
    assert on(cluster, suite, tmp_path / "ray", keep="all") == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "ray").rglob("record.json")} == before


def test_what_a_lost_node_was_at_runs_elsewhere(cluster: Cluster, suite: Path, tmp_path: Path) -> None:
    lost = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    killed = threading.Event()

    def kill() -> None:
        while not any((tmp_path / "results").rglob("record.json")):
            time.sleep(0.05)
        cluster.remove_node(lost, allow_graceful=False)
        killed.set()

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    assert on(cluster, suite, tmp_path / "results") == 0
    killer.join(30)
    assert killed.is_set()
    assert [record.data["status"] for record in read_records(tmp_path / "results")] == ["ok"] * (1 + len(BASELINES))


def test_a_cell_that_another_driver_is_at_is_left_to_it(tmp_path: Path) -> None:
    """A driver holds many cells at once: to leave one must not leave them all."""
    hold = (
        f"from pathlib import Path; from {Claims.__module__} import Claims; claims = Claims(Path({str(tmp_path)!r})); "
        "print([claims.take(name) for name in 'abc']); claims.leave('b'); print('held', flush=True); input()"
    )
    words = [sys.executable, "-c", hold]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert [other.stdout.readline() for _ in range(2)] == ["[True, True, True]\n", "held\n"]
        own = Claims(tmp_path)
        assert [own.take(name) for name in "abc"] == [False, True, False]
        other.stdin.close()
        other.wait()
        assert own.take("a")


def test_an_address_that_does_not_answer_is_refused(suite: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"--address 127\.0\.0\.1:1: no cluster answers there \(Connection refused\)"
    ):
        run_suite(RunRequest(str(suite), tmp_path, device="cpu", backend="ray", address="127.0.0.1:1"))


def test_a_cell_takes_the_memory_that_its_row_has_shown(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = next(c for c in cells_of(*load_suite(str(suite))) if c.architecture == "cnn")
    known = Known({}, 0.0, 0.0, memory_mb=2000.0, source="smoke")
    nodes = [{"Resources": {"memory": 4e9}}, {"Resources": {"memory": 1.5e9}}, {"Resources": {}}]
    monkeypatch.setattr(ray_pool, "known_of", lambda architecture, *_: known if architecture == "cnn" else None)
    monkeypatch.setattr(ray_pool, "alive", lambda: nodes)
    monkeypatch.setattr(worker, "threads", lambda: 2)

    def amount(architecture: str = "cnn", device: str = "cpu") -> dict[str, int]:
        pool = object.__new__(ray_pool.RayPool)
        pool.device_type, pool.results, pool.memory = device, tmp_path, {}
        return pool._amount(replace(cell, architecture=architecture))

    assert amount() == {"num_cpus": 2, "memory": 2_000_000_000}
    assert amount("tsm") == {"num_cpus": 2, "memory": 0}
    assert amount(device="cuda") == {"num_cpus": 2, "num_gpus": 1}
    del nodes[0]
    assert amount() == {"num_cpus": 2, "memory": 1_500_000_000}, "or it would wait for ever"


def test_a_node_of_another_version_is_refused_with_both() -> None:
    own = ray_pool.about_here()
    ray_pool.refuse_other_versions("10.0.0.7", dict(own), own)
    for what in own:
        with pytest.raises(
            RequestError, match=rf"node 10\.0\.0\.7 has {what} 1\.0, and this machine {re.escape(own[what])}: i"
        ):
            ray_pool.refuse_other_versions("10.0.0.7", {**own, what: "1.0"}, own)


def test_other_code_and_other_data_are_refused() -> None:
    planned = {"code": "a", "data": "b"}
    refuse_other(planned, dict(planned))
    with pytest.raises(RequestError, match=r"other code \(code\)"):
        refuse_other(planned, {**planned, "code": "c"})
    with pytest.raises(RequestError, match="the data of this node are others"):
        refuse_other(planned, {**planned, "data": "c"})


def test_a_node_without_the_data_is_named(suite: Path, tmp_path: Path) -> None:
    jobs, _ = plan(cells_of(*load_suite(str(suite)), ["majority"], None), tmp_path, None, "cpu")
    planned = [(jobs[0].cell, jobs[0].about["key_parts"])]
    assert ray_pool._probe._function(planned, "cpu", None)[1] == ""
    assert ray_pool._probe._function(planned, "cpu", tmp_path / "gone")[1] == (
        f"there is no {tmp_path / 'gone'}: put the data under this path on every node"
    )


def test_a_full_disk_is_told_with_its_node() -> None:
    with (
        pytest.raises(worker.JobError, match=r"^node 10\.0\.0\.7: No space left on device: /cache$"),
        ray_pool._named("10.0.0.7"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", "/cache")


def test_what_a_task_says_comes_through_every_hand_as_it_was_said() -> None:
    said = worker.JobError("node 10.0.0.7: over its time limit of 5 s")
    assert worker.reason_of(said) == "node 10.0.0.7: over its time limit of 5 s"
    with (
        pytest.raises(worker.JobError, match=r"^node 10\.0\.0\.7: over its time limit of 5 s$"),
        ray_pool._named("10.0.0.7"),
    ):
        raise worker.JobError("over its time limit of 5 s")


def test_a_cell_ends_at_its_time_limit() -> None:
    began = time.monotonic()
    with pytest.raises(worker.JobError, match=r"over its time limit of 0\.2 s"), time_limit(0.2):
        time.sleep(30)
    assert time.monotonic() - began < 5
    with time_limit(5):
        pass


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"backend": "slurm"}, "unknown backend 'slurm': use local or ray"),
        ({"address": "auto"}, "--address auto: belongs to --backend ray"),
        ({"backend": "ray", "workers": 3}, "--workers: a cluster runs as many cells as it has room for"),
        ({"backend": "ray", "device": "auto"}, "--device auto: this machine cannot tell what a cluster has"),
    ],
)
def test_what_a_cluster_cannot_be_asked(suite: Path, tmp_path: Path, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        run_suite(RunRequest(str(suite), tmp_path, **{"device": "cpu", **asked}))
