"""What is particular to one architecture, against its paper, its library or a count by hand."""

from __future__ import annotations

import pytest
import timm
import torch
from operator_count import OperatorCount
from torch import nn
from torchvision.models import mobilenet_v3_large as torchvision_mobilenet_v3_large
from torchvision.models import resnet50 as torchvision_resnet50
from torchvision.models.video import r2plus1d_18 as torchvision_r2plus1d_18

from ferbench.benchmark.measures.efficiency import count_macs, count_parameters
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.c3d import C3D, C3DTrunk, c3d_trunk_tiny
from ferbench.models.cnn_lstm_attention import AdditiveAttention, CNNLSTMAttention, LastFrameAttention
from ferbench.models.difference_of_embeddings import DifferenceOfEmbeddings
from ferbench.models.disentangled_difference_of_embeddings import DisentangledDifferenceOfEmbeddings
from ferbench.models.parts.mobilenet import MobileNetV3, mobilenet_v3_large, mobilenet_v3_tiny
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.squeeze_excitation import SqueezeExcitation
from ferbench.models.parts.temporal_shift import temporal_shift
from ferbench.models.parts.vit import ViT, vit_base, vit_tiny
from ferbench.models.r2plus1d import R2Plus1D, r2plus1d_18, r2plus1d_tiny
from ferbench.models.timesformer import TemporalAttention, TimeSformer
from ferbench.models.tsm import TSM, ShiftedResNet, ShiftedResNet50
from ferbench.models.vivit import ViViT


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# Backbones


@pytest.mark.parametrize("factory", [mobilenet_v3_tiny, vit_tiny, resnet_tiny])
def test_a_backbone_gives_one_vector_of_its_width_a_frame(factory: type[MobileNetV3]) -> None:
    backbone = factory().eval()
    assert backbone(torch.randn(3, 3, 48, 48)).shape == (3, backbone.width)


def test_mobilenet_is_torchvisions_with_pooled_features() -> None:
    theirs, ours = torchvision_mobilenet_v3_large(weights=None).eval(), mobilenet_v3_large().eval()
    ours.features.load_state_dict(theirs.features.state_dict())
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs.avgpool(theirs.features(x)).flatten(1))


def test_mobilenet_large_has_the_features_of_the_paper() -> None:
    with torch.device("meta"):
        backbone = mobilenet_v3_large()
    assert backbone.width == 960
    assert count_parameters(backbone) == pytest.approx(2.97e6, rel=0.01)  # FACTS section 4
    assert count_macs(backbone, (1, 3, 224, 224)) == pytest.approx(0.214e9, rel=0.01)


def test_vit_is_timms_for_the_same_weights() -> None:
    small = {"img_size": 32, "embed_dim": 64, "depth": 2, "num_heads": 4}
    theirs = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0, **small).eval()
    ours = ViT(image_size=32, patch=16, width=64, depth=2, heads=4).eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(ours(x), theirs(x))


def test_vit_base_has_the_parameters_of_timms() -> None:
    with torch.device("meta"):
        ours, theirs = vit_base(), timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_resnet_maps_are_what_it_pools() -> None:
    backbone, x = resnet_tiny().eval(), torch.randn(2, 3, 48, 48)
    maps = backbone.maps(x)
    assert maps.shape == (2, 128, 3, 3)
    torch.testing.assert_close(backbone(x), maps.mean(dim=(2, 3)))
    assert 6e6 < count_macs(backbone, (1, 3, 48, 48)) < 12e6


# C3D


def test_c3d_follows_the_hand_count() -> None:
    model = C3D(6, frames=16, image_size=112)
    assert model.trunk.width == 48 * 3 * 27 * 27  # 16 -> 7 -> 3 frames, 112 -> 55 -> 27 pixels
    assert count_macs(model, (1, 16, 3, 112, 112)) == (
        32 * 3 * 27 * (7 * 55 * 55) + 48 * 32 * 27 * (3 * 27 * 27) + 104_976 * 256 + 256 * 256 + 256 * 6
    )


