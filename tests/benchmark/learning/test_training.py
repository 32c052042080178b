"""The one training loop, on a corpus of random colours with an architecture that is defined here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning import training
from ferbench.benchmark.learning.batches import FeatureBatches, FrameBatches
from ferbench.benchmark.learning.features import PROBE, Shelf
from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.recipe import Plan, batches_of, learning_rate, loss_function, plan_of, smoothing_loss
from ferbench.benchmark.learning.steps import objective_of
from ferbench.benchmark.learning.training import DivergedError, predict, predict_with, train
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.frames import FrameStore
from ferbench.datasets.splits import split
from ferbench.datasets.views import Instances, instances
from ferbench.models.architecture import Architecture, Size, Stage, View

CLASSES = ("red", "green", "blue")
SUBJECTS, FRAMES, PIXELS = 20, 5, 6


class Toy(nn.Module):
    """Mean colour of each frame -> features -> mean over the frames, dropout -> classes."""

    def __init__(self, classes: int, lost: float = 0.0, per_frame: bool = False) -> None:
        super().__init__()
        self.per_frame = per_frame
        self.encoder = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8))
        self.dropout = nn.Dropout(lost)
        self.head = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        batch = x.shape[:-3]
        return self.decode(self.encoder(x.flatten(0, -4)).unflatten(0, batch))

    def classify(self, x: Tensor) -> Tensor:
        """(B,3,H,W) of an image, whatever the view."""
        return self.head(self.encoder(x))

    def decode(self, features: Tensor) -> Tensor:
        """(B,F) of an image, (B,K,F) of a pair or a clip; of a sequence every frame's scores, from two heads in
        training."""
        if self.per_frame:
            scores = self.head(self.dropout(features))
            return torch.stack([scores, scores]) if self.training else scores
        pooled = features if features.ndim == 2 else features.mean(dim=1)
        return self.head(self.dropout(pooled))


def toy(*stages: Stage, view: str = "clip", **build: Any) -> Architecture:
    build.setdefault("per_frame", view == "sequence")
    size = Size(lambda classes: Toy(classes, **build), image_size=PIXELS, stages=stages, frames=3)
    return Architecture("toy", "Toy", view, "a test", {"tiny": size})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def material() -> Material:
    """20 people, three sequences of five frames each, with one colour a little stronger than the others."""
    rng = np.random.default_rng(0)
    samples = SUBJECTS * len(CLASSES)
    label = np.arange(samples) % len(CLASSES)
    bounds = np.arange(0, samples * FRAMES + 1, FRAMES)
    images = rng.integers(60, 160, (samples * FRAMES, PIXELS, PIXELS, 3))
    for i, c in enumerate(np.repeat(label, FRAMES)):
        images[i, ..., c] += 40
    corpus = Corpus(
        dataset="colours", root=Path("nowhere"), classes=CLASSES,
        frames=tuple(f"{i}.png" for i in range(len(images))), track_start=bounds,
        track_subject=tuple(f"P{i // 3:02d}" for i in range(samples)),
        sample_id=tuple(f"sample {i}" for i in range(samples)), track=np.arange(samples),
        start=bounds[:-1], stop=bounds[1:], label=label, part=("",) * samples,
    )  # fmt: skip
    content = np.arange(1, len(images) + 1, dtype=np.uint64)
    store = FrameStore(images.astype(np.uint8), content, np.arange(len(images)))
    protocol = Protocol(folds=4, image_frames=2, neutral="first_frame")
    return Material(corpus, protocol, split(corpus, protocol, 0, content), store, "clip", 3)


def run_of(seed: int = 0, epochs: float = 1.0) -> Run:
    return Run(torch.device("cpu"), "float32", False, seed, epochs, report=lambda text, loss=None: None)


def trained(
    architecture: Architecture, material: Material, run: Run | None = None
) -> tuple[Toy, list[dict[str, Any]], np.ndarray]:
    """The model after training, its history and its probabilities of the test part."""
    run, size = run or run_of(), architecture.sizes["tiny"]
    material = replace(material, view=architecture.view, frames=3)
    torch.manual_seed(run.seed)
    model = size.build(len(CLASSES))
    history = train(model, architecture, size, material, run)
    probability = predict(model, FrameBatches(material, run, "none"), material, material.split.test, run)
    return model, history, probability  # type: ignore[return-value]


QUICK = Stage(epochs=3, batch_size=8, lr=0.02)


@pytest.mark.parametrize("view", ["image", "pair", "clip", "sequence"])
def test_every_view_learns_the_colours(material: Material, view: str) -> None:
    _, history, probability = trained(toy(replace(QUICK, epochs=6), view=view), material)
    labels = material.corpus.label[material.split.test]
    assert (probability.argmax(1) == labels).mean() > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-6)


def test_history_has_an_entry_an_epoch(material: Material) -> None:
    stages = (replace(QUICK, name="one", epochs=2), replace(QUICK, name="two", epochs=3))
    _, history, _ = trained(toy(*stages), material)
    assert [(entry["stage"], entry["epoch"]) for entry in history] == [
        ("one", 1), ("one", 2), ("two", 1), ("two", 2), ("two", 3),
    ]  # fmt: skip
    assert {entry["samples"] for entry in history} == {len(material.split.train)}
    assert all(entry["seconds"] > 0 and 0 <= entry["val_abaw"] <= 1 for entry in history)


def test_a_frozen_part_does_not_change(material: Material) -> None:
    first, second = replace(QUICK, name="all"), replace(QUICK, name="head", frozen=("encoder",))
    after_one, _, _ = trained(toy(first), material)
    after_two, history, _ = trained(toy(first, second), material)
    moved = {entry["stage"]: entry["moved"] for entry in history}
    frozen = sum(parameter.numel() for parameter in after_two.get_submodule("encoder").parameters())
    assert moved["all"] == moved["head"] + frozen == sum(parameter.numel() for parameter in after_two.parameters())
    for name, before in after_one.state_dict().items():  # running statistics of the batch norm included
        assert torch.equal(before, after_two.state_dict()[name]) == name.startswith("encoder"), name


@pytest.mark.parametrize("view", ["image", "pair", "clip"])
def test_reading_features_gives_the_predictions_of_reading_frames(material: Material, view: str) -> None:
    frames = Stage(epochs=3, batch_size=8, lr=0.02, augmentation="none", frozen=("encoder",))
    features = replace(frames, reads="encoder")
    # Without the mirror image that features are augmented with, the two differ by rounding alone.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "flip", lambda x, *_: x)
        from_features = trained(toy(features, view=view), material)[2]
    np.testing.assert_allclose(from_features, trained(toy(frames, view=view), material)[2], atol=1e-4)


def test_features_of_frames_that_a_two_frame_clip_may_draw_are_there(material: Material) -> None:
    stage = replace(QUICK, augmentation="none", frozen=("encoder",), reads="encoder")
    architecture = toy(stage)
    size = replace(architecture.sizes["tiny"], frames=2)
    model = size.build(len(CLASSES))
    history = train(model, architecture, size, replace(material, frames=2), run_of())
    assert len(history) == 3


def test_one_seed_gives_the_same_predictions_bit_for_bit_and_another_seed_others(material: Material) -> None:
    architecture = toy(replace(QUICK, augmentation="heavy"), lost=0.3)
    one, again, other = (trained(architecture, material, run_of(seed))[2] for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_another_architecture_in_between_changes_nothing(material: Material) -> None:
    architecture = toy(replace(QUICK, augmentation="light"), lost=0.3)
    before = trained(architecture, material)[2]
    trained(toy(QUICK, view="image"), material, run_of(5))
    assert np.array_equal(before, trained(architecture, material)[2])


def test_the_test_part_is_not_looked_at_in_training(material: Material) -> None:
    hidden = material.store.frames.copy()
    for i in material.split.test:
        hidden[material.corpus.start[i] : material.corpus.stop[i]] = 0
    blind = replace(material, store=replace(material.store, frames=hidden))
    seen = trained(toy(QUICK), material)[0].state_dict()
    for name, value in trained(toy(QUICK), blind)[0].state_dict().items():
        assert torch.equal(value, seen[name])


def test_the_best_epoch_of_the_validation_part_is_kept(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    quality = iter([(0.2, -1.0), (0.6, -1.0), (0.6, -0.9), (0.6, -1.1), (0.5, -0.1)])
    kept: list[Tensor] = []

    def validate(forward: Toy, *_: object) -> tuple[float, float]:
        kept.append(forward.head.weight.detach().clone())
        return next(quality)

    monkeypatch.setattr("ferbench.benchmark.learning.training.validate", validate)
    model, history, _ = trained(toy(replace(QUICK, epochs=5)), material)
    assert [entry["val_abaw"] for entry in history] == [0.2, 0.6, 0.6, 0.6, 0.5]
    assert torch.equal(model.head.weight, kept[2])
    assert not torch.equal(kept[2], kept[4])


def test_a_stage_may_keep_its_last_epoch(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Tensor] = []

    def validate(forward: Toy, *_: object) -> tuple[float, float]:
        kept.append(forward.head.weight.detach().clone())
        return -float(len(kept)), 0.0

    monkeypatch.setattr("ferbench.benchmark.learning.training.validate", validate)
    model, _, _ = trained(toy(replace(QUICK, selection="last")), material)
    assert torch.equal(model.head.weight, kept[-1])


def test_a_model_may_make_its_own_loss_of_the_stages(material: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    def mirrored(model: Toy, inputs: Tensor, truth: Tensor, loss: Any) -> Tensor:
        return loss(model(inputs), truth) + loss(model(inputs.flip(-1)), truth)

    monkeypatch.setattr(Toy, "mirrored", mirrored, raising=False)
    stage = replace(QUICK, epochs=1, optimizer="sgd", lr=1e-9, augmentation="none")
    alone, doubled = (trained(toy(replace(stage, objective=name)), material)[1] for name in ("", "mirrored"))
    assert doubled[0]["train_loss"] == pytest.approx(2 * alone[0]["train_loss"], rel=0.05)


class OfRows(nn.Module):
    """A loss that is linear in the truths."""

    def forward(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs[:, 0] * truth).sum()


def test_mixup_sums_the_losses_of_a_mixed_input_by_its_shares() -> None:
    stage = replace(QUICK, mixup=0.5)
    seen: list[Tensor] = []

    def forward(inputs: Tensor) -> Tensor:
        seen.append(inputs)
        return inputs

    inputs, truth = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    objective = objective_of(Toy(3), stage, forward, OfRows())
    torch.manual_seed(0)
    found = objective(inputs, truth)

    torch.manual_seed(0)
    share, other = float(torch.distributions.Beta(0.5, 0.5).sample()), torch.randperm(6)
    assert 0 < share < 1
    assert not torch.equal(other, truth)
    assert torch.allclose(seen[0], share * inputs + (1 - share) * inputs[other])
    assert float(found) == pytest.approx(float((seen[0][:, 0] * (share * truth + (1 - share) * other)).sum()))


def test_mixup_changes_what_is_learned_and_is_drawn_again_the_same(material: Material) -> None:
    plain, mixed, again = (
        trained(toy(replace(QUICK, mixup=strength)), material)[1][0]["train_loss"] for strength in (0.0, 1.0, 1.0)
    )
    assert plain != mixed == again


def test_a_loss_of_the_models_own_refuses_mixed_inputs() -> None:
    with pytest.raises(ValueError, match="stage 'train': inputs cannot be mixed"):
        Stage(objective="mirrored", mixup=0.2)


def test_a_loss_that_is_no_number_is_an_error(material: Material) -> None:
    with pytest.raises(DivergedError, match=r"the training loss is nan in epoch 1 of stage 'train': lower its rate"):
        trained(toy(replace(QUICK, optimizer="sgd", lr=1e30, warmup=0.0)), material)


def test_the_model_ends_in_evaluation_mode(material: Material) -> None:
    assert not trained(toy(QUICK, lost=0.5), material)[0].training


def test_the_budget_scales_epochs_and_leaves_one() -> None:
    assert [plan_of(Stage(epochs=30), factor, 100).epochs for factor in (1, 0.1, 0.001)] == [30, 3, 1]
    capped = Stage(epochs=30, max_samples=1_000)
    assert [plan_of(capped, 1, inputs).epochs for inputs in (10, 100, 5_000)] == [30, 10, 1]


def test_a_larger_budget_raises_a_cap_with_it() -> None:
    capped = Stage(epochs=30, max_samples=1_000)
    assert [plan_of(capped, factor, 4_000) for factor in (0.5, 1, 3, 12)] == [
        Plan(1, 1_000), Plan(1, 1_000), Plan(1, 3_000), Plan(3, 12_000),
    ]  # fmt: skip


def test_where_one_epoch_is_too_much_a_random_part_of_it_is_trained_on(material: Material) -> None:
    whole, part = (trained(toy(replace(QUICK, epochs=3, max_samples=most)), material)[1] for most in (None, 10))
    assert len(whole) == 3
    assert whole[0]["samples"] > 10
    assert [epoch["samples"] for epoch in part] == [10]


@pytest.mark.parametrize(
    ("inputs", "size", "sizes"),
    [
        (10, 4, [4, 3, 3]),
        (11, 2, [3, 2, 2, 2, 2]),
        (3, 2, [3]),
        (1, 2, [2]),
        (1, 32, [2]),
        (2, 32, [2]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_no_batch_has_a_single_input(inputs: int, size: int, sizes: list[int]) -> None:
    dealt = batches_of(np.arange(inputs), size)
    assert [len(rows) for rows in dealt] == sizes
    assert set(np.concatenate(dealt).tolist()) == set(range(inputs))


def test_a_single_training_input_is_trained_on(material: Material) -> None:
    few = replace(
        material,
        split=replace(material.split, train=material.split.train[:1]),
        protocol=replace(material.protocol, image_frames=1),
    )
    history = trained(toy(replace(QUICK, batch_size=2), view="image"), few)[1]
    assert [epoch["samples"] for epoch in history] == [1, 1, 1]


def test_the_rate_never_rises_after_its_warm_up_where_epochs_have_not_as_many_inputs(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    draws = iter([40, 40, 41, 25, 40, 24, 41, 24])  # inputs of an epoch; the first time they are counted

    def drawn(self: Material, samples: NDArray[np.int64], rng: np.random.Generator | None = None) -> Instances:
        whole = instances("image", self.corpus, self.protocol, samples, 1, self.split.train, rng)
        if samples is not self.split.train:
            return whole
        count = next(draws)
        return Instances(whole.frames[:count], whole.sample[:count])

    def step(*arguments: Any) -> Tensor:
        rates.append(arguments[1].param_groups[0]["lr"])
        return torch.zeros(())

    monkeypatch.setattr(Material, "instances", drawn)
    monkeypatch.setattr(training, "training_step", step)
    trained(toy(Stage(epochs=7, batch_size=8, lr=1.0), view="image"), material)
    assert len(rates) == 5 + 6 + 4 + 5 + 3 + 6 + 3
    peak = int(np.argmax(rates))
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 0.05


def test_the_learning_rate_rises_and_falls() -> None:
    stage = Stage(lr=1.0, warmup=0.2)
    rates = [learning_rate(stage, step, 50) for step in range(50)]
    assert np.argmax(rates) == 10
    assert rates[10] == 1.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] < 0.01
    constant = Stage(lr=1.0, warmup=0.0, schedule="constant")
    assert {learning_rate(constant, step, 50) for step in range(50)} == {1.0}


def test_class_weights_have_a_mean_of_one_over_the_samples() -> None:
    labels = np.repeat([0, 1], [90, 10])
    stage = Stage(class_weights="sqrt_inverse")
    weight = loss_function(stage, labels, 2, torch.device("cpu")).cross_entropy.weight
    assert isinstance(weight, Tensor)
    assert float((weight[0] * 90 + weight[1] * 10) / 100) == pytest.approx(1)
    assert float(weight[1] / weight[0]) == pytest.approx(3)


def test_a_stage_may_see_images_before_another_sees_clips(material: Material) -> None:
    first = replace(QUICK, name="frames", epochs=4, view="image", through="classify")
    second = replace(QUICK, name="clips", epochs=2, frozen=("encoder",), reads="encoder")
    _, history, probability = trained(toy(first, second), material)
    images = [entry["samples"] for entry in history if entry["stage"] == "frames"]
    clips = [entry["samples"] for entry in history if entry["stage"] == "clips"]
    assert images == [2 * n for n in (len(material.split.train),)] * 4  # the protocol's last two frames each
    assert clips == [len(material.split.train)] * 2
    labels = material.corpus.label[material.split.test]
    assert (probability.argmax(1) == labels).mean() > 0.9


@pytest.mark.parametrize("view", ["image", "pair", "clip", "sequence"])
def test_features_read_once_give_the_scores_of_the_whole_model(material: Material, view: View) -> None:
    architecture = toy(replace(QUICK, frozen=("encoder",), reads="encoder"), view=view)
    model, _, probability = trained(architecture, material)
    seen = replace(material, view=view)
    with_features = predict_with(model, architecture.sizes["tiny"], seen, material.split.test, run_of())
    np.testing.assert_allclose(with_features, probability, atol=1e-6)


def test_half_of_the_features_are_those_of_mirrored_frames(material: Material) -> None:
    torch.manual_seed(0)
    model = Toy(len(CLASSES)).eval()
    stage = replace(QUICK, frozen=("encoder",), reads="encoder", augmentation="light")
    seen = replace(material, view="image")
    frames = np.resize(seen.frames_seen(np.arange(len(material.corpus))), 200)[:, None]
    plain = FrameBatches(seen, run_of(), "none")(frames, None)
    with torch.inference_mode():
        sides = torch.stack([model.encoder(plain), model.encoder(plain.flip(-1))])
    found = FeatureBatches(seen, run_of(), model, stage)(frames, torch.Generator().manual_seed(0))
    nearest = (found - sides).abs().amax(dim=2)  # (2,200)
    assert (nearest.min(dim=0).values < 1e-6).all()
    assert 70 < int((nearest[1] < nearest[0]).sum()) < 130
    tested = FeatureBatches(seen, run_of(), model, replace(stage, augmentation="none"))
    torch.testing.assert_close(tested(frames, None), sides[0])
    torch.testing.assert_close(FeatureBatches(seen, run_of(), model, stage)(frames, None), sides[0])


def test_another_cell_on_the_same_frozen_part_reads_no_frame_again(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = toy(replace(QUICK, frozen=("encoder",), reads="encoder"))
    counted: list[int] = []
    read = FrameStore.read
    monkeypatch.setattr(FrameStore, "read", lambda store, frames: counted.append(frames.size) or read(store, frames))

    def run_fold(fold: int, shelf: Shelf | None) -> tuple[list[Tensor], list[dict[str, Any]]]:
        counted.clear()
        parts = split(material.corpus, material.protocol, fold, material.store.content)
        torch.manual_seed(0)
        model, run = architecture.sizes["tiny"].build(len(CLASSES)), replace(run_of(), shelf=shelf)
        history = train(model, architecture, architecture.sizes["tiny"], replace(material, split=parts), run)
        return list(model.parameters()), history

    first, _ = run_fold(0, Shelf(tmp_path))
    assert sum(counted) == 2 * (PROBE + len(material.corpus.frames))  # as they are, and mirrored
    alone, _ = run_fold(0, None)
    assert all(torch.equal(a, b) for a, b in zip(first, alone, strict=True))
    for file in tmp_path.glob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": 1000.0}))
    other, history = run_fold(1, Shelf(tmp_path))
    assert sum(counted) == 2 * PROBE
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    read_by_it = 1 - len(material.split.test) / len(material.corpus)
    assert history[0]["seconds"] == pytest.approx(2000 * read_by_it, abs=50)  # the cell bears its share all the same
    assert history[1]["seconds"] < 50


def test_the_loss_of_two_equal_heads_is_twice_that_of_one() -> None:
    loss = loss_function(Stage(smoothing=0.15), np.array([0, 1, 2]), 3, torch.device("cpu"))
    output, label = torch.randn(4, 5, 3), torch.randint(3, (4, 5))
    torch.testing.assert_close(loss(torch.stack([output, output]), label), 2 * loss(output, label))


def test_frames_without_a_label_are_left_out_of_the_loss() -> None:
    loss = loss_function(Stage(), np.array([0, 1, 2]), 3, torch.device("cpu"))
    output, label = torch.randn(2, 5, 3), torch.tensor([[0, 1, -1, 2, -1], [-1, -1, -1, -1, 1]])
    known = label >= 0
    torch.testing.assert_close(loss(output, label), F.cross_entropy(output[known], label[known]))


def test_smoothing_is_that_of_a_plain_loop() -> None:
    log_probability = (3 * torch.randn(3, 6, 4)).log_softmax(-1)
    errors = [
        min(4.0, abs(float(log_probability[b, t, c] - log_probability[b, t - 1, c]))) ** 2
        for b in range(3) for t in range(1, 6) for c in range(4)
    ]  # fmt: skip
    assert max(errors) == 16  # some are cut
    assert float(smoothing_loss(log_probability)) == pytest.approx(np.mean(errors), rel=1e-5)
    free = log_probability.requires_grad_(True)
    smoothing_loss(free).backward()
    assert free.grad is not None
    assert (free.grad[:, 0] == 0).all()  # nothing reaches the earlier frame


@pytest.mark.parametrize("view", ["image", "clip", "sequence"])
def test_a_value_is_learned_and_judged_by_video(material: Material, view: View) -> None:
    rng = np.random.default_rng(1)
    target = np.linspace(-1, 1, len(CLASSES))[material.corpus.label] + rng.normal(0, 0.05, len(material.corpus))
    corpus = replace(
        material.corpus, classes=("valence",), label=np.zeros_like(material.corpus.label), target=target,
        track=material.corpus.track // 3, track_start=material.corpus.track_start[::3],
        track_subject=material.corpus.track_subject[::3],
    )  # fmt: skip
    architecture = toy(replace(QUICK, epochs=8), view=view)
    size = architecture.sizes["tiny"]
    seen = replace(material, corpus=corpus, view=view)
    torch.manual_seed(0)
    model = size.build(1)
    history = train(model, architecture, size, seen, run_of())
    value = predict_with(model, size, seen, seen.split.test, run_of())
    assert value.shape == (len(seen.split.test), 1)
    quality, _ = seen.task.quality(seen.split.test, value)
    assert quality > 0.9
    assert history[-1]["val_ccc"] > 0.9
