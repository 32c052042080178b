"""The functions whose speed is watched: by `make perf` alone, and by the gate on two checkouts side by side.

Each function prepares what it needs and returns a call without arguments that does the work once. Run as a program this
module is one side of `side_by_side`: it answers requests, one JSON text a line, about the packages that are
first on its path. The gate runs this same file on both sides, so that both are measured in the same way; it therefore
uses only what is long established in those packages.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

INFERENCE, TRAINING = "inference at batch 1", "training step"
STORE, BOARD, HELP = "store read", "leaderboard rendering", "--help"
PARTS = (STORE, BOARD, HELP)
"""What is measured of the harness itself."""

CLASSES = 7
TRAINING_BATCH = 8
WARM_UP = 5
STORE_FRAMES, STORE_SIZE, STORE_CLIPS = 256, 48, (32, 8)

Call = Callable[[], object]


def inference(name: str, batch: int = 1, device: str = "cpu") -> Call:
    """The tiny size of an architecture predicts a batch that is on the device already."""
    import torch

    from ferbench.benchmark.learning.folding import folded
    from ferbench.benchmark.planning.registry import architectures

    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    model, autocast = _on_device(size, device)
    model = folded(model)
    x = torch.randn(architecture.input_shape("tiny", batch), generator=torch.Generator().manual_seed(0)).to(device)
    if size.channels_last and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)

    def call() -> object:
        with torch.inference_mode(), autocast():
            return model(x)

    return call


def training_step(name: str, batch: int = TRAINING_BATCH, device: str = "cpu") -> Call:
    """One step of the last stage of an architecture's tiny size, on a batch that is on the device already.

    Raises:
        ValueError: it has no stage of its own.
    """
    import torch

    from ferbench.benchmark.learning.recipe import ClassificationLoss, optimizer
    from ferbench.benchmark.learning.steps import objective_of, set_frozen, set_training
    from ferbench.benchmark.planning.registry import architectures
    from ferbench.models.architecture import Stage

    architecture = architectures.get(name)
    size = architecture.sizes["tiny"]
    if not size.stages:
        raise ValueError("nothing of its own is trained")
    stage = size.stages[-1]
    model, autocast = _on_device(size, device)
    set_frozen(model, stage)
    set_training(model, stage)
    x, forward = _stage_input(architecture, size, stage, model, batch, device)
    update = optimizer(stage, (p for p in model.parameters() if p.requires_grad))
    objective = objective_of(model, stage, forward, ClassificationLoss(Stage(), None))
    labelled = x.shape[:2] if (stage.view or architecture.view) == "sequence" else x.shape[:1]
    truth = torch.zeros(labelled, dtype=torch.long, device=device)

    def call() -> object:
        with autocast():
            loss = objective(x, truth)
        update.zero_grad(set_to_none=True)
        loss.backward()
        update.step()
        return loss

    return call


def store_read(folder: Path) -> Call:
    """A batch of clips from a memory-mapped frame store, normalised. `folder` is for the store's files."""
    import numpy as np
    import torch
    from PIL import Image

    from ferbench.datasets.augmentation import normalise
    from ferbench.datasets.corpus import Corpus
    from ferbench.datasets.frames import open_store

    rng, place = np.random.default_rng(0), np.arange(STORE_FRAMES)
    for i in place:
        Image.fromarray(rng.integers(256, size=(STORE_SIZE, STORE_SIZE, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    corpus = Corpus(
        dataset="noise", root=folder, classes=("a", "b"), frames=tuple(f"{i}.png" for i in place),
        track_start=np.arange(STORE_FRAMES + 1), track_subject=(None,) * STORE_FRAMES,
        sample_id=tuple(map(str, place)), track=place, start=place, stop=place + 1, label=place % 2,
        part=("train",) * STORE_FRAMES,
    )  # fmt: skip
    store = open_store(corpus, STORE_SIZE, folder / "store", "noise")
    wanted = rng.integers(STORE_FRAMES, size=STORE_CLIPS)
    return lambda: normalise(torch.from_numpy(store.read(wanted)))


def board_rendering(records: Path, out: Path) -> Call:
    """The leaderboard of a folder of records, with its plots."""
    from ferbench.benchmark.board.leaderboard import render

    return lambda: render(records, out)


def help_text(root: Path) -> Call:
    """`python -m benchmark --help` of a checkout, from start to exit."""
    words = [sys.executable, "-m", "benchmark", "--help"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return lambda: subprocess.run(words, cwd=root, env=environment, stdout=subprocess.DEVNULL, check=True)


def _on_device(size: Any, device: str) -> tuple[Any, Callable[[], Any]]:
    """The model of a size with random weights that are always the same, and the precision it runs in."""
    import torch

    torch.manual_seed(0)
    model = size.build(CLASSES)
    model = size.placed(model, torch.device(device))
    mixed = size.precision_on(device) == "bfloat16"
    return model, (lambda: torch.autocast(device, torch.bfloat16)) if mixed else nullcontext


def _stage_input(architecture: Any, size: Any, stage: Any, model: Any, batch: int, device: str) -> tuple[Any, Any]:
    """A batch as the stage sees it, and what it sends it through."""
    import torch

    view = stage.view or architecture.view
    image = (3, size.image_size, size.image_size)
    shape = (batch, *image) if view == "image" else (batch, {"pair": 2}.get(view, size.frames), *image)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
    if size.channels_last and x.ndim == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    if stage.reads:  # what is frozen has run before the first step
        with torch.no_grad():
            encoded = model.get_submodule(stage.reads)(x.flatten(0, -4))
        return encoded.unflatten(0, shape[:-3]), model.decode
    return x, getattr(model, stage.through) if stage.through else model


def _origin(architectures: Any, name: str) -> str | None:
    """The file of an architecture."""
    spec = importlib.util.find_spec(architectures.module(name))
    return spec.origin if spec else None


class Side:
    """Answers requests about the packages of one checkout."""

    def __init__(self, root: Path, device: str, records: Path | None) -> None:
        self.root = root
        self.device = device
        self.records = records
        self.call: Call = lambda: None
        self.scratch: TemporaryDirectory[str] | None = None

    def about(self) -> dict[str, Any]:
        """Where this side's code is, what it can measure, and on what machine."""
        import torch

        from ferbench import benchmark
        from ferbench.benchmark.measures.efficiency import device_name
        from ferbench.benchmark.planning.registry import architectures

        own = self._is_own(benchmark.__file__)
        return {
            "architectures": [name for name in architectures.names() if self._is_own(_origin(architectures, name))],
            "parts": [part for part in PARTS if own and (part != BOARD or self.records)],
            "machine": {
                "device": device_name(self.device),
                "host": os.uname().nodename,
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
            },
        }

    def _is_own(self, file: str | None) -> bool:
        """Whether a file lies in this checkout; what is installed elsewhere is the same on both sides."""
        return file is not None and Path(file).resolve().is_relative_to(self.root.resolve())

    def prepare(self, subject: str, what: str) -> dict[str, Any]:
        """Makes a call of an architecture (`what`) or a part (no `what`) ready and warm; tells how long it takes."""
        self.call = lambda: None  # lets go of what came before
        if self.scratch:
            self.scratch.cleanup()
        self.scratch = TemporaryDirectory(prefix="ferbench-measured-")
        folder = Path(self.scratch.name)
        if what == INFERENCE:
            self.call = inference(subject, device=self.device)
        elif what == TRAINING:
            self.call = training_step(subject, device=self.device)
        elif subject == STORE:
            self.call = store_read(folder)
        elif subject == BOARD:
            assert self.records is not None
            self.call = board_rendering(self.records, folder / "leaderboard.md")
        else:
            self.call = help_text(self.root)
        calls = WARM_UP if what else 1
        self.sample(calls)
        return {"seconds": self.sample(calls)}

    def sample(self, repeats: int) -> float:
        """Seconds of the fastest of this many calls, each waited for.

        A process that shares its core is interrupted now and then, and an interruption only ever adds time; what makes
        every call slower makes the fastest slower too.
        """
        fastest = math.inf
        for _ in range(repeats):
            self._wait()
            began = time.perf_counter()
            self.call()
            self._wait()
            fastest = min(fastest, time.perf_counter() - began)
        return fastest

    def _wait(self) -> None:
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is said to a request; an error is an answer too."""
        try:
            if request["ask"] == "about":
                return self.about()
            if request["ask"] == "prepare":
                return self.prepare(request["subject"], request["what"])
            seconds = self.sample(request["repeats"])
            return {"seconds": seconds} if math.isfinite(seconds) else {"error": f"{seconds} seconds"}
        except (Exception, SystemExit) as error:
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())}


def main(words: list[str]) -> None:
    """Answers until its input ends. Words: root, device, folder of records (or nothing)."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anybody prints is no answer
    side = Side(Path(words[0]), words[1], Path(words[2]) if words[2:] else None)
    try:
        import torch

        torch.set_num_threads(1)
    except Exception as error:
        answers.write(json.dumps({"error": f"torch cannot be imported: {error}"}) + "\n")
        return
    for line in sys.stdin:
        answers.write(json.dumps(side.answer(json.loads(line))) + "\n")
        answers.flush()
    if side.scratch:
        side.scratch.cleanup()


if __name__ == "__main__":
    main(sys.argv[1:])