def test_c3d_refuses_a_clip_that_two_convolutions_would_use_up() -> None:
    with pytest.raises(ValueError, match="at least 7 frames of 7x7, not 6 of 48x48"):
        C3DTrunk(frames=6, image_size=48)
    assert C3DTrunk(frames=7, image_size=7).width == 48


def test_c3d_refuses_a_clip_it_was_not_built_for() -> None:
    with pytest.raises(ValueError, match=r"needs clips of shape \(8, 3, 48, 48\), not \(9, 3, 48, 48\)"):
        c3d_trunk_tiny()(torch.randn(1, 9, 3, 48, 48))


@pytest.mark.parametrize("frames", [8, 16])
def test_c3d_never_sees_the_last_frame(frames: int) -> None:
    x = torch.randn(1, frames, 3, 48, 48, requires_grad=True)
    C3D(6, frames, 48).eval()(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.flatten(2).any(dim=-1).tolist() == [[True] * (frames - 1) + [False]]


def test_c3d_runs_as_many_operators_for_more_frames() -> None:
    counts = [OperatorCount.of(C3D(6, frames, 48).eval(), torch.randn(2, frames, 3, 48, 48)) for frames in (8, 16)]
    assert counts[0] == counts[1] > 0


# CNN + LSTM + attention


def test_attention_weights_of_a_clip_sum_to_one() -> None:
    weights = AdditiveAttention(16)(torch.randn(3, 9, 16))
    assert weights.shape == (3, 9, 1)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(3, 1))


def test_attention_is_softmax_of_tanh_of_x_by_w_by_u() -> None:
    attention, x = AdditiveAttention(4), torch.randn(2, 5, 4)
    scores = torch.tanh(x @ attention.W.weight.T) @ attention.u.weight.T
    torch.testing.assert_close(attention(x), scores.exp() / scores.exp().sum(1, keepdim=True))


def test_with_equal_attention_the_clip_is_the_mean_of_its_hidden_states() -> None:
    model, features = CNNLSTMAttention(3, mobilenet_v3_tiny()).eval(), torch.randn(2, 5, 288)
    nn.init.zeros_(model.attention.u.weight)
    torch.testing.assert_close(model.decode(features), model.classifier(model.lstm(features)[0].mean(dim=1)))


def test_without_attention_the_clip_is_its_last_hidden_state() -> None:
    assert LastFrameAttention()(torch.randn(2, 4, 3)).squeeze(2).tolist() == [[0, 0, 0, 1]] * 2
    model, features = CNNLSTMAttention(3, mobilenet_v3_tiny(), attention=False).eval(), torch.randn(2, 5, 288)
    torch.testing.assert_close(model.decode(features), model.classifier(model.lstm(features)[0][:, -1]))


# ViT_SE


def test_vit_ses_backbone_has_the_parameters_of_timms_vit() -> None:
    with torch.device("meta"):
        ours = architectures.get("vit_se").sizes["full"].build(8).get_submodule("backbone")
        theirs = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_the_gate_only_scales_down() -> None:
    x = torch.randn(5, 8)
    gated = SqueezeExcitation(8)(x)
    assert ((gated / x > 0) & (gated / x < 1)).all()


def test_vit_refuses_an_image_of_another_size() -> None:
    with pytest.raises(AssertionError, match=r"64.*48"):
        vit_tiny()(torch.randn(1, 3, 64, 64))


# Difference of Embeddings


@pytest.mark.parametrize(
    ("embedding", "reads_neutral", "reads_level"),
    [("both", True, True), ("difference", True, False), ("target", False, True)],
)
def test_each_embedding_reads_what_it_says(embedding: str, reads_neutral: bool, reads_level: bool) -> None:
    model = DifferenceOfEmbeddings(4, mobilenet_v3_tiny(), embedding=embedding).eval()  # type: ignore[arg-type]
    features, other_neutral, level = torch.randn(3, 2, 288), torch.randn(3, 288), torch.randn(3, 1, 288)
    with_other_neutral = torch.stack((other_neutral, features[:, 1]), dim=1)
    assert torch.allclose(model.decode(features), model.decode(with_other_neutral), atol=1e-5) != reads_neutral
    assert torch.allclose(model.decode(features), model.decode(features + level), atol=1e-5) != reads_level


