"""The contract of an architecture file: every file of models/ is held to it, without a test of its own."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from operator_count import OperatorCount
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from ferbench.benchmark.errors import RequestError
from ferbench.benchmark.learning.folding import folded
from ferbench.benchmark.measures.efficiency import count_macs, count_parameters, macs_by_module
from ferbench.benchmark.planning.registry import architectures
from ferbench.models.architecture import Architecture, Stage, View
from ferbench.models.parts.vit import vit_tiny
from ferbench.models.weights import start_weights
from tests.benchmark.learning.test_folding import norms, with_statistics

NAMES = [
    name
    for base in architectures.names()
    for name in (base, *(f"{base}@{v}" for v in architectures.get(base).variants))
]
"""Every architecture, each followed by the variants that its file defines."""
CLIP_NAMES = [name for name in NAMES if architectures.get(name).view in ("clip", "sequence")]
READING_NAMES = [
    name
    for name in NAMES
    if any(s.reads and not (s.view or s.through) for s in architectures.get(name).sizes["tiny"].stages)
]
"""Those that train on what a frozen part has read, in a stage that is the whole model."""

SMALL_NAMES = [name for name in NAMES if "small" in architectures.get(name).sizes]

# Whether an image size and a number of frames are free by the paper. One that is not listed may do either.
OTHER_LENGTH = 4
"""Frames of a clip that hardly any tiny size has."""
SIZES_TAKEN = {
    "apvit": (False, False),
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
    "dan": (True, True),
    "ddamfn": (False, False),
    "difference_of_embeddings": (True, False),
    "disentangled_difference_of_embeddings": (True, False),
    "eac": (True, True),
    "efficientnet_lstm": (True, True),
    "efficientnet_tcn": (True, True),
    "former_dfer": (False, False),
    "ial": (False, False),
    "m3dfel": (True, False),
    "poster_v2": (False, False),
    "r2plus1d": (True, True),
    "residual_attention": (True, False),
    "residual_attention_ed_tcn": (True, True),
    "residual_attention_ms_tcn": (True, True),
    "resnet_lstm": (True, True),
    "senet50": (True, True),
    "timesformer": (False, False),
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
    "residual_attention": (9, 83.20e6 - 32.77e6, 10.53e9),  # the seed's build without what it never uses: its docstring
    "residual_attention_ms_tcn": (9, 83.20e6 - 32.77e6 + 0.796e6, 12 * 10.53e9 + 0.009e9),
    "senet50": (7, 26.05e6, 3.858e9),
    "timesformer": (6, 121.26e6, 196e9),
    "tsm": (6, 23.52e6, 32.70e9),
    "vit_se": (8, 86.69e6, 17.56e9),
    "vivit": (6, 103.08e6, 141e9),
    # Methods of the field: what their own code builds without what it never uses; the docstrings compare the papers.
    "apvit": (7, 65.21e6, 12.65e9),
    "dan": (7, 19.72e6, 2.225e9),
    "dfer_clip": (7, 89.97e6, 70.58e9),
    "ddamfn": (7, 4.106e6, 0.5396e9),
    "eac": (7, 23.52e6, 3.856e9),
    "emotieffnet": (8, 4.018e6, 0.385e9),
    "former_dfer": (7, 18.03e6, 8.30e9),
    "ial": (7, 18.80e6, 5.624e9),
    "m3dfel": (7, 46.82e6, 43.19e9),
    "ma_net": (7, 50.55e6, 3.638e9),
    "mae_dfer": (7, 83.83e6, 47.04e9),
    "poster_v2": (7, 43.75e6, 8.592e9),
    "s2d": (7, 95.62e6, 313.1e9),
}


UNFOLDED = {
    "cnn_self_attention_sum": 1,  # over frames, after no convolution
    "dan": 5,  # of the logits, and of features in each head, after linear layers
    "disentangled_difference_of_embeddings": 12,  # of the identity branch, which is not asked
    "residual_attention": 17,  # before a unit's first convolution, where the shortcut reads as well
    "residual_attention_ed_tcn": 17,
    "residual_attention_ms_tcn": 17,
}
"""Batch normalisations that no convolution can take over."""


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(params=NAMES)
def architecture(request: pytest.FixtureRequest) -> Architecture:
    return architectures.get(request.param)


def base_of(name: str) -> str:
    """Name of an architecture without its variant."""
    return name.partition("@")[0]


def build(architecture: Architecture, classes: int = 4, seed: int = 0) -> nn.Module:
    """The tiny model, in evaluation mode."""
    torch.manual_seed(seed)
    return architecture.sizes["tiny"].build(classes).eval()


def samples(architecture: Architecture, count: int, view: View | None = None) -> Tensor:
    """Smooth random pictures, all different, about as large as normalised pixels are; under the view of a stage."""
    *outer, _, height, width = replace(architecture, view=view or architecture.view).input_shape("tiny", count)
    coarse = torch.randn(math.prod(outer), 3, 6, 6)
    return interpolate(coarse, (height, width), mode="bilinear").reshape(*outer, 3, height, width)


def settled(model: nn.Module, x: Tensor) -> nn.Module:
    """In evaluation mode, with the running statistics of `x`: at the initial ones a signal all but vanishes."""
    model = woken(model)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    model.train()(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()


def woken(model: nn.Module) -> nn.Module:
    """With small random numbers where weights start from zero on purpose, which keep from training what lies behind."""
    for parameter in model.parameters():
        if parameter.ndim >= 2 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model


def stages_of(architecture: Architecture) -> tuple[Stage, ...]:
    """The stages of the tiny size; where others bring everything that there is to train, one that trains all of it."""
    return architecture.sizes["tiny"].stages or (Stage(),)


def read(model: nn.Module, stage: Stage, x: Tensor) -> Tensor:
    """What the stage sends through the model: `x`, under the stage's view, or what a frozen part makes of it."""
    return model.get_submodule(stage.reads)(x.flatten(0, -4)).unflatten(0, x.shape[:-3]) if stage.reads else x


