"""Families: a library's models as rows, found by name, built as the library builds them, refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torchvision.models import get_model as torchvision_model

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.planning.data import Location
from ferbench.benchmark.planning.identity import identity
from ferbench.benchmark.planning.registry import architectures, ensembles
from ferbench.benchmark.planning.suite import BASELINES, Cell, cells_of, load_suite
from ferbench.models.timm_backbone import build as timm_build
from ferbench.models.torchvision_video import build as video_build
from ferbench.models.torchvision_video import names as video_names

ROWS = ("timm:test_resnet", "torchvision:s3d")
"""One of each kind, both quick."""

GOOD = "description: a test\nsize: tiny\ndatasets: [oulu_casia]\n"


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def cells(tmp_path: Path, text: str, only: list[str] | None = None) -> list[Cell]:
    (tmp_path / "mine.yaml").write_text(GOOD + text)
    return cells_of(*load_suite(str(tmp_path / "mine.yaml")), only)


def rows(tmp_path: Path, text: str, only: list[str] | None = None) -> list[str]:
    """The architectures of a suite's cells, without floors and oracle."""
    return [cell.architecture for cell in cells(tmp_path, text, only) if cell.architecture not in BASELINES]


# The registry


@pytest.mark.parametrize("name", ROWS)
def test_a_member_is_an_architecture_that_is_not_listed(name: str) -> None:
    entry = architectures.get(name)
    assert entry.name == name
    assert set(entry.sizes) == {"full", "tiny"}
    assert entry is architectures.get(name)
    assert name not in architectures.names()
    assert architectures.module(name) in ("ferbench.models.timm_backbone", "ferbench.models.torchvision_video")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnt18", "unknown architecture 'timm:resnt18': did you mean 'timm:resnet18'?"),
        ("torchvision:mvit_v2", "unknown architecture 'torchvision:mvit_v2': did you mean 'torchvision:mvit_v2_s'?"),
        (
            "torchvision:qqqq",
            f"unknown architecture 'torchvision:qqqq': nothing like it among its {len(video_names())}",
        ),
        ("tim:resnet18", "unknown family of architectures 'tim': did you mean 'timm'?"),
    ],
)
def test_an_unknown_member_is_told_in_one_line(name: str, said: str) -> None:
    with pytest.raises(RequestError) as error:
        architectures.get(name)
    assert str(error.value) == said


def test_official_weights_have_names_too() -> None:
    assert architectures.get("timm:resnet18.a1_in1k").sizes["full"].image_size == 224


def test_full_has_the_librarys_own_input_size() -> None:
    assert architectures.get("timm:test_resnet").input_shape("full") == (1, 3, 160, 160)
    assert architectures.get("torchvision:mc3_18").input_shape("full") == (1, 16, 3, 112, 112)
    assert architectures.get("torchvision:s3d").input_shape("full") == (1, 16, 3, 224, 224)


# The models


@pytest.mark.parametrize("name", ROWS)
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    architecture = architectures.get(name)
    model = architecture.sizes["tiny"].build(5).train()
    logits = model(torch.randn(architecture.input_shape("tiny", 2)))
    assert logits.shape == (2, 5)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ROWS)
def test_the_seed_alone_decides_the_initial_weights(name: str) -> None:
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(architectures.get(name).sizes["tiny"].build(3).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_a_timm_row_is_timms_model() -> None:
    theirs, ours = timm.create_model("test_resnet", num_classes=5).eval(), timm_build("test_resnet", 48, 5).eval()
    ours.model.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 48, 48)
    assert torch.equal(ours(x), theirs(x * ours.scale + ours.offset))  # normalised as timm does for its weights


def test_a_transformer_of_timm_is_built_for_the_size() -> None:
    model = timm_build("test_vit", 48, 3).eval()
    assert model(torch.randn(2, 3, 48, 48)).shape == (2, 3)
    assert model.model.patch_embed.img_size == (48, 48)


def test_a_torchvision_row_is_torchvisions_model() -> None:
    theirs = torchvision_model("mc3_18", weights=None, num_classes=5).eval()
    ours = video_build("mc3_18", 4, 32, 5).eval()
    ours.model.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 4, 3, 32, 32)
    torch.testing.assert_close(ours(x), theirs((x * ours.scale + ours.offset).transpose(1, 2)))