# Disentangled Difference of Embeddings


def disentangled(beside_identity: bool = True) -> DisentangledDifferenceOfEmbeddings:
    return DisentangledDifferenceOfEmbeddings(4, mobilenet_v3_tiny(), resnet_tiny(), beside_identity).eval()


def test_stage_1_classifies_emotion_beside_identity() -> None:
    model, x = disentangled(), torch.randn(3, 3, 48, 48)
    side_by_side = torch.cat((model.emotion(x), model.identity(x)), dim=1)
    assert side_by_side.shape == (3, 288 + 128)
    torch.testing.assert_close(model.disentangle(x), model.emotion_head(side_by_side))


def test_stage_1_without_identity_does_not_look_at_it() -> None:
    model, x = disentangled(beside_identity=False), torch.randn(3, 3, 48, 48)
    before = model.disentangle(x)
    for parameter in model.identity.parameters():
        nn.init.normal_(parameter)
    assert torch.equal(model.disentangle(x), before)


def test_stage_2_is_difference_of_embeddings_over_the_emotion_encoder() -> None:
    model, plain = disentangled(), DifferenceOfEmbeddings(4, mobilenet_v3_tiny()).eval()
    plain.backbone.load_state_dict(model.emotion.state_dict())
    plain.head.load_state_dict(model.head.state_dict())
    pair = torch.randn(2, 2, 3, 48, 48)
    assert torch.equal(model(pair), plain(pair))


def test_disentangling_trains_with_eight_times_the_parameters_that_prediction_uses() -> None:
    with torch.device("meta"):
        model = architectures.get("disentangled_difference_of_embeddings").sizes["full"].build(8)
    used = sum(count_parameters(part) for part in (model.emotion, model.head))
    assert count_parameters(model) == pytest.approx(27.84e6, rel=0.001)
    assert used == pytest.approx(3.51e6, rel=0.001)  # FACTS section 4, Difference of Embeddings
    used_by_forward = torch.autograd.grad(
        model.train()(torch.empty(2, 2, 3, 224, 224, device="meta")).sum(), list(model.parameters()), allow_unused=True
    )
    named = zip(model.named_parameters(), used_by_forward, strict=True)
    assert sum(parameter.numel() for (_, parameter), gradient in named if gradient is not None) == used


# TimeSformer

THEIRS_TO_OURS = {
    "embeddings.cls_token": "backbone.cls_token",
    "embeddings.position_embeddings": "backbone.pos_embed",
    "embeddings.patch_embeddings.projection": "backbone.patch_embed.proj",
    "embeddings.time_embeddings": "time_embed",
    "temporal_layernorm": "norm1",
    "temporal_attention.attention.qkv": "attn.qkv",
    "temporal_attention.output.dense": "attn.proj",
    "temporal_dense": "fc",
    "layernorm_before": "norm1",
    "attention.attention.qkv": "attn.qkv",
    "attention.output.dense": "attn.proj",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm": "backbone.norm",
    "classifier": "head",
}
"""Names in transformers, without prefix and number of the layer -> names here."""


def name_here(theirs: str) -> str:
    """The name of a parameter of transformers' Timesformer in ours."""
    layer, _, rest = theirs.removeprefix("timesformer.").removeprefix("encoder.layer.").partition(".")
    if not layer.isdigit():
        layer, rest = "", theirs.removeprefix("timesformer.")
    known = max((name for name in THEIRS_TO_OURS if rest.startswith(name)), key=len)
    own = THEIRS_TO_OURS[known] + rest.removeprefix(known)
    if not layer:
        return own
    return f"temporal.{layer}.{own}" if known.startswith("temporal") else f"backbone.blocks.{layer}.{own}"


