"""What the frame store saves: ratios in one run against the usual way, which reads the files anew each epoch.

The two sides of each pair are run in turns, so that whatever else the machine does falls on both. The usual way has a
worker process a core; the store's side makes batches for as many cells as there are cores, each on one thread. Both
make the same changes at the same strengths. On a machine that does other things the usual way's many processes win time
from them: there the ratios are too low.
Goals: images 10 times (light) and 4 times (heavy) as many a second, clips 50 times, a frozen backbone's features 7
times over 10 epochs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.models import mobilenet_v3_large

from ferbench.benchmark.learning.material import Material, Run
from ferbench.benchmark.learning.training import train
from ferbench.benchmark.records.provenance import available_cores
from ferbench.datasets.augmentation import MEAN, STD, STRENGTHS, augment, normalise
from ferbench.datasets.corpus import Corpus
from ferbench.datasets.dataset import Protocol
from ferbench.datasets.frames import FrameStore, open_store
from ferbench.datasets.splits import Split
from ferbench.models.architecture import Architecture, Size, Stage

PIXELS = 112
BATCH = 32
ROUNDS = 5
EPOCHS = 4
"""What the store's side reads again, in one round."""
IMAGES, VIDEOS, LENGTH, SEEN = 512, 8, 64, 8


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def painted(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """A picture with as much detail as a photograph: noise of all scales."""
    rng = np.random.default_rng(seed)
    layers = [rng.normal(size=(height // s + 1, width // s + 1, 3)).repeat(s, 0).repeat(s, 1) for s in (64, 16, 4, 1)]
    weights = (40, 20, 8, 3)
    mixed = sum(w * layer[:height, :width] for w, layer in zip(weights, layers, strict=True))
    return np.clip(mixed + 128, 0, 255).astype(np.uint8)


def corpus_of(root: Path, frames: list[str], length: int) -> Corpus:
    """Samples of `length` frames each, in two classes."""
    samples = len(frames) // length
    bounds = np.arange(samples + 1, dtype=np.int64) * length
    return Corpus(
        dataset="perf",
        root=root,
        classes=("a", "b"),
        frames=tuple(frames),
        track_start=bounds,
        track_subject=tuple(map(str, range(samples))),
        sample_id=tuple(map(str, range(samples))),
        track=np.arange(samples),
        start=bounds[:-1],
        stop=bounds[1:],
        label=np.arange(samples) % 2,
        part=("train",) * samples,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """JPEG files of 224 pixels a side, as AffectNet's crops, in a folder a class."""
    root = tmp_path_factory.mktemp("images")
    names = []
    for i in range(IMAGES):
        names.append(f"{'ab'[i % 2]}/{i}.jpg")
        (root / names[-1]).parent.mkdir(exist_ok=True)
        Image.fromarray(painted(i, 224, 224)).save(root / names[-1], quality=90)
    return corpus_of(root, names, 1)


@pytest.fixture(scope="module")
def store(images: Corpus, tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    return open_store(images, PIXELS, tmp_path_factory.mktemp("cache"), "x")


def in_turns(benchmark: BenchmarkFixture, usual: Callable[[], int], ours: Callable[[], int], what: str) -> None:
    """Times both ways and shows how many times as many items a second ours makes."""
    rates: dict[str, list[float]] = {"usual": [], "ours": []}

    def rate(way: Callable[[], int]) -> float:
        began = time.perf_counter()
        return way() / (time.perf_counter() - began)

    def both() -> None:
        rates["usual"].append(rate(usual))
        rates["ours"].append(rate(ours))

    benchmark.pedantic(both, rounds=ROUNDS, warmup_rounds=1)
    ratio = statistics.median(o / u for o, u in zip(rates["ours"][1:], rates["usual"][1:], strict=True))
    benchmark.extra_info["ratio to the usual way"] = round(ratio, 2)
    middle = {name: statistics.median(found[1:]) for name, found in rates.items()}
    print(f"\n{what}: {middle['ours']:.0f}/s against {middle['usual']:.0f}/s, {ratio:.1f} times as many")


def usual_transforms(level: str) -> transforms.Compose:
    """The changes of `datasets.augmentation`, as torchvision makes them of one Pillow image."""
    strength = STRENGTHS[level]
    low, high = 1 - strength.scale, 1 + strength.scale
    steps = [
        transforms.Resize(PIXELS),
        transforms.RandomAffine(strength.rotation, (strength.shift, strength.shift), (low, high)),
        transforms.RandomHorizontalFlip(),
        transforms.ColorJitter(strength.brightness, strength.contrast),
        *([transforms.RandomGrayscale(strength.grey)] if strength.grey else []),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
        *([transforms.RandomErasing(1.0, (0.02, strength.erasing**2))] if strength.erasing else []),
    ]
    return transforms.Compose(steps)


@pytest.mark.parametrize("level", ["light", "heavy"])
def test_images(benchmark: BenchmarkFixture, images: Corpus, store: FrameStore, level: str) -> None:
    """An epoch of batches from the warm store against ImageFolder with a worker a core, its workers kept alive."""
    folder = ImageFolder(str(images.root), usual_transforms(level))
    loader = DataLoader(folder, BATCH, shuffle=True, num_workers=available_cores(), persistent_workers=True)

    def usual() -> int:
        return sum(len(batch) for batch, _ in loader)

    def ours() -> int:  # several epochs: one is too short to time
        orders = [np.random.default_rng(epoch).permutation(IMAGES)[:, None] for epoch in range(EPOCHS)]
        return batches_of_cells(store, [b for o in orders for b in np.array_split(o, IMAGES // BATCH)], level)

    in_turns(benchmark, usual, ours, f"images, {level} augmentation")


def batch_of(store: FrameStore, frames: NDArray[np.int64], level: str, generator: torch.Generator) -> Tensor:
    """What a cell does for a batch."""
    return augment(normalise(torch.from_numpy(store.read(frames))), level, generator)


def batches_of_cells(store: FrameStore, batches: list[NDArray[np.int64]], level: str) -> int:
    """Makes all batches, by a cell a core side by side; returns how many samples that were."""
    cells = available_cores()

    def cell(number: int) -> int:
        generator = torch.Generator().manual_seed(number)
        return sum(len(batch_of(store, frames, level, generator)) for frames in batches[number::cells])

    with ThreadPoolExecutor(cells) as pool:
        return sum(pool.map(cell, range(cells)))


class VideoClips(Dataset[Tensor]):
    """The usual way of clips: each is decoded from its video when it is wanted, and its frames are transformed."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.transform = transforms.Compose(
            [transforms.Resize(PIXELS), transforms.CenterCrop(PIXELS), transforms.ToTensor(),
             transforms.Normalize(MEAN, STD)]
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> Tensor:
        wanted = set(np.linspace(0, LENGTH - 1, SEEN).astype(int).tolist())
        with av.open(str(self.files[i])) as video:
            frames = [f.to_image() for place, f in enumerate(video.decode(video=0)) if place in wanted]
        return torch.stack([self.transform(frame) for frame in frames])


def write_video(file: Path, seed: int) -> None:
    """320x240 at 25 frames a second, a picture that drifts."""
    wide = painted(seed, 240 + LENGTH, 320 + LENGTH)
    with av.open(str(file), "w") as video:
        stream = video.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for t in range(LENGTH):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(wide[t : t + 240, t : t + 320]), format="rgb24")
            video.mux(stream.encode(frame))
        video.mux(stream.encode())


def test_clips(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """Clips of 8 of 64 frames from the warm store against PyAV each epoch, with a worker a core."""
    names = []
    for i in range(VIDEOS):
        write_video(tmp_path / f"{i}.mp4", i)
        names += [f"{i}.mp4#t={t / 25:.3f}" for t in range(LENGTH)]
    store = open_store(corpus_of(tmp_path, names, LENGTH), PIXELS, tmp_path / "cache", "x")
    assert not store.missing.any()
    clips = VideoClips([tmp_path / f"{i}.mp4" for i in range(VIDEOS)])
    loader = DataLoader(clips, VIDEOS // 2, num_workers=available_cores(), persistent_workers=True)
    places = np.linspace(0, LENGTH - 1, SEEN).astype(np.int64)

    def usual() -> int:
        return sum(len(batch) for batch in loader)

    def ours() -> int:
        starts = np.tile(np.arange(VIDEOS) * LENGTH, 8 * EPOCHS).reshape(-1, VIDEOS // 2)
        return batches_of_cells(store, [rows[:, None] + places for rows in starts], "none")

    in_turns(benchmark, usual, ours, "clips")


class OnFrozen(nn.Module):
    """A linear head on MobileNetV3-Large, which stays as it is."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(mobilenet_v3_large().features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(960, classes)

    def decode(self, features: Tensor) -> Tensor:
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x))


def test_features_of_a_frozen_backbone(benchmark: BenchmarkFixture, images: Corpus, store: FrameStore) -> None:
    """Ten epochs of training and validation on features that are read once against the frozen backbone in each step."""
    samples = np.arange(96)
    split = Split(samples[:80], samples[80:], samples[:0])
    material = Material(images, Protocol(1, 1, "training_neutral"), split, store, "image", 1)
    run = Run(torch.device("cpu"), "float32", True, 0, 1.0, lambda text, loss=None: None)

    def trained(reads: str) -> int:
        stage = Stage(epochs=10, batch_size=16, lr=1e-3, frozen=("backbone",), reads=reads, augmentation="none")
        size = Size(OnFrozen, PIXELS, (stage,), channels_last=True)
        architecture = Architecture(
            name="frozen", title="Frozen", view="image", source="none", sizes={"tiny": size}
        )  # fmt: skip
        torch.manual_seed(0)
        train(OnFrozen(2).to(memory_format=torch.channels_last), architecture, size, material, run)
        return 10 * len(split.train)

    in_turns(benchmark, lambda: trained(""), lambda: trained("backbone"), "images on a frozen backbone")
