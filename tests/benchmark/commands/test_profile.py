"""`profile`: counts alone or with what is measured, and what it says while it works."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
from torch import nn

from ferbench.benchmark.cli import main
from ferbench.benchmark.commands.profile import profile_rows, told_on_standard_error
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.registry import architectures

COUNTED = ["architecture", "input", "params_m", "gmacs"]


@pytest.fixture
def without_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT_SE has no full size."""
    entry = architectures.get("vit_se")
    cut = replace(entry, sizes={"tiny": entry.sizes["tiny"]})
    get = architectures.get
    monkeypatch.setattr(architectures, "get", lambda name: cut if name == "vit_se" else get(name))


def test_each_architecture_that_is_named_is_measured() -> None:
    (row,) = profile_rows(["vit_se"], "tiny", "cpu")
    assert (row["architecture"], row["input"]) == ("vit_se", "3x48x48")
    assert row["params_m"] == pytest.approx(0.122, abs=0.001)
    assert row["latency_ms_p50"] <= row["latency_ms_p95"]
    assert row["samples_per_s"] > 0


def test_counts_alone_are_those_of_a_measured_row() -> None:
    (measured,) = profile_rows(["c3d"], "tiny", "cpu")
    (counted,) = profile_rows(["c3d"], "tiny", "cpu", counts=True)
    assert list(counted) == COUNTED
    assert counted == {name: measured[name] for name in COUNTED}


def test_counts_of_a_paper_s_size_make_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def register(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        made.append(None if parameter is None else parameter.device.type)
        keep(self, name, parameter)

    keep = nn.Module.register_parameter
    monkeypatch.setattr(nn.Module, "register_parameter", register)
    (row,) = profile_rows(["vit_se"], "full", "cpu", counts=True)
    assert row["params_m"] == pytest.approx(86.7, abs=0.1)
    assert {kind for kind in made if kind} == {"meta"}


def test_a_wrong_word_is_told(without_full: None) -> None:
    with pytest.raises(RequestError, match="unknown size 'huge': use tiny, small, full"):
        profile_rows([], "huge", "cpu")
    with pytest.raises(RequestError, match=r"unknown architecture 'vit_sse': did you mean 'vit_se'\?"):
        profile_rows(["vit_sse"], "tiny", "cpu")
    with pytest.raises(RequestError, match="--counts makes no weights: leave --weights out"):
        profile_rows(["c3d"], "full", "cpu", ["c3d=file.pth"], counts=True)
    with pytest.raises(RequestError, match="architecture 'vit_se' has no size 'full': leave it out"):
        profile_rows(["c3d", "vit_se"], "full", "cpu", counts=True)


def test_of_all_those_come_that_have_the_size(without_full: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "names", lambda: ["c3d", "vit_se"])
    assert [row["architecture"] for row in profile_rows([], "full", "cpu", counts=True)] == ["c3d"]
    assert [row["architecture"] for row in profile_rows([], "tiny", "cpu", counts=True)] == ["c3d", "vit_se"]


def test_it_says_on_standard_error_what_is_at_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FERBENCH_DEBUG", "")
    monkeypatch.setattr(sys, "argv", ["ferbench", "profile", "--counts", "--json", "c3d", "vit_se"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert not ended.value.code
    assert err == "1 of 2: c3d\n2 of 2: vit_se\n"
    assert [row["architecture"] for row in json.loads(out)] == ["c3d", "vit_se"]


def test_on_a_terminal_one_line_is_written_over_and_gone_at_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    def stopped() -> None:
        with told_on_standard_error() as report:
            report("1 of 2: c3d")
            report("2 of 2: vit_se")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    clear = "\r\x1b[K"
    assert capsys.readouterr().err == f"{clear}1 of 2: c3d{clear}2 of 2: vit_se{clear}"