@pytest.mark.parametrize("frames", [1, 5])
def test_timesformer_is_that_of_transformers_for_the_same_weights(frames: int) -> None:
    transformers = pytest.importorskip("transformers", reason="test-only: make setup installs it")
    config = transformers.TimesformerConfig(
        image_size=32, patch_size=8, num_frames=frames, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=96, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=5,
    )  # fmt: skip
    theirs = transformers.TimesformerForVideoClassification(config).eval()
    for parameter in theirs.parameters():  # far from the initial values: nothing is zero, one or small
        nn.init.normal_(parameter, std=0.5)
    ours = TimeSformer(5, ViT(32, patch=8, width=48, depth=3, heads=4, mlp_ratio=2.0), frames).eval()
    ours.load_state_dict({name_here(name): value for name, value in theirs.state_dict().items()})
    x = torch.randn(3, frames, 3, 32, 32)
    expected = theirs(x).logits
    assert expected.std() > 1
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-4)


def test_at_the_start_a_frame_that_repeats_is_what_the_vit_makes_of_it() -> None:
    model, still = TimeSformer(3, vit_tiny(), frames=4).eval(), torch.randn(2, 3, 48, 48)
    expected = model.head(model.backbone(still))
    torch.testing.assert_close(model(still[:, None].expand(-1, 4, -1, -1, -1)), expected)


def test_attention_over_time_sees_only_its_own_place() -> None:
    temporal, x = TemporalAttention(16, heads=2, drop_path=0.0), torch.randn(3, 4, 16)
    nn.init.normal_(temporal.fc.weight)
    other = torch.cat((x[:1], torch.randn(2, 4, 16)))
    torch.testing.assert_close(temporal(x)[0], temporal(other)[0])
    assert not torch.allclose(temporal(x)[1:], temporal(other)[1:])


def test_full_timesformer_drops_paths_as_the_official_one() -> None:
    with torch.device("meta"):
        full = architectures.get("timesformer").sizes["full"].build(6)
    expected = torch.linspace(0, 0.1, 12).tolist()
    assert [layer.drop_path.drop_prob for layer in full.temporal] == pytest.approx(expected)
    assert [getattr(block.drop_path2, "drop_prob", 0.0) for block in full.backbone.blocks] == pytest.approx(expected)


def test_timesformer_refuses_a_clip_it_was_not_built_for() -> None:
    with pytest.raises(ValueError, match=r"needs clips of shape \(4, 3, 48, 48\), not \(5, 3, 48, 48\)"):
        TimeSformer(3, vit_tiny(), frames=4)(torch.randn(1, 5, 3, 48, 48))


def test_timesformer_runs_as_many_operators_for_more_frames() -> None:
    counts = [
        OperatorCount.of(TimeSformer(3, vit_tiny(), frames).eval(), torch.randn(2, frames, 3, 48, 48))
        for frames in (4, 8)
    ]
    assert counts[0] == counts[1] > 0


# TSM


@pytest.mark.parametrize("channels", [16, 17, 7, 24])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_shift_is_what_its_indices_say(channels: int, frames: int) -> None:
    x = torch.randn(3, frames, channels, 2, 2)
    expected, fold = torch.zeros_like(x), channels // 8
    for t in range(frames):
        for c in range(channels):
            source = t + 1 if c < fold else t - 1 if c < 2 * fold else t
            if 0 <= source < frames:
                expected[:, t, c] = x[:, source, c]
    assert torch.equal(temporal_shift(x.flatten(0, 1), frames).unflatten(0, (3, frames)), expected)


