"""Installed, everything lies under one name: the wheel, the sdist and an editable install, beside others' packages.

The packages beside it are stand-ins with the top-level names of the real ones, so that no network is needed;
`tests/proof/prove_install.py` does the same with the real ones.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ferbench.benchmark.records.record import read_records
from tests.benchmark.third_party import QUICK
from tests.fresh_environment import FreshEnvironment, build, copy_checkout, link_libraries, write_wheel

pytestmark = pytest.mark.timeout(900)  # real processes that import torch, on machines that may have much else to do

FOREIGN = {
    "datasets": {"datasets/__init__.py": "OWNER = 'Hugging Face'\n", "datasets/splits.py": ""},
    "emotiefflib": {"emotiefflib/__init__.py": "", "models/prepare_models.py": ""},
    "rmn": {"rmn/__init__.py": "", "models/__init__.py": "OWNER = 'rmn'\n", "models/weights.py": ""},
}
"""Two of them put files into the same folder, as the real ones do."""
MODULES = ("datasets", "datasets.splits", "emotiefflib", "rmn", "models", "models.weights", "models.prepare_models")
OURS = ("ferbench.datasets", "ferbench.datasets.splits", "ferbench.models.official", "ferbench.benchmark.cli")
ORIGINS = """
import importlib, json, sys
print(json.dumps({name: importlib.import_module(name).__file__ for name in sys.argv[1:]}))
"""
SUITE = """\
description: One architecture of the package, and one of somebody else's.
size: tiny
architectures: [c3d, toy_quick]
datasets: [affectnet_small]
epochs: 0.1
twins: {affectnet_small: {scale: 0.002}}
"""


@dataclass(frozen=True)
class Built:
    """What was built of a copy of the checkout."""

    project: Path
    wheel: Path
    sdist: Path
    foreign: list[Path]
    third_party: Path
    libraries: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    project, folder = copy_checkout(tmp_path_factory.mktemp("checkout")), tmp_path_factory.mktemp("wheels")
    foreign = [write_wheel(folder, name, files) for name, files in FOREIGN.items()]
    theirs = {"their_models/__init__.py": "", "their_models/toy_quick.py": QUICK}
    entry_points = "[ferbench.architectures]\ntoy_quick = their_models.toy_quick:ARCHITECTURE\n"
    third_party = write_wheel(folder, "theirs", theirs, entry_points)
    libraries = link_libraries(tmp_path_factory.mktemp("libraries"))
    wheel, sdist = (build(project, kind, folder) for kind in ("wheel", "sdist"))
    return Built(project, wheel, sdist, foreign, third_party, libraries)


@pytest.fixture(scope="module")
def environment(built: Built, tmp_path_factory: pytest.TempPathFactory) -> FreshEnvironment:
    """Everything is installed."""
    made = FreshEnvironment(tmp_path_factory.mktemp("environment"), built.libraries)
    made.install(built.wheel, built.third_party, *built.foreign)
    return made


def content(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without the list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("RECORD")}


def origins(environment: FreshEnvironment, modules: tuple[str, ...], cwd: Path) -> dict[str, str]:
    """The file that each module was imported from, in the environment's folder of packages."""
    done = environment.run("python", "-c", ORIGINS, *modules, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return {name: Path(file).relative_to(environment.site).as_posix() for name, file in json.loads(done.stdout).items()}


def expected(modules: tuple[str, ...]) -> dict[str, str]:
    """Where each of them lies, as its name says."""
    packages = {"datasets", "emotiefflib", "rmn", "models", "ferbench.datasets"}
    return {name: name.replace(".", "/") + ("/__init__.py" if name in packages else ".py") for name in modules}


def test_the_wheel_is_one_folder_with_all_that_lies_in_the_three(built: Built) -> None:
    names = set(content(built.wheel))
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"ferbench"}
    lying = [file for room in ("benchmark", "models", "datasets") for file in (built.project / room).rglob("*")]
    wanted = {f"ferbench/{file.relative_to(built.project).as_posix()}" for file in lying if file.is_file()}
    wanted |= {f"ferbench/{name}.py" for name in ("__init__", "__main__", "namesakes")}
    assert {name for name in names if name.startswith("ferbench/")} == wanted