def answer(model: nn.Module, stage: Stage, inputs: Tensor) -> Tensor:
    """What the stage trains: logits of what it reads."""
    method = stage.through or ("decode" if stage.reads else "")
    return getattr(model, method)(inputs) if method else model(inputs)


def through(model: nn.Module, stage: Stage, x: Tensor) -> Tensor:
    """Logits of `x`, which is under the stage's view."""
    return answer(model, stage, read(model, stage, x))


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy, summed over the heads that a model may show in training."""
    heads = logits if logits.ndim == truth.ndim + 2 else logits[None]
    return torch.stack([cross_entropy(head.flatten(0, -2), truth.flatten()) for head in heads]).sum()


def lessened(model: nn.Module, stage: Stage, inputs: Tensor, truth: Tensor) -> Tensor:
    """The loss that the stage lessens."""
    if stage.objective:
        found: Tensor = getattr(model, stage.objective)(inputs, truth, loss_of)
        return found
    return loss_of(answer(model, stage, inputs), truth)


def labels(architecture: Architecture, stage: Stage, x: Tensor) -> Tensor:
    """Four classes in turn, one a sample, or one a frame of it."""
    truth = torch.arange(len(x)) % 4
    return truth[:, None].expand(-1, x.shape[1]) if (stage.view or architecture.view) == "sequence" else truth


def frozen_as_in(model: nn.Module, stage: Stage) -> nn.Module:
    """In training mode, with the stage's frozen submodules as the harness leaves them."""
    model.train()
    for name in stage.frozen:
        model.get_submodule(name).requires_grad_(False).eval()
    return model


# What it declares


def test_it_declares_both_sizes_and_where_it_comes_from(architecture: Architecture) -> None:
    assert {"full", "tiny"} <= set(architecture.sizes) <= {"full", "small", "tiny"}
    assert architecture.title
    assert architecture.source


def test_stages_and_weights_name_submodules_that_exist(architecture: Architecture) -> None:
    for size in architecture.sizes.values():
        with torch.device("meta"):
            model = size.build(3)
        names = {name for name, _ in model.named_modules()}
        for stage in size.stages:
            assert set(stage.frozen) <= names
            assert not stage.through or callable(getattr(model, stage.through))
            assert not stage.objective or callable(getattr(model, stage.objective))
            assert not stage.reads or stage.reads in stage.frozen, "features are computed once: they must not change"
            assert not stage.reads or stage.augmentation != "heavy", "features are computed once: mirrored at most"
        assert {loaded.into for loaded in (*size.weights, *size.trained)} <= names


