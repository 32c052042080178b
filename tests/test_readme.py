"""What the README tells people to write works as it stands: its two example files are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ferbench.benchmark.planning.suite import cells_of, load_suite
from ferbench.benchmark.records.record import read_records

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```python\n# ((?:models|datasets)/\w+\.py)\n(.*?)```", README, re.DOTALL))
PLUGIN = """\
[ferbench.architectures]
mean_pool = readme_mean_pool:ARCHITECTURE
[ferbench.datasets]
two_faces = readme_two_faces:DATASET
"""
SUITE = """\
description: The examples of the README.
size: tiny
architectures: [mean_pool, difference_of_embeddings]
datasets: [two_faces]
twins: {two_faces: {scale: 0.2}}
epochs: 0.5
"""


@pytest.fixture
def plugin(tmp_path):
    """The README's examples as a third party's package, found through entry points."""
    folder = tmp_path / "plugin"
    about = folder / "readme_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: readme-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(PLUGIN)
    (folder / "readme_mean_pool.py").write_text(EXAMPLES["models/mean_pool.py"])
    (folder / "readme_two_faces.py").write_text(EXAMPLES["datasets/two_faces.py"])
    return folder


def test_the_examples_run_as_they_stand(plugin, tmp_path):
    suite = tmp_path / "examples.yaml"
    suite.write_text(SUITE)
    paths = os.pathsep.join([str(plugin), str(CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", "--suite", str(suite), "--results", "results"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    records = {r.data["architecture"]: r.data for r in read_records(tmp_path / "results")}
    assert {"mean_pool", "difference_of_embeddings", "majority", "random", "oracle"} == set(records)
    assert {data["dataset"] for data in records.values()} == {"two_faces-twin"}
    assert records["mean_pool"]["metrics"]["abaw"] >= 0
    assert "Mean pool" in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")


def test_the_example_of_a_suite_is_one(tmp_path):
    (content,) = re.findall(r"```yaml\n# mine\.yaml\n(.*?)```", README, re.DOTALL)
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    cells = cells_of(*load_suite(str(file)))
    trained = [cell for cell in cells if cell.kind == "architecture"]
    assert len(trained) == 3 * 3 * 10  # architectures with the one beside them, seeds, folds
    assert {(cell.protocol.options["modality"], cell.twin.scale) for cell in trained} == {("NI", 0.5)}


def test_every_make_target_of_the_readme_exists():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"\bmake ([a-z]+)", README))
    assert {"bench", "test", "help"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
