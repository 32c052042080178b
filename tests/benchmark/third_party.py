"""A package of somebody else, installed in a folder: architectures that behave, and some that do not.

What reaches the harness is what reaches it from any third party: a dist-info folder with entry points on `sys.path`.
"""

from __future__ import annotations

from pathlib import Path

QUICK = '''
"""Mean colour of each of 16 patches, and a linear layer. TOY_GATE names a folder that lets only so many be built."""

import os
import time
import uuid
from pathlib import Path

import torch
from ferbench.models.architecture import Architecture, Size, Stage
from torch import nn


def wait_at(gate):
    while len(list(gate.glob("passed-*"))) >= int((gate / "allowed").read_text()):
        time.sleep(0.02)
    (gate / f"passed-{uuid.uuid4()}").touch()


def build(classes):
    if os.environ.get("TOY_GATE") and torch.get_default_device().type != "meta":
        wait_at(Path(os.environ["TOY_GATE"]))
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.1), nn.Linear(48, classes))


SIZE = Size(build, image_size=16, stages=(Stage(epochs=2, batch_size=16, lr=0.01),))
ARCHITECTURE = Architecture("toy_quick", "Toy", "image", "a test", {"tiny": SIZE, "full": SIZE})
'''

LENDER = '''
"""An architecture that lends its features."""

from ferbench.models.architecture import Architecture, Size, Stage
from torch import nn


class Model(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 8), nn.ReLU())
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.decode(self.features(x))

    def decode(self, features):
        return self.head(features)


FIRST = Stage(name="all", epochs=2, batch_size=16, lr=0.01)
ARCHITECTURE = Architecture(
    "toy_lender", "Lender", "image", "a test", {"tiny": Size(Model, image_size=16, stages=(FIRST,))}, lends=True
)
'''

BORROWER = '''
"""One that borrows them."""

from ferbench.models.architecture import Architecture, Size, Stage, Trained
from toys.toy_lender import Model

HEAD = Stage(name="head", epochs=2, batch_size=16, lr=0.01, frozen=("features",), reads="features")
LENT = (Trained("toy_lender", "features", "features"),)
ARCHITECTURE = Architecture(
    "toy_borrower", "Borrower", "image", "a test", {"tiny": Size(Model, image_size=16, stages=(HEAD,), trained=LENT)}
)
'''

MEAN = '''
"""The mean of the two."""

from ferbench.models.architecture import Ensemble

ENSEMBLE = Ensemble("toy_mean", "Mean", "a test", ("toy_lender", "toy_borrower"))
'''

BROKEN = '''
"""Goes wrong when it is used."""

import os
import time

from ferbench.models.architecture import Architecture, Size, Stage
from torch import nn


class Faulty(nn.Linear):
    def forward(self, x):
        {fault}
        return super().forward(x.flatten(1))


SIZE = Size(lambda classes: Faulty(768, classes), image_size=16, stages=(Stage(epochs=1),))
ARCHITECTURE = Architecture("{name}", "Broken", "image", "a test", {{"tiny": SIZE, "full": SIZE}})
'''
FAULTS = {
    "toy_crash": "os._exit(7)",
    "toy_slow": "time.sleep(1000)",
    "toy_error": "raise ValueError('two\\nlines')",
    "toy_nan": "return super().forward(x.flatten(1)) * float('nan')",
}


def install(folder: Path, entries: dict[str, str], group: str = "ferbench.architectures", name: str = "toys") -> Path:
    """A distribution in `folder` with these entry points."""
    return install_groups(folder, {group: entries}, name)


def install_groups(folder: Path, groups: dict[str, dict[str, str]], name: str = "toys") -> Path:
    """A distribution in `folder` with entry points of several groups."""
    about = folder / f"{name}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{entry} = {place}" for entry, place in entries.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


def install_toys(folder: Path) -> Path:
    """The package `toys` in `folder`, with all of its architectures and the ensemble of two."""
    package = folder / "toys"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "toy_quick.py").write_text(QUICK)
    for name, text in {"toy_lender": LENDER, "toy_borrower": BORROWER, "toy_mean": MEAN}.items():
        (package / f"{name}.py").write_text(text)
    for name, fault in FAULTS.items():
        (package / f"{name}.py").write_text(BROKEN.format(name=name, fault=fault))
    places = {name: f"toys.{name}:ARCHITECTURE" for name in ["toy_quick", "toy_lender", "toy_borrower", *FAULTS]}
    means = {"toy_mean": "toys.toy_mean:ENSEMBLE"}
    return install_groups(folder, {"ferbench.architectures": places, "ferbench.ensembles": means})
