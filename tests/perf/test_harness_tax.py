"""What the harness costs on top of a bare loop: the same model, tensors, batches and steps, written by hand.

The two are run in turns, so that whatever else the machine does falls on both; the figure to read is the ratio in
`extra_info` (goal: at most 1.03). The harness keeps its state as a cell does.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
import pytest
import torch
from torch import nn

from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.resuming import Keeper
from ferbench.benchmark.learning.training import train
from ferbench.benchmark.planning.registry import architectures
from ferbench.datasets.augmentation import augment, normalise
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.frames import FrameStore
from ferbench.datasets.splits import Split
from ferbench.models.architecture import Size, Stage

ROUNDS = 9
STAGE = Stage(epochs=1, batch_size=32, lr=1e-3, weight_decay=0.01, selection="last")


def material(samples: int, image_size: int, tmp_path) -> Material:
    """Random stills of 8 classes; the validation part is one sample, since the bare loop validates nothing."""
    rng = np.random.default_rng(0)
    place = np.arange(samples)
    corpus = Corpus(
        dataset="noise",
        root=tmp_path,
        classes=tuple("abcdefgh"),
        frames=tuple(map(str, place)),
        track_start=np.arange(samples + 1),
        track_subject=(None,) * samples,
        sample_id=tuple(map(str, place)),
        track=place,
        start=place,
        stop=place + 1,
        label=rng.integers(8, size=samples),
        part=("train",) * samples,
    )
    pixels = rng.integers(256, size=(samples, image_size, image_size, 3), dtype=np.uint8)
    store = FrameStore(pixels, np.ones(samples, dtype=np.uint64), place)
    split = Split(place[:-1], place[-1:], place[-1:])
    return Material(corpus, Protocol(1, 1, "training_neutral"), split, store, "image", 1)


def bare_epoch(model: nn.Module, data: Material) -> None:
    """One epoch as anyone would write it."""
    update = torch.optim.AdamW(model.parameters(), lr=STAGE.lr, weight_decay=STAGE.weight_decay, fused=True)
    loss_of = nn.CrossEntropyLoss()
    generator = torch.Generator().manual_seed(0)
    order = np.random.default_rng(0).permutation(data.split.train)
    model.train()
    for rows in np.array_split(order, math.ceil(len(order) / STAGE.batch_size)):
        images = augment(normalise(torch.from_numpy(data.store.read(rows)))[:, None], STAGE.augmentation, generator)
        loss = loss_of(model(images[:, 0]), torch.from_numpy(data.corpus.label[rows]))
        update.zero_grad(set_to_none=True)
        loss.backward()
        update.step()


@pytest.mark.parametrize("name", ["vit_se"])
def test_harness_tax(benchmark, name, tmp_path):
    architecture = architectures.get(name)
    tiny = architecture.sizes["tiny"]
    data = material(samples=961, image_size=tiny.image_size, tmp_path=tmp_path)
    size = Size(tiny.build, tiny.image_size, (STAGE,), channels_last=tiny.channels_last)
    run = Run(
        torch.device("cpu"), "float32", tiny.channels_last, 0, 1.0, lambda text, loss=None: None,
        keeper=Keeper(tmp_path / "state.pt"),
    )  # fmt: skip
    torch.set_num_threads(1)
    inside, outside = [], []

    def both() -> None:
        one, other = tiny.build(8), tiny.build(8)
        began = time.perf_counter()
        bare_epoch(one, data)
        between = time.perf_counter()
        train(other, architecture, size, data, run)
        run.keeper.forget()
        outside.append(between - began)
        inside.append(time.perf_counter() - between)

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    ratio = statistics.median(i / o for i, o in zip(inside[1:], outside[1:], strict=True))
    benchmark.extra_info["ratio of the harness to the bare loop"] = round(ratio, 4)
    print(f"\nharness tax on {name}: {ratio:.3f}")
