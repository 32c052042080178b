"""The SENDv1 study's architectures, against their papers' formulas, their libraries and counts by hand."""

from __future__ import annotations

import math

import pytest
import torch
from operator_count import OperatorCount
from torch import Tensor, nn
from torchvision.models import efficientnet_b3 as torchvision_efficientnet_b3
from torchvision.models import resnet152 as torchvision_resnet152

from ferbench.benchmark.measures.efficiency import count_macs, count_parameters
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.efficientnet_tcn import EfficientNetTCN
from ferbench.models.parts.efficientnet import EfficientNet, efficientnet_b3
from ferbench.models.parts.lstm import FeatureLSTM
from ferbench.models.parts.mobilenet import mobilenet_v3_tiny
from ferbench.models.parts.ms_tcn import DilatedStage, EncoderDecoderStage, MultiStageTCN, RefinedFrames
from ferbench.models.parts.residual_attention import (
    AttentionModule,
    Hourglass,
    ResidualUnit,
    attention_92,
    attention_tiny,
)
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.tcn import TCN, CausalConv
from ferbench.models.residual_attention import ResidualAttention
from ferbench.models.residual_attention_ms_tcn import dilated_stages
from ferbench.models.resnet_lstm import ResNet152


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# Residual attention


def lively(model: nn.Module) -> nn.Module:
    """In evaluation mode, with norms that do something: random statistics, scales and offsets."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, std=0.3)
    return model.eval()


def test_a_unit_adds_a_bottleneck_of_the_activated_input() -> None:
    unit, x = lively(ResidualUnit(8, 16, stride=2)), torch.randn(2, 8, 6, 6)
    activated = unit.activation(x)
    assert (activated >= 0).all()
    torch.testing.assert_close(unit(x), unit.residual(activated) + unit.shortcut(activated))
    same = lively(ResidualUnit(8, 8))
    assert same.shortcut is None
    torch.testing.assert_close(same(x), x + same.residual(same.activation(x)))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
def test_an_hourglass_gives_back_the_map_that_it_halves(depth: int, size: tuple[int, int]) -> None:
    hourglass, seen = lively(Hourglass(8, depth)), []
    for module in hourglass.modules():
        if isinstance(module, Hourglass):
            module.down.register_forward_hook(lambda _m, inputs, _out: seen.append(tuple(inputs[0].shape[-2:])))
    x = torch.randn(2, 8, *size)
    assert hourglass(x).shape == x.shape
    assert seen == [tuple(math.ceil(side / 2**level) for side in size) for level in range(1, depth + 1)]


def test_attention_is_the_trunk_times_one_plus_the_mask() -> None:
    module, x = lively(AttentionModule(8, depth=2)), torch.randn(2, 8, 12, 12)
    before = module.before(x)
    trunk = module.trunk(before)
    mask = module.mask(before, trunk)
    assert ((mask > 0) & (mask < 1)).all()
    torch.testing.assert_close(module(x), module.after((1 + mask) * trunk))


@pytest.mark.parametrize(("bias", "factor"), [(-40.0, 1.0), (40.0, 2.0)])
def test_a_closed_mask_leaves_the_trunk_and_an_open_one_doubles_it(bias: float, factor: float) -> None:
    module, x = lively(AttentionModule(8, depth=1)), torch.randn(2, 8, 6, 6)
    module.gate[-2] = nn.Conv2d(8, 8, 1)
    nn.init.zeros_(module.gate[-2].weight)
    nn.init.constant_(module.gate[-2].bias, bias)
    torch.testing.assert_close(module(x), module.after(factor * module.trunk(module.before(x))))


def test_attention_92_is_the_network_that_its_authors_published() -> None:
    with torch.device("meta"):
        model = ResidualAttention(1000, attention_92())
    # Counted in their definition, github.com/fwang91/residual-attention-network, Attention-92-deploy.prototxt.
    assert count_parameters(model) == 52_466_344
    macs = count_macs(model, (1, 3, 224, 224))
    assert macs == 10_533_789_696
    assert macs == pytest.approx(10.43e9, rel=0.01)  # the paper's table; its 51.3 M parameters are 2.3% fewer


def test_with_the_shortcuts_that_the_seed_never_uses_it_has_the_seeds_parameters() -> None:
    with torch.device("meta"):
        model = ResidualAttention(9, attention_92())
    units = [unit for unit in model.modules() if isinstance(unit, ResidualUnit) and unit.shortcut is None]
    unused = sum(unit.activation[0].num_features ** 2 for unit in units)
    assert count_parameters(model) + unused == pytest.approx(83.20e6, rel=1e-4)  # FACTS section 4
    assert count_macs(model, (1, 3, 224, 224)) == pytest.approx(10.53e9, rel=1e-3)


def test_attention_92_has_92_layers_in_its_trunk() -> None:
    with torch.device("meta"):
        backbone = attention_92()
    inside = [name for name, module in backbone.named_modules() if isinstance(module, ResidualUnit)]
    trunk = [name for name in inside if "hourglass" not in name]
    assert 3 * len(trunk) + 2 == 92  # the first convolution and the classifier
    assert backbone.width == 2048


def test_the_small_network_begins_close_to_the_resnet_that_it_comes_from() -> None:
    network, x = attention_tiny().train(), torch.randn(16, 3, 48, 48)
    alike = torch.cosine_similarity(network(x), network.trunk(x), dim=1)
    assert alike.min() > 0.98
    assert set(network.trunk.state_dict()) == set(resnet_tiny().state_dict())


# MS-TCN


def plain_conv(x: Tensor, conv: nn.Conv1d) -> Tensor:
    """A convolution of (F,T) frame by frame; what lies outside the sequence is nothing."""
    taps, middle, step = conv.kernel_size[0], conv.kernel_size[0] // 2, conv.dilation[0]
    out = []
    for t in range(x.shape[1]):
        total = conv.bias.clone()
        for k in range(taps):
            source = t + (k - middle) * step
            if 0 <= source < x.shape[1]:
                total += conv.weight[:, :, k] @ x[:, source]
        out.append(total)
    return torch.stack(out, dim=1)


def plain_dilated_stage(stage: DilatedStage, x: Tensor) -> Tensor:
    """MS-TCN's single stage on (F,T), by its equations 1 to 3."""
    first, *layers, last = stage
    x = plain_conv(x, first)
    for layer in layers:
        x = x + plain_conv(plain_conv(x, layer.dilated).clamp(min=0), layer.pointwise)
    return plain_conv(x, last)