def test_the_sdist_builds_the_same_wheel_and_holds_no_tests(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (project,) = tmp_path.iterdir()
    assert not (project / "tests").exists()
    (tmp_path / "out").mkdir()
    assert content(build(project, "wheel", tmp_path / "out")) == content(built.wheel)


@pytest.mark.parametrize("ours_first", [True, False])
def test_nobody_is_in_anybodys_way(built: Built, tmp_path: Path, ours_first: bool) -> None:
    environment, elsewhere = FreshEnvironment(tmp_path / "environment", built.libraries), tmp_path / "elsewhere"
    elsewhere.mkdir()
    order = [[built.wheel], built.foreign] if ours_first else [built.foreign, [built.wheel]]
    for wheels in order:
        environment.install(*wheels)
    everything = (*MODULES, *OURS)
    assert origins(environment, everything, elsewhere) == expected(everything)
    environment.pip("uninstall", "--yes", "ferbench")
    assert not (environment.site / "ferbench").exists()
    assert origins(environment, MODULES, elsewhere) == expected(MODULES)
    left = {path: (environment.site / path).read_text() for files in FOREIGN.values() for path in files}
    assert left == {path: text for files in FOREIGN.values() for path, text in files.items()}


def test_a_run_keeps_its_records_here_and_its_cache_at_home(environment: FreshEnvironment, tmp_path: Path) -> None:
    listed = environment.run("ferbench", "list", "architectures", "--json", cwd=tmp_path)
    assert {"c3d", "toy_quick"} <= {row["name"] for row in json.loads(listed.stdout)}
    (tmp_path / "own.yaml").write_text(SUITE)
    done = environment.run("ferbench", "run", "--suite", "own.yaml", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    records = {record.data["architecture"]: record.data for record in read_records(tmp_path / "results")}
    assert {record["status"] for record in records.values()} == {"ok"}
    assert records["c3d"]["started_from"] == "motion-c3d"
    assert records["toy_quick"]["environment"]["commit"] is None
    assert (environment.folder / "cache" / "ferbench" / "twins").is_dir()
    assert not list(environment.site.rglob(".cache"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("check", 3, "results/published/gate/baseline.json: no baseline there: make one with `ferbench baseline` and"),
        ("check --suite own.yaml --baseline ci", 3, "make one with `ferbench baseline --suite own.yaml --out ci` and"),
        ("leaderboard", 2, "results: no records there: run `ferbench run` first"),
        ("publish", 2, "no records of suite 'default' on twins: run `ferbench run --suite default` first"),
        ("pretrain", 2, "these weights belong to the installed package: write new ones with --out DIR"),
        ("nonsense", 2, "(see ferbench --help)"),
        ("list suites", 0, "what `check` runs"),
    ],
)
def test_what_is_advised_can_be_done(
    environment: FreshEnvironment, tmp_path: Path, words: str, code: int, said: str
) -> None:
    (tmp_path / "own.yaml").write_text(SUITE)
    done = environment.run("python", "-m", "ferbench", *words.split(), cwd=tmp_path)
    told = done.stdout + done.stderr
    assert (done.returncode, said in told) == (code, True), told
    assert "`make" not in told
    assert "python -m benchmark" not in told


def test_an_editable_install_finds_a_new_file_at_once(built: Built, tmp_path: Path) -> None:
    environment = FreshEnvironment(tmp_path / "environment", built.libraries)
    project = copy_checkout(tmp_path / "checkout")
    environment.install("--editable", project)
    (project / "models" / "toy_quick.py").write_text(QUICK)
    listed = environment.run("ferbench", "list", "architectures", "--json", cwd=tmp_path)
    assert "toy_quick" in {row["name"] for row in json.loads(listed.stdout)}
    told = environment.run("ferbench", "leaderboard", cwd=tmp_path).stderr
    assert told.endswith("no records there: run `ferbench run` first, or name a folder with --results\n")
    bare = environment.run("python", "-c", "import ferbench.models.toy_quick, models", cwd=tmp_path)
    assert bare.stderr.endswith("ModuleNotFoundError: No module named 'models'\n")


def test_in_a_checkout_the_packages_of_others_are_found_before_its_folders(
    environment: FreshEnvironment, built: Built
) -> None:
    done = environment.run("python", "-m", "benchmark", "list", "datasets", cwd=built.project)
    assert (done.returncode, "affectnet_small" in done.stdout) == (0, True)
    for first in ("", "import ferbench.models.architecture; "):
        code = f"{first}import datasets, models; print(datasets.OWNER, models.OWNER)"
        assert environment.run("python", "-c", code, cwd=built.project).stdout == "Hugging Face rmn\n"
