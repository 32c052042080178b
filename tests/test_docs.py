"""The pages hold together: links lead somewhere, tables say what the code has, every page is in the index."""

from __future__ import annotations

import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from typer.main import get_command

from ferbench.benchmark.cli import app
from ferbench.benchmark.commands.data import COUNTED
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import Suite

CHECKOUT = Path(__file__).parent.parent
DOCS = CHECKOUT / "docs"
PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def text_of(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors_of(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ +(.+)$", text_of(page), re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found[anchor] = found.get(anchor, 0) + 1
    return {f"{name}-{i}" if i else name for name, count in found.items() for i in range(count)}


def links_of(page: Path) -> list[str]:
    """Targets of a page's links and pictures that are not on the web."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(CHECKOUT), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors_of(target), f"{page.name}: {link}"


def test_links_are_found_and_headings_are_named_as_github_does(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b`, c-d!\n[x](y.md#a) ![p](p.png)\n```\n[no](no.md)\n# no\n```\n## Twice\n## Twice\n[w](https://w)\n"
    )
    assert links_of(page) == ["y.md#a", "p.png"]
    assert anchors_of(page) == {"a-b-c-d", "twice", "twice-1"}


def test_the_index_names_every_page_once() -> None:
    linked = [link for link in links_of(DOCS / "README.md") if link.endswith(".md") and not link.startswith("..")]
    assert sorted(linked) == sorted(p.relative_to(DOCS).as_posix() for p in PAGES[2:] if p.name != "README.md")


def test_a_table_is_not_broken_by_an_empty_line() -> None:
    for page in PAGES:
        broken = re.search(r"^\|.*\n\n\|(?!.*\n\|[-:| ]+\|$).*", text_of(page), re.MULTILINE)
        assert broken is None, f"{page.name}: {broken and broken[0]}"


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_tree_of_the_readme_names_every_room() -> None:
    (tree,) = re.findall(
        r"^```\n(benchmark/.*?)^```", (CHECKOUT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    named = re.findall(r"^( *)(\w+)/", tree, re.MULTILINE)
    rooms = {file.parent.name for file in (CHECKOUT / "benchmark").glob("*/__init__.py")} | {"suites"}
    assert {name for indent, name in named if indent} == rooms
    assert all((CHECKOUT / name).is_dir() for indent, name in named if not indent)


def table_of(page: str, first: str) -> list[list[str]]:
    """Rows of the first table of a page whose head begins with this cell."""
    lines = text_of(DOCS / page).splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return [rows[0], *rows[2:]]


def names_in(cell: str) -> list[str]:
    """Words in code; of `a`, `_b` the second is `a_b`."""
    words = re.findall(r"`([^`]+)`", cell)
    return [words[0] + word if word.startswith("_") else word for word in words]


def test_every_command_is_in_the_table() -> None:
    told = {" ".join(re.findall(r"^`((?:data )?[\w-]+)", row[0])) for row in table_of("commands.md", "command")[1:]}
    commands = get_command(app).commands  # type: ignore[attr-defined]
    groups = {f"data {name}" for name in commands["data"].commands}
    assert told == {*commands, *groups} - {"data"}


def test_every_key_of_a_suite_is_told_with_what_it_is_unless_named() -> None:
    rows = table_of("suites.md", "key")[1:]
    told = {names_in(row[0])[0]: row[1] for row in rows}
    assert set(told) == set(Suite.model_fields)
    for key, field in Suite.model_fields.items():
        if field.is_required():
            assert told[key] == "must be there"
        elif key in ("architectures", "datasets", "seeds", "folds", "epochs", "time_limit"):
            assert told[key] == f"`{field.default}`"


def tables_of_protocols() -> tuple[list[list[str]], ...]:
    text = text_of(DOCS / "suites.md")
    assert "## Keys of a protocol" in text
    heads = ("key | means | `oulu_casia`", "key | means | `affectnet_7`", "data set")
    return tuple(table_of("suites.md", head) for head in heads)


def test_every_key_of_a_protocol_is_told_with_its_value() -> None:
    *shared, own = tables_of_protocols()
    told = {
        (name, key): row[2 + column].strip("`")
        for head, *rows in shared
        for row in rows
        for key in names_in(row[0])
        for column, cell in enumerate(head[2:])
        for name in names_in(cell)
    }
    told |= {(name, names_in(row[1])[0]): row[2].strip("`") for row in own[1:] for name in names_in(row[0])}
    there = {
        (name, key): str(value)
        for name in data_sets.names()
        for key, value in data_sets.get(name).protocol.as_dict().items()
        if key != "missing"
    }
    assert told == there


def test_every_key_of_official_counts_is_told_and_no_data_set_has_another() -> None:
    told = [key for row in table_of("add-a-data-set.md", "key")[1:] for key in names_in(row[0])]
    assert sorted(told) == sorted(COUNTED)
    for name in data_sets.names():
        assert set(data_sets.get(name).official_counts) <= set(COUNTED), name


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text(encoding="utf-8"))
    setup = ConfigParser()
    setup.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format asks for
    assert (citation["title"], citation["version"]) == (setup["metadata"]["name"], setup["metadata"]["version"])
    assert citation["license"] == setup["metadata"]["license"]


def test_the_files_for_clusters_can_be_copied() -> None:
    """What runs there is what the command line takes; SLURM and Kubernetes are not here to be asked."""
    script = DOCS / "cluster" / "ferbench.sbatch"
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True).stderr == ""
    job = yaml.safe_load((DOCS / "cluster" / "ferbench.yaml").read_text(encoding="utf-8"))
    options = {name for option in get_command(app).commands["run"].params for name in option.opts}  # type: ignore[attr-defined]
    for words in (
        job["spec"]["entrypoint"],
        script.read_text(encoding="utf-8").rpartition("python -m benchmark run")[2],
    ):
        assert set(re.findall(r"--[a-z]+", words)) <= options
    groups = job["spec"]["rayClusterSpec"]
    pods = [groups["headGroupSpec"], *groups["workerGroupSpecs"]]
    mounted = [
        [place["mountPath"] for c in pod["template"]["spec"]["containers"] for place in c["volumeMounts"]]
        for pod in pods
    ]
    assert mounted == [["/results", "/data"]] * 2
