"""What README and docs tell people to write works as it stands: the example files are run, the commands exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from ferbench.benchmark.cli import app
from ferbench.benchmark.planning.suite import BASELINES, cells_of, load_suite
from ferbench.benchmark.records.record import read_records

CHECKOUT = Path(__file__).parent.parent
PAGES = {
    file.relative_to(CHECKOUT).as_posix(): file.read_text(encoding="utf-8")
    for file in (CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").rglob("*.md")))
}
EXAMPLES = {
    name: text
    for page in PAGES.values()
    for name, text in re.findall(r"```python\n# ((?:models|datasets)/\w+\.py)\n(.*?)```", page, re.DOTALL)
}
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
def plugin(tmp_path: Path) -> Path:
    """The examples as a third party's package, found through entry points."""
    folder = tmp_path / "plugin"
    about = folder / "readme_plugin-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: readme-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(PLUGIN)
    (folder / "readme_mean_pool.py").write_text(EXAMPLES["models/mean_pool.py"])
    (folder / "readme_two_faces.py").write_text(EXAMPLES["datasets/two_faces.py"])
    return folder


def benchmark(plugin: Path, *words: str) -> str:
    """What the program prints when it is run beside the examples' package."""
    paths = os.pathsep.join([str(plugin), str(CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=plugin.parent, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_run_as_they_stand(plugin: Path, tmp_path: Path) -> None:
    suite = tmp_path / "examples.yaml"
    suite.write_text(SUITE)
    benchmark(plugin, "run", "--suite", str(suite), "--results", "results")
    records = {r.data["architecture"]: r.data for r in read_records(tmp_path / "results")}
    assert {"mean_pool", "difference_of_embeddings", *BASELINES} == set(records)
    assert {data["dataset"] for data in records.values()} == {"two_faces-twin"}
    assert records["mean_pool"]["metrics"]["abaw"] >= 0
    assert "Mean pool" in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")


def test_the_whole_twin_of_the_example_is_a_complete_copy(plugin: Path) -> None:
    benchmark(plugin, "data", "twin", "two_faces", "try/two_faces")
    assert "100 of 100 subjects, 200 of 200 samples" in benchmark(
        plugin, "data", "verify", "two_faces", "try/two_faces"
    )
    report = json.loads(benchmark(plugin, "data", "verify", "two_faces", "try/two_faces", "--json"))
    assert report["usable"]
    assert {what: report["counts"][what] for what in report["official"]} == report["official"]


def yaml_of(name: str) -> str:
    """The one example of a YAML file of this name."""
    (content,) = [
        text for page in PAGES.values() for text in re.findall(rf"```yaml\n# {name}\n(.*?)```", page, re.DOTALL)
    ]
    return str(content)


def test_the_example_of_a_suite_is_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml_of(r"mine\.yaml"))
    cells = cells_of(*load_suite(str(file)))
    trained = [cell for cell in cells if cell.kind == "architecture"]
    assert len(trained) == 3 * 3 * 10  # architectures with the one beside them, seeds, folds
    assert {(cell.protocol.options["modality"], cell.twin.scale) for cell in trained} == {("NI", 0.5)}


def test_the_example_of_a_gate_is_a_suite(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(yaml_of(r"gate\.yaml").replace("our_model", "c3d"))
    cells = [cell for cell in cells_of(*load_suite(str(file))) if cell.kind == "architecture"]
    assert [(cell.architecture, cell.fold, cell.protocol.folds) for cell in cells] == [("c3d", 0, 2)]


def commands_of(page: str) -> list[str]:
    """Lines of a page that a person types, without their comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    whole = [re.sub(r"\\\n\s*", "", block) for block in blocks]  # a line that goes on in the next
    return [line[2:] for block in whole for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_exists(page: str) -> None:
    for line in commands_of(PAGES[page]):
        words = shlex.split(line, comments=True)
        if words[:3] == ["python", "-m", "benchmark"]:
            takes(words[3:])
        elif words[0] == "ferbench":
            takes(words[1:])
        else:
            assert words[0] == "make", line


def takes(words: list[str]) -> None:
    """Fails where the program has no such verb, or the verb no such option."""
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_and_variable_of_a_page_exists(page: str) -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    typed = [line for line in commands_of(PAGES[page]) if line.startswith("make ")]
    words = [word for line in [*typed, *re.findall(r"`(make [^`]+)`", PAGES[page])] for word in shlex.split(line, True)]
    for word in {word for word in words if word != "make"}:
        name, equals, _ = word.partition("=")
        assert re.search(rf"^{name} *\?=" if equals else rf"^{name}:", makefile, re.MULTILINE), word


def test_the_readme_names_the_targets_that_matter() -> None:
    assert {"make bench", "make test", "make check"} <= set(commands_of(PAGES["README.md"])) | {
        line.partition("#")[0].strip() for line in commands_of(PAGES["README.md"])
    }
