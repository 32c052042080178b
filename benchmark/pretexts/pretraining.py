"""The project's own starting weights: tiny backbones trained on rendered faces that no twin contains.

Two pretexts stand in for the official weights of the seeds. *Geometry* (regress the landmarks and the pose of the
head; of a clip also how they move) plays ImageNet and Kinetics; *identity* (tell who it is, whatever the expression)
plays VGGFace2. Neither sees an expression label or an action unit: faces move by action units drawn at random.

`python -m benchmark pretrain` writes `models/weights/<name>.safetensors` and `recipe.json`, which says how each file
was made and what its checksum is.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from ferbench.benchmark.errors import RequestError, unknown_name
from ferbench.benchmark.pretexts.faces import Faces, clips, people, stills
from ferbench.benchmark.records.atomic import drafted
from ferbench.benchmark.records.cache import alone
from ferbench.benchmark.records.installation import CHECKOUT, cache_folder
from ferbench.benchmark.records.provenance import code_hash, hash_of
from ferbench.benchmark.running.processes import leave_with
from ferbench.benchmark.running.worker import set_worker_environment
from ferbench.datasets.augmentation import normalise
from ferbench.datasets.streams import number_of
from ferbench.models.c3d import c3d_trunk_tiny
from ferbench.models.parts.mobilenet import mobilenet_v3_tiny
from ferbench.models.parts.resnet import resnet_tiny
from ferbench.models.parts.vit import vit_tiny
from ferbench.models.r2plus1d import r2plus1d_tiny
from ferbench.models.weights import FOLDER

IMAGE_SIZE = 48
BATCH = 128
BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v3": mobilenet_v3_tiny,
    "vit": vit_tiny,
    "resnet": resnet_tiny,
    "c3d": c3d_trunk_tiny,
    "r2plus1d": r2plus1d_tiny,
}


@dataclass(frozen=True)
class Recipe:
    """How one file of weights is made."""

    pretext: Literal["geometry", "identity"]
    backbone: str
    pictures: int
    """Rendered pictures, or clips."""
    epochs: int
    lr: float
    weight_decay: float = 0.02
    batch: int = BATCH
    people: int = 0
    """Identities among them; 0: every picture shows another person."""
    frames: int = 1
    """Frames of a clip; 1: still pictures."""
    seed: int = 0


RECIPES = {
    "geometry-resnet": Recipe("geometry", "resnet", pictures=24_000, epochs=12, lr=2e-3),
    "motion-c3d": Recipe("geometry", "c3d", pictures=3_000, epochs=24, lr=1e-3, frames=8, batch=32),
    "geometry-vit": Recipe("geometry", "vit", pictures=24_000, epochs=18, lr=1.5e-3),
    "geometry-mobilenet_v3": Recipe("geometry", "mobilenet_v3", pictures=24_000, epochs=20, lr=3e-3),
    "motion-r2plus1d": Recipe("geometry", "r2plus1d", pictures=3_000, epochs=16, lr=3e-3, frames=8, batch=32),
    "identity-resnet": Recipe("identity", "resnet", pictures=16_000, epochs=12, lr=2e-3, people=500),
}


def pretrain_all(pretext: str, only: str, out: Path | None, workers: int) -> None:
    """Makes the files of a pretext (or one of them, or all) and writes them with their recipe.

    Raises:
        RequestError: an unknown pretext or file, or no folder to write to.
    """
    if pretext not in ("", "geometry", "identity"):
        raise RequestError(f"unknown pretext {pretext!r}: use geometry or identity")
    if only and only not in RECIPES:
        raise unknown_name("file of starting weights", only, RECIPES)
    chosen = [n for n, r in RECIPES.items() if (not only or n == only) and (not pretext or r.pretext == pretext)]
    if not chosen:
        raise RequestError(f"{only} is not of the pretext {pretext}: leave one of the two out")
    folder = out or _shipped()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: weights cannot be written there: {error.strerror}") from None
    set_worker_environment()
    with ProcessPoolExecutor(workers, get_context("spawn"), leave_with, (os.getpid(),)) as pool:
        done = {name: pool.submit(pretrain, name, folder) for name in chosen}
        for name, future in done.items():
            entry = future.result()
            _write_entry(folder / "recipe.json", name, entry)
            print(f"{name}: {entry['seconds']:.0f} s, error {entry['error']:.3f} of the spread, {entry['sha256'][:12]}")


def _shipped() -> Path:
    """Folder of the shipped weights.

    Raises:
        RequestError: they are part of an installed package, where whatever is changed is lost and noticed by no one.
    """
    if CHECKOUT is None:
        raise RequestError(f"{FOLDER}: these weights belong to the installed package: write new ones with --out DIR")
    return FOLDER


def _write_entry(file: Path, name: str, entry: dict[str, Any]) -> None:
    """Adds a file's entry to `recipe.json`. The time that it took is told, not kept: it is no property of the file."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known[name] = {key: value for key, value in entry.items() if key != "seconds"}
    file.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def pretrain(name: str, folder: Path) -> dict[str, Any]:
    """Makes one file of weights; returns its entry for `recipe.json`."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    began = time.perf_counter()
    recipe = RECIPES[name]
    faces = _faces(recipe)
    torch.manual_seed(number_of("pretrain", name, recipe.seed))
    backbone = BACKBONES[recipe.backbone]()
    error = fit(backbone, faces, recipe)
    file = folder / f"{name}.safetensors"
    draft = folder / f".{name}.safetensors"
    save_file({key: value.contiguous() for key, value in backbone.state_dict().items()}, draft)
    draft.chmod(0o644)
    draft.replace(file)
    return {
        "recipe": asdict(recipe),
        "error": round(error, 4),
        "renderer": code_hash("ferbench.datasets.synthetic.renderer"),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "seconds": time.perf_counter() - began,
    }


def _faces(recipe: Recipe) -> Faces:
    """The faces of a recipe, rendered once for all backbones that learn from the same ones."""
    made_from = (
        IMAGE_SIZE,
        recipe.pictures,
        recipe.people,
        recipe.frames,
        recipe.seed,
        code_hash("ferbench.benchmark.pretexts.faces"),
    )
    name = f"pretext-{hash_of(made_from)}"
    file = cache_folder() / "pretext" / f"{name}.npz"
    with alone(name):
        with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile), np.load(file) as kept:
            return Faces(kept["pictures"], kept["targets"], int(kept["outputs"]))
        faces = _rendered(recipe)
        file.parent.mkdir(parents=True, exist_ok=True)
        with drafted(file) as draft, draft.open("wb") as opened:
            np.savez(opened, pictures=faces.pictures, targets=faces.targets, outputs=faces.outputs)
        return faces


def _rendered(recipe: Recipe) -> Faces:
    if recipe.frames > 1:
        return clips(recipe.pictures, recipe.frames, recipe.seed, IMAGE_SIZE)
    if recipe.people:
        return people(recipe.people, recipe.pictures, recipe.seed, IMAGE_SIZE)
    return stills(recipe.pictures, recipe.seed, IMAGE_SIZE)


def fit(backbone: nn.Module, faces: Faces, recipe: Recipe) -> float:
    """Trains a backbone, with a linear head on top that is thrown away afterwards.

    Returns:
        The error on the last twentieth of the faces, which is held out: the root mean square of the standardised
        targets (1 = no better than the mean), or of identities the share that is mistaken.
    """
    # A held-out face of the identity pretext is a new picture of a known person: their order is shuffled.
    held = len(faces.pictures) // 20
    train = len(faces.pictures) - held
    head = nn.Linear(int(backbone.width), faces.outputs)  # type: ignore[arg-type]
    parameters = [*backbone.parameters(), *head.parameters()]
    update = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    steps = recipe.epochs * math.ceil(train / recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(update, recipe.lr, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(number_of("pretrain noise", recipe.backbone, recipe.seed))
    rng = np.random.default_rng(number_of("pretrain order", recipe.backbone, recipe.seed))
    for _ in range(recipe.epochs):
        backbone.train()
        for rows in np.array_split(rng.permutation(train), math.ceil(train / recipe.batch)):
            inputs = spoil(normalise(torch.from_numpy(faces.pictures[rows])), generator)
            loss = _loss(head(backbone(inputs)), faces, rows)
            update.zero_grad(set_to_none=True)
            loss.backward()
            update.step()
            schedule.step()
    backbone.eval()
    return _held_out_error(backbone, head, faces, np.arange(train, train + held))


def _loss(output: Tensor, faces: Faces, rows: np.ndarray) -> Tensor:
    target = torch.from_numpy(faces.targets[rows])
    if faces.is_identity:
        return F.cross_entropy(output, target.long(), label_smoothing=0.1)
    return F.smooth_l1_loss(output, target)


@torch.inference_mode()
def _held_out_error(backbone: nn.Module, head: nn.Linear, faces: Faces, rows: np.ndarray) -> float:
    output = torch.cat(
        [head(backbone(normalise(torch.from_numpy(faces.pictures[part])))) for part in np.array_split(rows, 10)]
    )
    target = torch.from_numpy(faces.targets[rows])
    if faces.is_identity:
        return float((output.argmax(1) != target).float().mean())
    return float((output - target).square().mean().sqrt())


def spoil(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """What cameras and copies do to a batch (N,3,H,W) or (N,T,3,H,W), drawn once a picture or clip.

    Light, contrast, colour or none, noise, a loss of resolution, and an erased square.
    """
    flat = pictures if pictures.dim() == 5 else pictures[:, None]
    count, frames, _, height, width = flat.shape
    draw = torch.rand(count, 8, generator=generator)

    def each(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1, 1)

    grey = torch.where(each(draw[:, 0] < 0.5), flat.mean(dim=2, keepdim=True), flat)
    mean = grey.mean(dim=(1, 2, 3, 4), keepdim=True)
    lit = (grey - mean) * each(0.5 + draw[:, 1]) + mean + each(1.6 * draw[:, 2] - 0.8)
    small = F.interpolate(lit.flatten(0, 1), scale_factor=0.5, mode="bilinear", antialias=True)
    soft = F.interpolate(small, size=(height, width), mode="bilinear").view_as(flat)
    blend = each((1.6 * draw[:, 3] - 0.6).clamp(0, 1))
    noisy = lit + blend * (soft - lit)
    noise = torch.randn(count, frames, 1, height, width, generator=generator)
    noisy = noisy + each(0.25 * draw[:, 4]) * noise
    y = torch.linspace(0, 1, height)[:, None]
    x = torch.linspace(0, 1, width)
    side = each(0.15 * draw[:, 7])
    square = ((y - each(draw[:, 5])).abs() < side) & ((x - each(draw[:, 6])).abs() < side)
    spoiled = noisy.masked_fill(square, 0.0)
    return spoiled if pictures.dim() == 5 else spoiled[:, 0]