@pytest.mark.parametrize("name", READING_NAMES)
def test_decoding_a_frozen_submodules_features_is_the_forward_pass(name: str) -> None:
    architecture = architectures.get(name)
    model, x = build(architecture), samples(architecture, 3)
    frames = x.flatten(0, -4)
    for stage in (s for s in architecture.sizes["tiny"].stages if s.reads and not (s.view or s.through)):
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
    assert taken == SIZES_TAKEN.get(base_of(architecture.name), (taken,))[0]


@pytest.mark.parametrize("frames", [7, 11, 16])
@pytest.mark.parametrize("name", CLIP_NAMES)
def test_another_number_of_frames_is_taken_or_refused_in_words(name: str, frames: int) -> None:
    architecture = architectures.get(name)
    taken = takes_or_refuses(architecture, frames, 48, 48)
    free = SIZES_TAKEN.get(base_of(name), (None, taken))[1]
    assert taken == (free or frames == architecture.sizes["tiny"].frames)


# Learning


def test_gradient_reaches_what_trains_and_nothing_that_is_frozen(architecture: Architecture) -> None:
    for stage in stages_of(architecture):
        model, x = frozen_as_in(woken(build(architecture)), stage), samples(architecture, 4, stage.view)
        if stage.objective:
            lessened(model, stage, read(model, stage, x), labels(architecture, stage, x)).backward()
        else:
            through(model, stage, x).square().sum().backward()
        for name, parameter in model.named_parameters():
            if any(name.startswith(f"{frozen}.") for frozen in stage.frozen):
                assert parameter.grad is None, name
            else:
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
                assert parameter.ndim < 2 or parameter.grad.any(), name


def test_each_stage_learns_eight_samples_by_heart(architecture: Architecture) -> None:
    for stage in stages_of(architecture):
        x = samples(architecture, 8, stage.view)
        truth = labels(architecture, stage, x)
        model = settled(build(architecture), samples(architecture, 8))
        assert steps_to_learn(model, stage, x, truth) <= 120, stage.name


def steps_to_learn(model: nn.Module, stage: Stage, x: Tensor, truth: Tensor) -> int:
    """Steps of Adam, looked at every tenth, after which the stage's part of the model has no sample wrong."""
    frozen_as_in(model, stage)
    inputs = read(model, stage, x)  # once, as the harness does
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    for step in range(1, 122):
        optimizer.zero_grad()
        lessened(model, stage, inputs, truth).backward()
        optimizer.step()
        if step % 10 == 0:
            with torch.no_grad():
                found = answer(model.eval(), stage, inputs).argmax(-1)
            if torch.equal(found, truth):
                return step
            frozen_as_in(model, stage)
    return step


# Numbers


def test_a_samples_logits_do_not_depend_on_its_batch(architecture: Architecture) -> None:
    x = samples(architecture, 5)
    model = settled(build(architecture), x)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-4, atol=1e-5)


def test_finite_in_half_precision(architecture: Architecture) -> None:
    for stage in stages_of(architecture):
        model = frozen_as_in(build(architecture), stage)
        # oneDNN's weight gradient of R(2+1)D's narrow convolutions over time is now and then not finite on a CPU with
        # avx512_bf16 (torch 2.15): what is asked here is the architecture, which no size trains like that there.
        with torch.backends.mkldnn.flags(enabled=False):
            with torch.autocast("cpu", torch.bfloat16):
                logits = through(model, stage, samples(architecture, 4, stage.view))
            logits.float().square().mean().backward()
        assert logits.isfinite().all()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_folding_away_what_normalises_a_batch_changes_no_answer(architecture: Architecture) -> None:
    model = with_statistics(build(architecture))
    x = samples(architecture, 2)
    with torch.inference_mode():
        torch.testing.assert_close(folded(model)(x), model(x), rtol=1e-4, atol=1e-5)
    assert norms(folded(model)) == UNFOLDED.get(base_of(architecture.name), 0)


