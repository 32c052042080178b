"""Architectures and data sets are found by the place of their file, and third parties' by their entry points."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from third_party import install

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import Registry, architectures, data_sets, ensembles
from ferbench.benchmark.records.installation import CHECKOUT


def registry() -> Registry[object]:
    """A fresh one: it has not looked for anything yet."""
    return Registry("architecture", package="ferbench.models", attribute="ARCHITECTURE", group="ferbench.architectures")


def test_a_file_that_defines_the_attribute_is_found_by_its_name() -> None:
    assert {"c3d", "cnn_lstm_attention", "difference_of_embeddings", "vit_se"} <= set(architectures.names())
    assert not {"architecture", "weights"} & set(architectures.names())
    assert {"affectnet_small", "oulu_casia"} <= set(data_sets.names())
    assert not {"dataset", "corpus", "frames"} & set(data_sets.names())
    assert architectures.names() == sorted(architectures.names())


@pytest.mark.parametrize("registry", [architectures, data_sets], ids=lambda r: r.kind)
def test_every_entry_loads_and_bears_its_name(registry: Registry[object]) -> None:
    assert [registry.get(name).name for name in registry.names()] == registry.names()  # type: ignore[attr-defined]


def test_listing_names_imports_neither_torch_nor_an_entry() -> None:
    code = """if True:
        import sys
        from ferbench.benchmark.planning.registry import architectures, data_sets
        print(len(architectures.names()), len(data_sets.names()), data_sets.module("oulu_casia"))
        print(sorted(sys.modules.keys() & {"torch", "ferbench.models.c3d", "ferbench.datasets.oulu_casia"}))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    counts, imported = done.stdout.splitlines()
    assert counts.endswith("ferbench.datasets.oulu_casia")
    assert imported == "[]"


@pytest.mark.parametrize("registry", [architectures, ensembles, data_sets], ids=lambda r: r.kind)
def test_what_an_entry_states_is_what_it_is(registry: Registry[object]) -> None:
    for name in registry.names():
        assert registry.stated(name, "title") == registry.get(name).title  # type: ignore[attr-defined]
        assert registry.stated(name, "source") == registry.get(name).source  # type: ignore[attr-defined]


def test_what_is_written_out_is_stated_without_an_import_and_the_rest_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A title in the source, another one that is computed; of a broken file one is told as ever."""
    package = tmp_path / "stating"
    package.mkdir()
    (package / "__init__.py").touch()
    lines = "from types import SimpleNamespace as Kind\nARCHITECTURE = Kind(name={name!r}, title={title})\n"
    (package / "written.py").write_text(lines.format(name="written", title="'A title'"))
    (package / "computed.py").write_text(lines.format(name="computed", title="'A title'.upper()"))
    (package / "broken.py").write_text("ARCHITECTURE = (\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    stating: Registry[object] = Registry("architecture", package="stating", attribute="ARCHITECTURE", group="none")
    assert stating.uses("written", "Kind")
    assert not stating.uses("written", "Kin")
    assert stating.stated("written", "title") == "A title"
    assert "stating.written" not in sys.modules
    assert stating.stated("computed", "title") == "A TITLE"
    with pytest.raises(RequestError, match=r"architecture 'broken': stating\.broken cannot be imported: SyntaxError"):
        stating.stated("broken", "title")


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(RequestError, match=r"unknown architecture 'vit_es': did you mean 'vit_se'\?"):
        architectures.get("vit_es")
    with pytest.raises(RequestError, match=r"unknown data set 'xyz': there are: .*affectnet_small, .*oulu_casia"):
        data_sets.module("xyz")


def test_a_third_party_registers_through_an_entry_point(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(toys))
    monkeypatch.delitem(sys.modules, "toys.toy_quick", raising=False)  # another test may have used it
    found = registry()
    assert "toy_quick" in found.names()
    assert "toys.toy_quick" not in sys.modules
    assert found.get("toy_quick").title == "Toy"  # type: ignore[attr-defined]


def test_a_clash_of_names_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", {"c3d": "elsewhere.c3d:ARCHITECTURE"})))
    with pytest.raises(RequestError, match=r"two architectures are named 'c3d': ferbench.models.c3d and elsewhere.c3d"):
        registry().names()


def test_two_third_parties_with_one_name_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for party in ("anna", "ben"):
        monkeypatch.syspath_prepend(str(install(tmp_path / party, {"new": f"{party}.new:ARCHITECTURE"}, name=party)))
    with pytest.raises(RequestError, match=r"two architectures are named 'new': anna.new and ben.new"):
        registry().names()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "import no_such_library",
            "architecture 'new': newcomer cannot be imported: ModuleNotFoundError: No module",
        ),
        (
            "import models.architecture",
            r"ModuleNotFoundError: No module named 'models.*' \(of ferbench it is ferbench\.models.*: import that\)",
        ),
        ("", "newcomer defines no ARCHITECTURE: the architecture 'new' cannot be loaded"),
        (
            "from types import SimpleNamespace\nARCHITECTURE = SimpleNamespace(name='old')",
            "newcomer is registered as 'new' but calls itself 'old': rename one",
        ),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    (install(tmp_path / "site", {"new": "newcomer:ARCHITECTURE"}) / "newcomer.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(sys.modules, "newcomer", raising=False)
    with pytest.raises(RequestError, match=message):
        registry().get("new")
    sys.modules.pop("newcomer", None)


@pytest.mark.parametrize("name", architectures.names())
def test_lenders_read_from_the_source_are_those_declared(name: str) -> None:
    declared = {lent.architecture for size in architectures.get(name).sizes.values() for lent in size.trained}
    assert set(architectures.lenders(name)) == declared
    assert all(architectures.get(lender).lends for lender in declared)


def test_a_variant_has_the_lenders_of_its_base() -> None:
    assert architectures.lenders("cnn_rnn@frames=4") == architectures.lenders("cnn_rnn") == ("cnn",)