def test_without_its_shift_tsm_is_the_mean_of_torchvisions_resnet50(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = torchvision_resnet50(weights=None, num_classes=5).eval(), TSM(5, ShiftedResNet50()).eval()
    weights = theirs.state_dict()
    ours.classifier.load_state_dict({name: weights.pop(f"fc.{name}") for name in ("weight", "bias")})
    ours.backbone.load_state_dict(weights)
    x = torch.randn(2, 3, 3, 64, 64)
    shifted = ours(x)
    monkeypatch.setattr("ferbench.models.parts.temporal_shift.temporal_shift", lambda x, frames: x)
    expected = theirs(x.flatten(0, 1)).unflatten(0, (2, 3)).mean(dim=1)
    torch.testing.assert_close(ours(x), expected)
    assert not torch.allclose(shifted, expected, rtol=1e-3)


def test_without_its_shift_tiny_tsm_is_the_small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = resnet_tiny().eval(), ShiftedResNet((16, 32, 64, 128)).eval()
    ours.load_state_dict(theirs.state_dict())
    monkeypatch.setattr("ferbench.models.parts.temporal_shift.temporal_shift", lambda x, frames: x)
    x = torch.randn(2, 3, 3, 48, 48)
    torch.testing.assert_close(ours(x).flatten(0, 1), theirs(x.flatten(0, 1)))


def test_a_frame_of_tsm_sees_one_frame_more_each_way_a_block() -> None:
    backbone, x = ShiftedResNet((16, 32, 64, 128)).eval(), torch.randn(1, 12, 3, 48, 48, requires_grad=True)
    backbone(x)[0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[0].flatten(1).any(dim=1).tolist() == [True] * 5 + [False] * 7  # four blocks


# R(2+1)D


def test_r2plus1d_is_torchvisions_for_the_same_weights() -> None:
    theirs, ours = torchvision_r2plus1d_18(weights=None, num_classes=5).eval(), R2Plus1D(5, r2plus1d_18()).eval()
    weights = theirs.state_dict()
    ours.classifier.load_state_dict({name: weights.pop(f"fc.{name}") for name in ("weight", "bias")})
    ours.trunk.load_state_dict(weights)
    x = torch.randn(2, 5, 3, 32, 32)
    torch.testing.assert_close(ours(x), theirs(x.transpose(1, 2)))


def test_r2plus1d_of_8_frames_has_half_the_multiply_adds() -> None:
    with torch.device("meta"):
        model = R2Plus1D(6, r2plus1d_18())
    assert count_macs(model, (1, 8, 3, 112, 112)) == pytest.approx(20.26e9, rel=0.01)  # FACTS section 4


def test_tiny_r2plus1d_has_the_stages_of_the_full_one() -> None:
    with torch.device("meta"):
        tiny, full = ({name for name, _ in trunk.named_parameters()} for trunk in (r2plus1d_tiny(), r2plus1d_18()))
    assert tiny < full
    assert {name for name in full - tiny if name.split(".")[1] != "1"} == set(), "only second blocks"


# ViViT


def test_vivits_backbone_has_the_parameters_of_timms_vit() -> None:
    with torch.device("meta"):
        ours = architectures.get("vivit").sizes["full"].build(6).get_submodule("backbone")
        theirs = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
    shapes = [{name: p.shape for name, p in model.named_parameters()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_vivits_temporal_token_is_learned_not_drawn() -> None:
    model, x = ViViT(3, vit_tiny(), frames=4, heads=2, hidden=128).eval(), torch.randn(2, 4, 3, 48, 48)
    assert torch.equal(model(x), model(x))
    model(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in (model.temporal.token, model.temporal.position))


def test_vivit_reads_time_only_through_its_positions() -> None:
    model, features = ViViT(3, vit_tiny(), frames=4, heads=2, hidden=128).eval(), torch.randn(2, 4, 64)
    assert not torch.allclose(model.decode(features), model.decode(features.flip(1)), rtol=1e-3)
    nn.init.zeros_(model.temporal.position)
    torch.testing.assert_close(model.decode(features), model.decode(features.flip(1)))


def test_vivit_refuses_a_clip_it_was_not_built_for() -> None:
    model = ViViT(3, vit_tiny(), frames=8, heads=2, hidden=128)
    with pytest.raises(ValueError, match=r"needs clips of shape \(8, 3, 48, 48\), not \(9, 3, 48, 48\)"):
        model(torch.randn(1, 9, 3, 48, 48))


def test_vivit_runs_as_many_operators_for_more_frames() -> None:
    counts = [
        OperatorCount.of(ViViT(3, vit_tiny(), frames, heads=2, hidden=128).eval(), torch.randn(2, frames, 3, 48, 48))
        for frames in (4, 8)
    ]
    assert counts[0] == counts[1] > 0


# Precision


@pytest.mark.parametrize(("supported", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_bfloat16_is_for_processors_that_have_it(
    monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported)
    full, tiny = (architectures.get("r2plus1d").sizes[size] for size in ("full", "tiny"))
    assert (full.precision_on("cpu"), full.precision_on("cuda")) == (expected, "bfloat16")
    assert tiny.precision_on("cpu") == "float32"
