"""Shows that the gate catches what it must and nothing else: faults are put into copies of the checkout.

    python tests/proof/prove_gate.py slowdown --trials 20    15% more time in one architecture
    python tests/proof/prove_gate.py itself --gates 50       the same commit twice, another process loads one core
    python tests/proof/prove_gate.py accuracy                losses that are real, and seeds that are none

Each trial is the gate's own code on checkouts of HEAD, one of them patched. One JSON line a trial is appended to
`--out`, so that a proof that is stopped goes on and its figures can be counted again. docs/gate.md has the figures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ferbench.benchmark.commands.check import BASELINE, board_records, judge_times, measure_twice
from ferbench.benchmark.gate.measured import INFERENCE
from ferbench.benchmark.gate.side_by_side import Target, checkout
from ferbench.benchmark.gate.verdict import sorted_outcome
from ferbench.benchmark.records.installation import CHECKOUT

SHARE = 0.15
ARCHITECTURES = ("c3d", "difference_of_embeddings", "vit_se")

SLOWDOWN = f'''

def _slowed(build):
    """Every forward pass is followed by work that takes {SHARE:.0%} of its own fastest time."""
    import time

    def fastest(call, before=lambda: None):
        times = []
        for _ in range(200):
            before()
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return min(times)

    def work(rounds):
        for _ in range(rounds):
            sum(range(40))

    def made(classes):
        model, rounds = build(classes), [None]

        def more(module, inputs, _):
            if rounds[0] is None:
                rounds[0] = 0
                wanted = {SHARE} * fastest(lambda: module(*inputs))
                rounds[0] = round(wanted / (fastest(lambda: work(100)) / 100))
                now = fastest(lambda: work(rounds[0]), before=lambda: module.forward(*inputs))
                rounds[0] = round(rounds[0] * wanted / now)  # right after a pass it is slower: the cache is cold
            work(rounds[0])

        model.register_forward_hook(more)
        return model

    return made


import dataclasses

ARCHITECTURE = dataclasses.replace(
    ARCHITECTURE,
    sizes={{n: dataclasses.replace(s, build=_slowed(s.build)) for n, s in ARCHITECTURE.sizes.items()}},
)
'''

SPLIT = "    parts = split(corpus, cell.protocol, cell.fold, store.content)\n"
SWAP = """
    import dataclasses

    import numpy as np

    label = corpus.label.copy()
    two = parts.train[label[parts.train] < 2]
    hit = np.random.default_rng(0).choice(two, round(0.05 * len(parts.train)), replace=False)
    label[hit] = 1 - label[hit]
    corpus = dataclasses.replace(corpus, label=label)
