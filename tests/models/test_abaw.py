"""The Aff-Wild2 study's architectures against their libraries, plain references and what their files say of them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet50 as torchvision_resnet50

from ferbench.benchmark.measures.efficiency import count_macs, count_parameters
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.cnn_embedding_average import EmbeddingAverage
from ferbench.models.cnn_frame_average import FrameAverage
from ferbench.models.cnn_rnn import RecurrentHead
from ferbench.models.cnn_self_attention import ConcatenatedFrames
from ferbench.models.cnn_self_attention_sum import SummedFrames
from ferbench.models.cnn_transformer import TransformerHead
from ferbench.models.cnn_vit import ViTHead
from ferbench.models.parts.attention_over_frames import AttentionOverFrames
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.sinusoids import sinusoids
from ferbench.models.parts.token_vit import TokenViT
from ferbench.models.parts.vggface2 import VGGFace2ResNet50, VGGFace2SEResNet50
from ferbench.models.senet50 import SEResNet

TEMPORAL = (
    "cnn_embedding_average", "cnn_frame_average", "cnn_rnn", "cnn_self_attention", "cnn_self_attention_sum",
    "cnn_transformer", "cnn_vit",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


# VGGFace2's backbones


def test_resnet50_has_the_weights_of_torchvisions_and_caffes_strides() -> None:
    with torch.device("meta"):
        ours, theirs = VGGFace2ResNet50(), torchvision_resnet50(weights=None)
    shapes = [{n: p.shape for n, p in m.state_dict().items() if not n.startswith("fc.")} for m in (ours, theirs)]
    assert shapes[0] == shapes[1]
    image = (1, 3, 224, 224)
    assert count_macs(ours, image) == pytest.approx(3.858e9, rel=0.01)
    assert count_macs(theirs, image) == pytest.approx(4.089e9, rel=0.01)  # FACTS section 4, of torchvision's build


def test_resnet50_computes_what_caffes_strides_say() -> None:
    theirs, ours = torchvision_resnet50(weights=None).eval(), VGGFace2ResNet50().eval()
    ours.load_state_dict(theirs.state_dict(), strict=False)
    theirs.fc = nn.Identity()
    theirs.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    for stage in (theirs.layer2, theirs.layer3, theirs.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_senet50_is_timms_legacy_build_for_the_same_weights() -> None:
    theirs, ours = timm.create_model("legacy_seresnet50", num_classes=0).eval(), VGGFace2SEResNet50().eval()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_with_open_gates_the_tiny_senet_is_the_small_resnet() -> None:
    ours, theirs, x = SEResNet(resnet_tiny()).eval(), resnet_tiny().eval(), torch.randn(2, 3, 48, 48)
    ours.resnet.load_state_dict(theirs.state_dict())
    assert not torch.allclose(ours(x), theirs(x), rtol=1e-3)
    for gate in ours.gates:
        nn.init.constant_(gate.gate[2].bias, 100.0)
    torch.testing.assert_close(ours(x), theirs(x))


# What starts from the trained CNN


@pytest.mark.parametrize("name", TEMPORAL)
@pytest.mark.parametrize("size", ["full", "tiny"])
def test_the_trained_cnns_backbone_fits(name: str, size: str) -> None:
    cnn, architecture = architectures.get("cnn"), architectures.get(name)
    assert cnn.lends
    with torch.device("meta"):
        lender, borrower = (a.sizes[size].build(4) for a in (cnn, architecture))
    for trained in architecture.sizes[size].trained:
        mine, theirs = borrower.get_submodule(trained.into), lender.get_submodule(trained.part)
        assert {n: p.shape for n, p in mine.state_dict().items()} == {
            n: p.shape for n, p in theirs.state_dict().items()
        }


@pytest.mark.parametrize("name", ["cnn_rnn", "cnn_transformer", "cnn_vit"])
def test_the_seeds_two_stage_models_are_two_stage_at_every_size(name: str) -> None:
    for called, size in architectures.get(name).sizes.items():
        *before, last = size.stages
        assert last.frozen == ("backbone",)
        assert size.frames == 9
        if called == "small":  # trains it itself
            assert [(stage.view, stage.through) for stage in before] == [("image", "still")]
        else:
            assert [(t.architecture, t.part, t.into) for t in size.trained] == [("cnn", "backbone", "backbone")]
            assert not before


def test_a_frozen_cnn_makes_up_most_of_the_work() -> None:
    with torch.device("meta"):
        model = architectures.get("cnn_vit").sizes["full"].build(7)
    head = count_parameters(model) - count_parameters(model.backbone)
    assert head == pytest.approx(12 * 7.088e6 + 1.57e6, rel=0.01)  # the layers of ViT-B, and the projection


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (ConcatenatedFrames(3, 16, 8), "this self-attention needs clips of 9 frames, not 8"),
        (EmbeddingAverage(3, 16, 8), "this embedding average needs clips of 9 frames, not 8"),
        (ViTHead(3, 16, 8, depth=1, heads=2, dropout=0.0), "this CNN-ViT needs clips of 9 frames, not 8"),
    ],
)
def test_a_head_refuses_a_clip_it_was_not_built_for(head: nn.Module, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        head(torch.randn(2, 8, 16))


# CNN-RNN


def test_the_middle_frame_hears_of_every_frame() -> None:
    x = torch.randn(1, 9, 16, requires_grad=True)
    RecurrentHead(3, 16, 8)(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad[0].any(dim=1).all()


def test_of_one_direction_the_middle_frame_is_the_last_that_is_read() -> None:
    head, x = RecurrentHead(3, 16, 8).eval(), torch.randn(2, 9, 16)
    nn.init.zeros_(head.classifier.weight[:, 4:])  # the four that come from behind
    later = x.clone()
    later[:, 5:] = torch.randn(2, 4, 16)
    assert torch.equal(head(x), head(later))


# CNN-Transformer


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(5, 8)
    for t in range(5):
        for i in range(4):
            angle = t / 10_000 ** (2 * i / 8)
            assert found[t, 2 * i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert found[t, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_without_its_positions_the_transformer_takes_frames_as_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    head, x = TransformerHead(3, 16, 8, heads=2, dropout=0.5).eval(), torch.randn(2, 9, 16)
    shuffled = x[:, [8, 3, 1, 2, 4, 0, 7, 6, 5]]  # the middle one stays
    assert not torch.allclose(head(x), head(shuffled), rtol=1e-3)
    monkeypatch.setattr("ferbench.models.cnn_transformer.sinusoids", torch.zeros)
    torch.testing.assert_close(head(x), head(shuffled))


# CNN-ViT


def test_the_transformers_weights_are_those_of_vit_base() -> None:
    with torch.device("meta"):
        ours, theirs = TokenViT(9, 768, 12, 12, 0.5), timm.create_model("vit_base_patch16_224", num_classes=0)
    mine, others = ({n: p.shape for n, p in m.state_dict().items()} for m in (ours, theirs))
    assert {n for n in others if n not in mine} == {"patch_embed.proj.weight", "patch_embed.proj.bias"}
    assert {n for n in mine if mine[n] != others[n]} == {"pos_embed"}  # ten places, not 197


# Averages


def test_the_frame_average_is_the_mean_of_the_frames_scores() -> None:
    head, x = FrameAverage(3, 16, 8).eval(), torch.randn(2, 9, 16)
    torch.testing.assert_close(head(x), torch.stack([head(x[:, t : t + 1]) for t in range(9)]).mean(dim=0))


def test_the_embedding_average_sees_one_number_a_frame() -> None:
    head, x = EmbeddingAverage(3, 16, 8).eval(), torch.randn(2, 9, 16)
    one_number = head.norm(head.projection(x)).mean(dim=2)  # (B,T)
    torch.testing.assert_close(head(x), one_number @ head.classifier.weight.T + head.classifier.bias)


def test_with_the_seeds_gains_of_one_the_embedding_average_would_be_blind() -> None:
    head, x = EmbeddingAverage(3, 16, 8).eval(), torch.randn(2, 9, 16)
    assert (head(x) - head.classifier.bias).abs().max() > 1e-3
    nn.init.ones_(head.norm.weight)
    torch.testing.assert_close(head(x), head.classifier.bias.expand(2, 3))


# Self-attention


def plain_attention(layer: nn.MultiheadAttention, x: Tensor) -> Tensor:
    """(B,T,F) -> (B,T,F), head by head."""
    q, k, v = (x @ w.T + b for w, b in zip(layer.in_proj_weight.chunk(3), layer.in_proj_bias.chunk(3), strict=True))
    width = x.shape[2] // layer.num_heads
    heads = []
    for i in range(layer.num_heads):
        part = slice(i * width, (i + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width)
        heads.append(scores.softmax(dim=-1) @ v[..., part])
    return torch.cat(heads, dim=-1) @ layer.out_proj.weight.T + layer.out_proj.bias


def test_attention_over_frames_is_what_its_formula_says() -> None:
    attention, x = AttentionOverFrames(16, 8).eval(), torch.randn(2, 9, 16)
    expected = attention.norm(attention.projection(x))
    for layer, norm in zip(attention.layers, attention.norms, strict=True):
        assert isinstance(layer, nn.MultiheadAttention)
        expected = norm(plain_attention(layer, expected))
    torch.testing.assert_close(attention(x), expected)


@pytest.mark.parametrize(("head", "reads_order"), [(ConcatenatedFrames, True), (SummedFrames, False)])
def test_only_frames_side_by_side_keep_their_order(head: Callable[..., nn.Module], reads_order: bool) -> None:
    model, x = head(3, 16, 8).eval(), torch.randn(2, 9, 16)
    for layer in model.attention.layers:
        nn.init.normal_(layer.in_proj_weight)  # as initialised, attention makes the frames of a clip all but equal
    assert torch.allclose(model(x), model(x.flip(1)), rtol=1e-3, atol=1e-5) != reads_order
