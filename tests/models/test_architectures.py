"""The contract of an architecture file: every file of models/ is held to it, without a test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from operator_count import OperatorCount
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from benchmark.efficiency import count_macs, count_parameters, macs_by_module
from benchmark.registry import architectures
from models.architecture import Architecture, Stage

NAMES = architectures.names()
CLIP_NAMES = [name for name in NAMES if architectures.get(name).view in ("clip", "sequence")]
READING_NAMES = [name for name in NAMES if any(stage.reads for stage in architectures.get(name).sizes["tiny"].stages)]

# Whether an image size and a number of frames are free by the paper. One that is not listed may do either.
SIZES_TAKEN = {
    "c3d": (False, False),
    "cnn": (True, True),
    "cnn_embedding_average": (True, False),
    "cnn_frame_average": (True, True),
    "cnn_lstm_attention": (True, True),
    "cnn_rnn": (True, True),
    "cnn_self_attention": (True, False),
    "cnn_self_attention_sum": (True, True),
    "cnn_transformer": (True, True),
    "cnn_vit": (True, False),
    "difference_of_embeddings": (True, False),
    "r2plus1d": (True, True),
    "senet50": (True, True),
    "tsm": (True, True),
    "vit_se": (False, False),
    "vivit": (False, False),
}

# FACTS section 4, column "built for the task": number of classes, parameters, multiply-adds.
FULL_SIZE = {
    "c3d": (6, 26.99e6, 0.173e9),
    "cnn": (7, 23.52e6, 3.858e9),  # VGGFace2's build; with torchvision's strides 4.09e9, see test_abaw.py
    "cnn_lstm_attention": (6, 11.28e6, 8 * (0.214e9 + 8 * 960**2 + 960**2)),  # "about 1.8 G": frame, LSTM, attention
    "cnn_rnn": (7, 27.75e6, 34.7e9),
    "cnn_transformer": (7, 39.3e6, 34.7e9 + 9 * 14.2e6),  # the second is the layers' share; FACTS has no figure
    "difference_of_embeddings": (8, 3.51e6, 2 * 0.214e9),  # two images; the head is 0.0005 G
    "r2plus1d": (6, 31.30e6, 40.52e9),
    "senet50": (7, 26.05e6, 3.858e9),
    "tsm": (6, 23.52e6, 32.70e9),
    "vit_se": (8, 86.69e6, 17.56e9),
    "vivit": (6, 103.08e6, 141e9),
}


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=NAMES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return architectures.get(request.param)


def build(architecture: Architecture, classes: int = 4, seed: int = 0) -> nn.Module:
    """The tiny model, in evaluation mode."""
    torch.manual_seed(seed)
    return architecture.sizes["tiny"].build(classes).eval()


def samples(architecture: Architecture, count: int) -> Tensor:
    """Smooth random pictures, all different, about as large as normalised pixels are."""
    *outer, height, width = architecture.input_shape("tiny", count)
    coarse = torch.randn(count * (outer[1] if len(outer) == 3 else 1), 3, 6, 6)
    return interpolate(coarse, (height, width), mode="bilinear").reshape(*outer, height, width)


def settled(model: nn.Module, x: Tensor) -> nn.Module:
    """In evaluation mode, with the running statistics of `x`: at the initial ones a signal all but vanishes."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def frozen_as_in(model: nn.Module, stage: Stage) -> nn.Module:
    """In training mode, with the stage's frozen submodules as the harness leaves them."""
    model.train()
    for name in stage.frozen:
        model.get_submodule(name).requires_grad_(False).eval()
    return model


# What it declares


def test_it_declares_both_sizes_and_where_it_comes_from(architecture: Architecture) -> None:
    assert set(architecture.sizes) == {"full", "tiny"}
    assert architecture.title
    assert architecture.source


def test_stages_and_weights_name_submodules_that_exist(architecture: Architecture) -> None:
    for size in architecture.sizes.values():
        with torch.device("meta"):
            names = {name for name, _ in size.build(3).named_modules()}
        for stage in size.stages:
            assert set(stage.frozen) <= names
            assert not stage.reads or stage.reads in stage.frozen, "features are computed once: they must not change"
            assert not stage.reads or stage.augmentation != "heavy", "features are computed once: mirrored at most"
        assert {weights.into for weights in size.weights} <= names


@pytest.mark.parametrize("name", READING_NAMES)
def test_decoding_a_frozen_submodules_features_is_the_forward_pass(name: str) -> None:
    architecture = architectures.get(name)
    model, x = build(architecture), samples(architecture, 3)
    frames = x.flatten(0, -4)
    for stage in (stage for stage in architecture.sizes["tiny"].stages if stage.reads):
        features = model.get_submodule(stage.reads)(frames).unflatten(0, x.shape[:-3])
        torch.testing.assert_close(model.decode(features), model(x))


# Shapes


@pytest.mark.parametrize(("batch", "classes"), [(1, 2), (3, 7)])
def test_one_row_of_logits_a_sample(architecture: Architecture, batch: int, classes: int) -> None:
    logits = build(architecture, classes)(samples(architecture, batch))
    rows = (batch, architecture.sizes["tiny"].frames) if architecture.view == "sequence" else (batch,)
    assert logits.shape == (*rows, classes)


def takes_or_refuses(architecture: Architecture, frames: int, height: int, width: int) -> bool:
    """Whether the tiny model took an input of this size; asserts that it gave the right shape or the right words."""
    outer = (2,) if architecture.view == "image" else (2, frames)
    try:
        logits = build(architecture)(torch.randn(*outer, 3, height, width))
    except (ValueError, AssertionError) as error:
        built_for = architecture.sizes["tiny"]
        if not any(words in str(error) for words in (str(built_for.image_size), f"{built_for.frames} frames")):
            raise  # it must name the size that it was built for
        return False
    assert logits.shape == ((2, frames, 4) if architecture.view == "sequence" else (2, 4))
    return True


