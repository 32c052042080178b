"""How much of real faces the rendered ones teach: a small CNN that saw only renderings, tried on photographs.

The CNN is the tiny ResNet of `models/parts/resnet.py` at 48x48. Frozen, its features feed a linear head that is fitted
on the folder's training images; its penalty is chosen on the validation part, and the test part is used once. The head
sees either the mean over the last feature maps (128 numbers) or the maps themselves (128 at 3x3 positions). Beside the
geometry pretext stand the same CNN with random weights and with the identity pretext, trained from scratch, and
fine-tuned from the geometry pretext.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.learning.batches import FrameBatches
from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.training import predict, train
from ferbench.benchmark.planning.data import locate, locate_folder, open_data
from ferbench.benchmark.planning.registry import data_sets
from ferbench.benchmark.planning.suite import cells_of, load_suite
from ferbench.datasets.splits import split
from ferbench.datasets.streams import number_of
from ferbench.models.architecture import Architecture, Size, Stage
from ferbench.models.parts.resnet import ResNet, resnet_tiny
from ferbench.models.weights import FOLDER, load_into

IMAGE_SIZE = 48
PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03)
"""Inverse strengths of the linear head's penalty, from which the validation part chooses."""
BATCH = 64
SCRATCH_STEPS = 600
TUNING_STEPS = 150


class Probe(nn.Module):
    """The CNN with a linear head on its feature maps: (N,3,48,48) -> (N,classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone: ResNet = resnet_tiny()
        self.head = nn.Linear(self.backbone.width * math.ceil(IMAGE_SIZE / 16) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone.maps(x).flatten(1))


def probe_rows(folder: Path | None, dataset: str, seeds: int) -> list[dict[str, Any]]:
    """Mean, lowest and highest test accuracy over seeds, a row for each way to start; and the floor.

    Without a folder the twin of the default suite is probed.
    """
    material = _material(folder, dataset)
    label = material.corpus.label
    majority = np.bincount(label[material.split.train]).argmax()
    floor = float((label[material.split.test] == majority).mean())
    rows: list[dict[str, Any]] = [{"features": "majority class", **_spread([floor])}]
    starts = {"random weights": None, "identity pretext": "identity-resnet", "geometry pretext": "geometry-resnet"}
    for readout in ("pooled", "maps"):
        for name, start in starts.items():
            found = [_linear_head(material, _probe(material, start, seed), readout) for seed in range(seeds)]
            rows.append({"features": f"{name}, frozen, linear head on {readout} features", **_spread(found)})
    for name, start, steps, lr in (
        (f"from scratch, about {SCRATCH_STEPS} steps", None, SCRATCH_STEPS, 2e-3),
        (f"geometry pretext, about {TUNING_STEPS} steps of fine-tuning", "geometry-resnet", TUNING_STEPS, 1e-3),
        (f"geometry pretext, about {SCRATCH_STEPS} steps of fine-tuning", "geometry-resnet", SCRATCH_STEPS, 1e-3),
    ):
        found = [_trained(material, _probe(material, start, seed), seed, steps, lr) for seed in range(seeds)]
        rows.append({"features": name, **_spread(found)})
    return rows


def _spread(found: list[float]) -> dict[str, float]:
    return {"accuracy": float(np.mean(found)), "lowest": min(found), "highest": max(found), "seeds": len(found)}


def _material(folder: Path | None, dataset: str) -> Material:
    """The folder's stills under the data set's protocol, fold 0."""
    if folder is None:
        location = locate(cells_of(*load_suite("default"), only_datasets=[dataset])[0], None)
        protocol = location.protocol
    else:
        protocol = data_sets.get(dataset).protocol
        location = locate_folder(dataset, folder, protocol)
    corpus, store = open_data(location, IMAGE_SIZE, lambda _: None)
    parts = split(corpus, protocol, 0, store.content)
    return Material(corpus, protocol, parts, store, "image", 1)


def _probe(material: Material, start: str | None, seed: int) -> Probe:
    torch.manual_seed(number_of(seed, "probe"))
    model = Probe(len(material.corpus.classes))
    if start is not None:
        load_into(model.backbone, FOLDER / f"{start}.safetensors")
    return model.to(memory_format=torch.channels_last)


def _run(seed: int) -> Run:
    return Run(torch.device("cpu"), "float32", True, seed, 1.0, lambda text, loss=None: None)


def _linear_head(material: Material, model: Probe, readout: str) -> float:
    """Test accuracy of a logistic regression on frozen features, of each training image and its mirror image."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model.eval()
    label = material.corpus.label
    parts = material.split
    plain, mirrored = (_features(material, model, parts.train, readout, flip) for flip in (False, True))
    train = np.concatenate([plain, mirrored])
    train_label = np.concatenate([label[_owners(material, parts.train)]] * 2)

    def head(penalty: float) -> Any:
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=300))
        return fitted.fit(train, train_label)

    def accuracy(fitted: Any, samples: NDArray[np.int64]) -> float:
        score = fitted.predict_proba(_features(material, model, samples, readout, False))
        owner = np.searchsorted(samples, _owners(material, samples))
        total = np.zeros((len(samples), score.shape[1]))
        np.add.at(total, owner, score)
        return float((fitted.classes_[total.argmax(1)] == label[samples]).mean())

    heads = [head(penalty) for penalty in PENALTIES]
    best = max(heads, key=lambda fitted: accuracy(fitted, parts.validation))
    return accuracy(best, parts.test)


def _owners(material: Material, samples: NDArray[np.int64]) -> NDArray[np.int64]:
    return material.instances(samples).sample


@torch.inference_mode()
def _features(
    material: Material, model: Probe, samples: NDArray[np.int64], readout: str, flip: bool
) -> NDArray[np.float32]:
    """(I,F) features of the samples' images: the mean over the feature maps, or the maps."""
    read = FrameBatches(material, _run(0), "none")
    frames = material.instances(samples).frames
    found = []
    for chunk in np.array_split(frames, math.ceil(len(frames) / 256)):
        images = read(chunk, None)
        maps = model.backbone.maps(images.flip(-1) if flip else images)
        found.append((maps.mean(dim=(2, 3)) if readout == "pooled" else maps.flatten(1)).numpy())
    return np.concatenate(found)


def _trained(material: Material, model: Probe, seed: int, steps: int, lr: float) -> float:
    """Test accuracy after training all of the CNN; the validation part chooses the epoch."""
    images = len(material.instances(material.split.train))
    stage = Stage(epochs=max(1, round(steps * BATCH / images)), batch_size=BATCH, lr=lr, weight_decay=0.02)
    size = Size(build=Probe, image_size=IMAGE_SIZE, stages=(stage,), channels_last=True)
    probe = Architecture("probe", "Probe", "image", "", {"tiny": size})
    run = _run(seed)
    train(model, probe, size, material, run)
    samples = material.split.test
    score = predict(model, FrameBatches(material, run, "none"), material, samples, run)
    return float((score.argmax(1) == material.corpus.label[samples]).mean())