def plain_normalised_relu(x: Tensor) -> Tensor:
    columns = [column.clamp(min=0) for column in x.unbind(dim=1)]
    return torch.stack([column / (column.max() + 1e-5) for column in columns], dim=1)


def plain_encoder_decoder(stage: EncoderDecoderStage, x: Tensor) -> Tensor:
    """ED-TCN on (F,T): every second frame is dropped for the larger of two, then frames are repeated."""
    lengths = []
    for layer in stage.encoder:
        x = plain_normalised_relu(plain_conv(x, layer[0]))
        lengths.append(x.shape[1])
        pairs = [x[:, t : t + 2].amax(dim=1) for t in range(0, x.shape[1] - 1, 2)]
        x = torch.stack(pairs, dim=1)
    for layer, length in zip(stage.decoder, reversed(lengths), strict=True):
        repeated = torch.stack([x[:, t * x.shape[1] // length] for t in range(length)], dim=1)
        x = plain_normalised_relu(plain_conv(repeated, layer[0]))
    return plain_conv(x, stage.classifier)


def multi_stage(kind: str, features: int = 6, classes: int = 3) -> MultiStageTCN:
    if kind == "dilated":
        return MultiStageTCN(dilated_stages(features, classes, layers=4, channels=8)).eval()
    return MultiStageTCN([EncoderDecoderStage(i, classes, 5, (8, 10)) for i in (features, classes)]).eval()


PLAIN = {"dilated": plain_dilated_stage, "encoder-decoder": plain_encoder_decoder}


@pytest.mark.parametrize("frames", [4, 7, 12])
@pytest.mark.parametrize("kind", PLAIN)
def test_every_stage_is_what_a_plain_loop_computes(kind: str, frames: int) -> None:
    tcn, x = multi_stage(kind), torch.randn(2, 6, frames)
    expected = []
    for sequence in x:
        read, outputs = sequence, []
        for stage in tcn.stages:
            outputs.append(PLAIN[kind](stage, read))
            read = outputs[-1].exp() / outputs[-1].exp().sum(dim=0)
        expected.append(torch.stack(outputs))
    with torch.no_grad():
        torch.testing.assert_close(tcn(x), torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)


def test_a_value_is_passed_from_stage_to_stage_as_it_is() -> None:
    tcn, x = multi_stage("dilated", classes=1), torch.randn(2, 6, 12)
    outputs = tcn(x)
    assert outputs.shape == (4, 2, 1, 12)
    torch.testing.assert_close(outputs[1], tcn.stages[1](outputs[0]))


def test_training_shows_every_stage_and_evaluation_the_last() -> None:
    model = RefinedFrames(resnet_tiny(), dilated_stages(128, 3, layers=2, channels=8))
    for dropout in (m for m in model.modules() if isinstance(m, nn.Dropout)):
        dropout.p = 0.0
    features = torch.randn(2, 5, 128)
    everything = model.train().decode(features)
    assert everything.shape == (4, 2, 5, 3)
    assert torch.equal(model.eval().decode(features), everything[-1])


@pytest.mark.parametrize("supervised", [0, 2, 3])
def test_the_loss_of_a_stage_reaches_it_and_those_before_it(supervised: int) -> None:
    model = RefinedFrames(resnet_tiny(), dilated_stages(128, 3, layers=2, channels=8)).train()
    model.decode(torch.randn(2, 5, 128))[supervised].square().sum().backward()
    reached = [any(p.grad.any() for p in stage.parameters() if p.grad is not None) for stage in model.tcn.stages]
    assert reached == [stage <= supervised for stage in range(4)]


def test_ms_tcn_has_the_parameters_and_the_multiply_adds_of_the_paper() -> None:
    tcn = MultiStageTCN(dilated_stages(2048, 9, layers=10, channels=64))
    assert count_parameters(tcn) == pytest.approx(0.796e6, rel=0.001)  # FACTS section 4
    assert count_macs(tcn, (1, 2048, 12)) == 12 * (
        64 * (2048 + 9) + 3 * 64 * (9 + 9) + 4 * 10 * (64 * 64 * 3 + 64 * 64)
    )  # 0.009 G


def test_an_encoder_decoder_stage_refuses_a_sequence_that_it_cannot_halve_twice() -> None:
    stage = EncoderDecoderStage(6, 3, kernel=5, channels=(8, 10)).eval()
    assert stage(torch.randn(1, 6, 4)).shape == (1, 3, 4)
    with pytest.raises(ValueError, match="needs 4 frames, not 3"):
        stage(torch.randn(1, 6, 3))


@pytest.mark.parametrize("name", ["residual_attention_ms_tcn", "residual_attention_ed_tcn"])
@pytest.mark.parametrize("size", ["full", "tiny"])
def test_the_network_below_the_stages_is_residual_attentions(name: str, size: str) -> None:
    declared = architectures.get(name).sizes[size]
    lent = declared.trained[0]
    with torch.device("meta"):
        ours = declared.build(5).get_submodule(lent.into)
        theirs = architectures.get(lent.architecture).sizes[size].build(5).get_submodule(lent.part)
    shapes = [{name: tensor.shape for name, tensor in m.state_dict().items()} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert architectures.get(lent.architecture).lends


@pytest.mark.parametrize("kind", PLAIN)
def test_stages_run_as_many_operators_for_more_frames(kind: str) -> None:
    counts = [OperatorCount.of(multi_stage(kind), torch.randn(2, 6, frames)) for frames in (8, 16)]
    assert counts[0] == counts[1] > 0


# TCN


def test_a_causal_convolution_is_what_a_plain_loop_computes() -> None:
    conv, x = CausalConv(3, 4, kernel=3, dilation=2), torch.randn(2, 3, 7)
    direction, length = conv.conv.parametrizations.weight.original1, conv.conv.parametrizations.weight.original0
    weight = direction / direction.flatten(1).norm(dim=1)[:, None, None] * length
    expected = conv.conv.bias[None, :, None].repeat(2, 1, 7)
    for t in range(7):
        for k in range(3):
            source = t - (2 - k) * 2
            if source >= 0:
                expected[:, :, t] += x[:, :, source] @ weight[:, :, k].T
    torch.testing.assert_close(conv(x), expected)


@pytest.mark.parametrize("changed", [0, 5, 11])
def test_a_later_frame_never_changes_an_earlier_output(changed: int) -> None:
    tcn, x = TCN((6, 8, 8, 8), kernel=2, dropout=0.1).eval(), torch.randn(2, 6, 12)
    other = x.clone()
    other[:, :, changed] += 1
    differs = (tcn(x) != tcn(other)).any(dim=1).any(dim=0)
    assert differs.tolist() == [t >= changed for t in range(12)]


def test_the_last_frame_sees_the_whole_window() -> None:
    frames = architectures.get("efficientnet_tcn").sizes["full"].frames
    tcn = EfficientNetTCN(3, mobilenet_v3_tiny()).tcn.double().eval()
    x = torch.randn(1, 128, 80, dtype=torch.double, requires_grad=True)
    tcn(x)[0, :, -1].abs().sum().backward()
    assert x.grad is not None
    seen = x.grad[0].any(dim=0)
    assert seen.sum() == 63 >= frames
    assert seen[-63:].all()


def test_the_last_frame_decides_for_the_clip() -> None:
    model, features = EfficientNetTCN(3, mobilenet_v3_tiny(), channels=16, blocks=3).eval(), torch.randn(2, 9, 288)
    expected = model.head(model.tcn(model.project(features).transpose(1, 2)).unbind(dim=2)[-1])
    torch.testing.assert_close(model.decode(features), expected)


# LSTM and the frozen backbones


def test_the_clip_is_the_mean_of_its_frames_logits() -> None:
    model = FeatureLSTM(3, resnet_tiny(), widths=(128, 20, 12), hidden=16).eval()
    features = torch.randn(2, 5, 128)
    frames = [model.classifier(model.lstm(model.project(features))[0][:, t]) for t in range(5)]
    torch.testing.assert_close(model.decode(features), torch.stack(frames).mean(dim=0))
    assert model.lstm.num_layers == 2


def test_resnet_152_is_torchvisions_without_its_classifier() -> None:
    with torch.device("meta"):
        ours, theirs = ResNet152(), torchvision_resnet152(weights=None)
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items() if not name.startswith("fc.")}
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == shapes
    assert count_parameters(ours) == 60_192_808 - (2048 * 1000 + 1000)  # torchvision's documented count, less its head
    assert count_macs(ours, (1, 3, 224, 224)) == pytest.approx(11.51e9, rel=0.01)


def test_efficientnet_b3_is_torchvisions_with_pooled_features() -> None:
    theirs, ours = torchvision_efficientnet_b3(weights=None).eval(), efficientnet_b3().eval()
    ours.features.load_state_dict(theirs.features.state_dict())
    assert {f"features.{name}" for name in theirs.features.state_dict()} == set(ours.state_dict())
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs.avgpool(theirs.features(x)).flatten(1))


def test_efficientnet_b3_has_the_features_of_the_paper() -> None:
    with torch.device("meta"):
        backbone = efficientnet_b3()
    assert isinstance(backbone, EfficientNet)
    assert backbone.width == 1536
    assert count_parameters(backbone) == 12_233_232 - (1536 * 1000 + 1000)  # torchvision's documented count
    assert count_macs(backbone, (1, 3, 300, 300)) == pytest.approx(1.83e9, rel=0.01)


@pytest.mark.parametrize("name", ["resnet_lstm", "efficientnet_lstm", "efficientnet_tcn"])
def test_the_backbone_stays_as_it_comes(name: str) -> None:
    for size in architectures.get(name).sizes.values():
        (stage,) = size.stages
        assert stage.reads == "backbone"
        assert stage.frozen == ("backbone",)


def test_the_small_attention_network_stays_small() -> None:
    assert count_macs(attention_tiny(), (1, 3, 48, 48)) < 12e6