@pytest.mark.parametrize(("height", "width"), [(64, 64), (56, 72)])
def test_another_image_size_is_taken_or_refused_in_words(architecture: Architecture, height: int, width: int) -> None:
    taken = takes_or_refuses(architecture, architecture.sizes["tiny"].frames, height, width)
    assert taken == SIZES_TAKEN.get(architecture.name, (taken,))[0]


@pytest.mark.parametrize("frames", [7, 11, 16])
@pytest.mark.parametrize("name", CLIP_NAMES)
def test_another_number_of_frames_is_taken_or_refused_in_words(name: str, frames: int) -> None:
    taken = takes_or_refuses(architectures.get(name), frames, 48, 48)
    assert taken == SIZES_TAKEN.get(name, (None, taken))[1]


# Learning


def test_gradient_reaches_what_trains_and_nothing_that_is_frozen(architecture: Architecture) -> None:
    for stage in architecture.sizes["tiny"].stages:
        model = frozen_as_in(build(architecture), stage)
        model(samples(architecture, 4)).square().sum().backward()
        for name, parameter in model.named_parameters():
            if any(name.startswith(f"{frozen}.") for frozen in stage.frozen):
                assert parameter.grad is None, name
            else:
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
                assert parameter.ndim < 2 or parameter.grad.any(), name


def test_it_learns_eight_samples_by_heart(architecture: Architecture) -> None:
    x, y = samples(architecture, 8), torch.arange(8) % 4
    model = frozen_as_in(settled(build(architecture), x), architecture.sizes["tiny"].stages[-1])
    rows = y[:, None].expand(-1, x.shape[1]) if architecture.view == "sequence" else y
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    for _ in range(60):
        optimizer.zero_grad()
        cross_entropy(model(x).flatten(0, -2), rows.flatten()).backward()
        optimizer.step()
    assert torch.equal(model.eval()(x).argmax(-1), rows)


# Numbers


def test_a_samples_logits_do_not_depend_on_its_batch(architecture: Architecture) -> None:
    x = samples(architecture, 5)
    model = settled(build(architecture), x)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-4, atol=1e-5)


def test_finite_in_half_precision(architecture: Architecture) -> None:
    model = frozen_as_in(build(architecture), architecture.sizes["tiny"].stages[0])
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(samples(architecture, 4))
    logits.float().square().mean().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_the_seed_alone_decides_the_initial_weights(architecture: Architecture) -> None:
    one, same, other = (build(architecture, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_weights_survive_a_file(architecture: Architecture, tmp_path: Path) -> None:
    model, x = build(architecture, seed=1), samples(architecture, 2)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    copy = build(architecture, seed=2)
    copy.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(model(x), copy(x))


# Time


def order_counts(architecture: Architecture, model: nn.Module, x: Tensor) -> bool:
    """Whether turning clips round changes the answer."""
    forwards, backwards = model(x), model(x.flip(1))
    if architecture.view == "sequence":
        backwards = backwards.flip(1)
    # Far above rounding: an order that counted only in the seventh digit would not be modelled.
    return bool((forwards - backwards).abs().max() > 1e-4 * forwards.abs().max())


@pytest.mark.parametrize("name", CLIP_NAMES)
def test_frame_order_matters_exactly_where_time_is_modelled(name: str) -> None:
    architecture = architectures.get(name)
    x = samples(architecture, 2)
    model = settled(build(architecture), x)
    matters = order_counts(architecture, model, x)
    if not matters:  # attention that starts all but uniform hides the order; stronger weights show it
        with torch.no_grad():
            for weight in (p for p in model.parameters() if p.ndim == 2):
                weight.mul_(4)
        matters = order_counts(architecture, model, x)
    assert matters == architecture.models_time


@pytest.mark.parametrize("name", CLIP_NAMES)
def test_frames_are_folded_into_the_batch_not_looped_over(name: str) -> None:
    architecture = architectures.get(name)
    frames, size = architecture.sizes["tiny"].frames, architecture.sizes["tiny"].image_size
    if not takes_or_refuses(architecture, 2 * frames, size, size):
        pytest.skip("built for one number of frames")
    counts = [OperatorCount.of(build(architecture), torch.randn(2, times * frames, 3, size, size)) for times in (1, 2)]
    assert counts[0] == counts[1] > 0


# Size


@pytest.mark.parametrize("name", FULL_SIZE)
def test_full_size_is_the_papers(name: str) -> None:
    classes, parameters, macs = FULL_SIZE[name]
    architecture = architectures.get(name)
    with torch.device("meta"):
        model = architecture.sizes["full"].build(classes)
    assert count_parameters(model) == pytest.approx(parameters, rel=0.01)
    assert count_macs(model, architecture.input_shape("full")) == pytest.approx(macs, rel=0.01)


def test_tiny_size_is_made_for_a_cpu(architecture: Architecture) -> None:
    model = build(architecture)
    frames = architecture.sizes["tiny"].frames
    assert count_macs(model, architecture.input_shape("tiny")) / frames < 12e6
    assert count_parameters(model) < 2e6


def test_two_counters_agree_on_multiply_adds(architecture: Architecture) -> None:
    model, shape = build(architecture), architecture.input_shape("tiny", batch=2)
    by_module = macs_by_module(model, shape)
    assert by_module[""] == pytest.approx(count_macs(model, shape), rel=0.01)
    assert sum(by_module[name] for name, _ in model.named_children()) == pytest.approx(by_module[""], rel=0.02)