def test_s3ds_own_pooling_covers_all_positions_of_its_own_size() -> None:
    with torch.device("meta"):
        theirs = torchvision_model("s3d", weights=None)
        assert theirs.features(torch.empty(1, 3, 16, 224, 224)).shape[2:] == theirs.avgpool.kernel_size == (2, 7, 7)


# What they cannot take


def test_an_image_too_small_is_refused_when_it_is_built() -> None:
    with pytest.raises(
        ValueError, match=r"^timm:inception_v3 cannot take images of 48x48, it is made for images of 299"
    ):
        architectures.get("timm:inception_v3").sizes["tiny"].build(3)


def test_a_clip_too_short_is_refused_when_it_is_built() -> None:
    said = (
        r"^torchvision:s3d cannot take clips of 4 frames of 48x48, it is made for clips of 16 frames of 224x224 \(.+\)$"
    )
    with pytest.raises(ValueError, match=said):
        video_build("s3d", 4, 48, 3)


def test_a_model_of_a_fixed_input_refuses_another() -> None:
    said = (
        r"^torchvision:mvit_v2_s cannot take clips of 8 frames of 48x48, it is made for clips of 16 frames of 224x224"
    )
    with pytest.raises(ValueError, match=said):
        architectures.get("torchvision:mvit_v2_s").sizes["tiny"].build(3)


def test_a_clip_too_short_is_refused_when_it_is_given() -> None:
    model = video_build("s3d", 8, 48, 3).eval()
    assert model(torch.randn(1, 16, 3, 48, 48)).shape == (1, 3)
    said = (
        r"^torchvision:s3d is built for clips of 8 frames of 48x48 and cannot take clips of 4 frames of 48x48 \(.+\)$"
    )
    with pytest.raises(ValueError, match=said):
        model(torch.randn(1, 4, 3, 48, 48))


# Suites and records


def test_a_suite_names_them_like_any_other(tmp_path: Path) -> None:
    assert rows(tmp_path, "architectures: [timm:test_resnet, c3d]") == ["c3d", "timm:test_resnet"]


def test_a_suite_of_all_has_them_beside(tmp_path: Path) -> None:
    found = rows(tmp_path, "also: [torchvision:s3d, timm:test_resnet]")
    assert set(architectures.names()) < set(found)
    assert {*found} - {*architectures.names(), *ensembles.names()} == {"torchvision:s3d", "timm:test_resnet"}


def test_a_suite_may_have_variants_beside(tmp_path: Path) -> None:
    found = rows(tmp_path, "architectures: [c3d]\nalso: [tsm@shuffled, 'torchvision:s3d@frames=16']")
    assert found == ["c3d", "tsm@shuffled", "torchvision:s3d@frames=16"]


def test_the_command_line_cuts_to_one_or_asks_for_one(tmp_path: Path) -> None:
    assert rows(tmp_path, "also: [timm:test_resnet]", ["timm:test_resnet"]) == ["timm:test_resnet"]
    assert rows(tmp_path, "", ["timm:test_resnet"]) == ["timm:test_resnet"]
    with pytest.raises(RequestError, match="the suite names none of the architectures that are asked for: timm:test_"):
        rows(tmp_path, "architectures: [c3d]", ["timm:test_resnet"])


@pytest.mark.parametrize("text", ["architectures: [timm:resnt18]", "also: [timm:resnt18]"])
def test_a_suite_with_an_unknown_member_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(RequestError, match=r"unknown architecture 'timm:resnt18': did you mean 'timm:resnet18'\?"):
        cells(tmp_path, text)


def test_a_cell_has_a_folder_without_a_colon_and_a_key_of_its_own(tmp_path: Path) -> None:
    found = [c for c in cells(tmp_path, "architectures: [timm:test_resnet, timm:test_vit]") if c.kind == "architecture"]
    assert found[0].folder(Path("r"), "d-twin") == Path("r/mine/d-twin/timm-test_resnet/seed0-fold0")
    location = Location("oulu_casia", "oulu_casia-twin", tmp_path, "content", found[0].protocol, None)
    about = [identity(cell, location, "cpu") for cell in found]
    assert about[0]["architecture"] == "timm:test_resnet"
    assert about[0]["key"] != about[1]["key"]