def test_attention_is_fused_but_in_training_in_half_precision_on_a_cpu() -> None:
    def operators(train: bool, half: bool) -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return OperatorCount.of(vit_tiny().train(train), torch.randn(2, 3, 48, 48))

    plain = operators(train=True, half=True) - operators(train=False, half=True)
    assert plain >= 3 * len(vit_tiny().blocks)  # two products and a softmax of each layer, in the place of one operator
    assert operators(train=True, half=False) == operators(train=False, half=False)
    vit, x = vit_tiny().train(), torch.randn(2, 3, 48, 48)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(vit(x), vit.eval()(x), rtol=0.05, atol=0.05)


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


@pytest.mark.parametrize("name", CLIP_NAMES)
def test_frame_order_matters_exactly_where_time_is_modelled(name: str) -> None:
    architecture = architectures.get(name)
    x = samples(architecture, 2)
    model, x = settled(build(architecture), x).double(), x.double()
    with torch.no_grad():
        forwards, backwards = model(x), model(x.flip(1))
    if architecture.view == "sequence":
        backwards = backwards.flip(1)
    # In double precision rounding is 1e-15. At random weights attention can make all frames alike but for 1e-6.
    matters = bool((forwards - backwards).abs().max() > 1e-9 * forwards.abs().max())
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


@pytest.fixture(params=SMALL_NAMES)
def small(request: pytest.FixtureRequest) -> Architecture:
    """An architecture whose tiny size is its small one, for what is asked of a tiny size."""
    base = architectures.get(request.param)
    return replace(base, sizes={"tiny": base.sizes["small"]})


def test_small_size_is_made_for_real_faces_on_a_cpu(small: Architecture) -> None:
    size, model = small.sizes["tiny"], build(small)
    start_weights(model, size)
    assert 48 <= size.image_size <= 112
    assert count_macs(model, small.input_shape("tiny")) / size.frames < 150e6
    assert count_parameters(model) < 10e6
    assert not size.trained, "a budget is the row's own"
    assert all(stage.max_samples is None for stage in size.stages)


def test_small_size_is_held_to_what_a_tiny_one_is(small: Architecture) -> None:
    test_stages_and_weights_name_submodules_that_exist(small)
    test_one_row_of_logits_a_sample(small, 2, 7)
    test_gradient_reaches_what_trains_and_nothing_that_is_frozen(small)


def test_two_counters_agree_on_multiply_adds(architecture: Architecture) -> None:
    model, shape = build(architecture), architecture.input_shape("tiny", batch=2)
    by_module = macs_by_module(model, shape)
    assert by_module[""] == pytest.approx(count_macs(model, shape), rel=0.01)
    assert sum(by_module[name] for name, _ in model.named_children()) == pytest.approx(by_module[""], rel=0.02)


# Variants


@pytest.mark.parametrize("name", [name for name in CLIP_NAMES if "@" not in name])
def test_every_clip_has_a_variant_of_shuffled_frames(name: str) -> None:
    base, variant = architectures.get(name), architectures.get(f"{name}@shuffled")
    assert (variant.name, variant.title) == (f"{name}@shuffled", f"{base.title} (frames shuffled)")
    assert variant.sizes == {size: replace(s, shuffle_frames=True) for size, s in base.sizes.items()}


@pytest.mark.parametrize("name", [name for name in CLIP_NAMES if "@" not in name])
def test_a_variant_of_another_clip_length_is_built_for_it_or_refused_in_words(name: str) -> None:
    base = architectures.get(name)
    if f"frames={OTHER_LENGTH}" in base.variants or takes_or_refuses(base, OTHER_LENGTH, 48, 48):
        variant = architectures.get(f"{name}@frames={OTHER_LENGTH}")
        assert variant.title == f"{base.title} ({OTHER_LENGTH} frames)"
        assert variant.input_shape("tiny") == (1, OTHER_LENGTH, 3, 48, 48)
        assert build(variant)(samples(variant, 2)).shape[0] == 2
    else:
        with pytest.raises(RequestError, match=rf"architecture '{name}@frames={OTHER_LENGTH}': .*frames"):
            architectures.get(f"{name}@frames={OTHER_LENGTH}")


def test_a_variants_recipe_is_its_bases() -> None:
    for name in NAMES:
        base, variant = architectures.get(base_of(name)), architectures.get(name)
        assert variant.title.startswith(base.title)
        for size, of_base in base.sizes.items():
            assert variant.sizes[size].stages[-1] == of_base.stages[-1] if of_base.stages else True, name
            assert variant.sizes[size].image_size == of_base.image_size