"""
NORMALISED = "return floats.mul_(1 / (255 * deviation)).sub_(mean / deviation)"
FAULTS: dict[str, list[tuple[str, str, str]]] = {
    "normalisation dropped": [("datasets/augmentation.py", NORMALISED, "return floats / 255")],
    "labels of two classes swapped in 5% of training samples": [("benchmark/cell.py", SPLIT, SPLIT + SWAP)],
    "backbone of vit_se frozen": [
        ("models/vit_se.py", 'augmentation="none",', 'augmentation="none", frozen=("backbone",),')
    ],
    "convolutions of c3d frozen": [
        ("models/c3d.py", 'class_weights="sqrt_inverse",', 'class_weights="sqrt_inverse", frozen=("trunk",),')
    ],
    "another seed, 100": [("benchmark/cell.py", "seed=cell.seed,", "seed=cell.seed + 100,")],
    "another seed, 200": [("benchmark/cell.py", "seed=cell.seed,", "seed=cell.seed + 200,")],
    "another seed, 300": [("benchmark/cell.py", "seed=cell.seed,", "seed=cell.seed + 300,")],
}


def patch(root: Path, file: str, old: str, new: str) -> None:
    """Replaces a text that must be there once."""
    text = (root / file).read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{file}: {old!r} is there {text.count(old)} times: bring the proof up to date")
    (root / file).write_text(text.replace(old, new), encoding="utf-8")


@contextmanager
def loaded_core(seconds: float = 36_000) -> Iterator[None]:
    """Another process that computes all the time."""
    process = multiprocessing.get_context("spawn").Process(
        target=_spin, args=(time.monotonic() + seconds, os.getpid()), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()


def _spin(until: float, parent: int) -> None:
    while time.monotonic() < until and os.getppid() == parent:  # one that is killed leaves no load behind
        pass


def time_gate(base: Path, head: Path, wanted: Any, records: Path | None = None) -> dict[str, Any]:
    """One latency gate of two checkouts: what was red, and all raw samples."""
    unmeasured: list[str] = []
    began = time.monotonic()
    first, again = measure_twice(base, head, "cpu", records, wanted, (".",), lambda _: None)
    outcome = sorted_outcome(judge_times(first, again, unmeasured), [], unmeasured)
    return {
        "exit_code": outcome.exit_code,
        "seconds": time.monotonic() - began,
        "compared": len(first.samples),
        "red": [verdict.subject for verdict in outcome.verdicts if verdict.red],
        "ratios": {verdict.name: verdict.change for verdict in outcome.verdicts},
        "measured_again": [target.subject for target in again.samples] if again else [],
        "first": first.as_dict()["samples"],
        "again": again.as_dict()["samples"] if again else None,
    }


def is_inference(target: Target) -> bool:
    return target.what == INFERENCE and target.subject in ARCHITECTURES


def prove_slowdown(done: list[dict[str, Any]], trials: int) -> Iterator[dict[str, Any]]:
    """One architecture in turn is slowed; caught is when it alone is red."""
    for trial in range(len(done), trials):
        slowed = ARCHITECTURES[trial % len(ARCHITECTURES)]
        with ExitStack() as stack:
            base, head = (stack.enter_context(checkout(CHECKOUT, "HEAD"))[0] for _ in range(2))
            file = head / "models" / f"{slowed}.py"
            file.write_text(file.read_text(encoding="utf-8") + SLOWDOWN, encoding="utf-8")
            found = time_gate(base, head, is_inference)
        yield {"trial": trial, "slowed": slowed, "caught": found["red"] == [slowed], **found}


def prove_itself(done: list[dict[str, Any]], gates: int, loaded: bool) -> Iterator[dict[str, Any]]:
    """Whole gates of the same commit on both sides while another process loads one core; `loaded`: one does already."""
    with ExitStack() as stack:
        base, head = (stack.enter_context(checkout(CHECKOUT, "HEAD"))[0] for _ in range(2))
        records = board_records(BASELINE, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        if not loaded:
            stack.enter_context(loaded_core())
        for gate in range(len(done), gates):
            yield {"gate": gate, **time_gate(base, head, lambda _: True, records)}


def prove_accuracy(done: list[dict[str, Any]], baseline: Path, only: str, names: str) -> Iterator[dict[str, Any]]:
    """The accuracy gate, of all architectures or of those named, on a checkout with each fault in turn."""
    finished = {line["fault"] for line in done}
    for fault, patches in FAULTS.items():
        if fault in finished or only not in fault:
            continue
        with checkout(CHECKOUT, "HEAD") as (root, _), tempfile.TemporaryDirectory() as work:
            for file, old, new in patches:
                patch(root, file, old, new)
            words = ["check", "--only", "accuracy", "--baseline", str(baseline.resolve()), "--work", work]
            words += ["--architectures", names]
            ran = subprocess.run(
                [sys.executable, "-m", "benchmark", *words],
                cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
            )  # fmt: skip
        yield {
            "fault": fault,
            "exit_code": ran.returncode,
            "output": ran.stdout.splitlines(),
            "errors": ran.stderr[-500:],
        }


def main() -> None:
    """Runs one of the proofs from where it was left."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=("slowdown", "itself", "accuracy"))
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--gates", type=int, default=50)
    parser.add_argument("--loaded", action="store_true", help="something else loads a core: start nothing that does")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--only", default="", help="faults whose name holds this")
    parser.add_argument("--architectures", default="", help="those that the accuracy gate runs, as A,B")
    parser.add_argument("--out", type=Path, default=Path("results/proof"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / f"{asked.proof}.jsonl"
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    lines = {
        "slowdown": lambda: prove_slowdown(done, asked.trials),
        "itself": lambda: prove_itself(done, asked.gates, asked.loaded),
        "accuracy": lambda: prove_accuracy(done, asked.baseline, asked.only, asked.architectures),
    }[asked.proof]()
    for line in lines:
        with file.open("a") as out:
            out.write(json.dumps(line) + "\n")
        done.append(line)
        print({k: v for k, v in line.items() if k not in ("first", "again", "output", "ratios")}, flush=True)
    if asked.proof == "slowdown":
        print(f"caught and blamed on the right one: {sum(line['caught'] for line in done)} of {len(done)}")
    elif asked.proof == "itself":
        red = [len(gate["red"]) for gate in done]
        print(
            f"red: {sum(map(bool, red))} of {len(done)} whole gates of the same commit with itself; of "
            f"{sum(gate['compared'] for gate in done)} comparisons "
            f"{sum(len(gate['measured_again']) for gate in done)} looked slower once, {sum(red)} twice"
        )


if __name__ == "__main__":
    main()
