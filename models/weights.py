"""Starting weights from safetensors files into a module, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from ferbench.models.architecture import Size

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class LoadReport:
    """How the names and shapes of a file meet those of a module."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    """In the module, not in the file."""
    unexpected: tuple[str, ...]
    """In the file, not in the module."""
    other_shape: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    """In the file, and left out on purpose: the head of other classes."""

    @property
    def fits(self) -> bool:
        return not (self.missing or self.unexpected or self.other_shape)

    @property
    def summary(self) -> str:
        """What was loaded and what was not, of weights that fit."""
        dropped = f"{len(self.dropped)} dropped ({_first(self.dropped)})" if self.dropped else "none dropped"
        return f"{len(self.matched)} tensors matched, {dropped}, none missing"

    def __str__(self) -> str:
        """What does not fit, with the first names of each kind."""
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": self.other_shape}
        return "; ".join(f"{len(names)} {kind} ({_first(names)})" for kind, names in kinds.items() if names)


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def compare(module: nn.Module, tensors: Mapping[str, Tensor]) -> LoadReport:
    """Names and shapes of `tensors` against the parameters and buffers of `module`."""
    own = module.state_dict()
    common = [name for name in own if name in tensors]
    return LoadReport(
        matched=tuple(name for name in common if own[name].shape == tensors[name].shape),
        missing=tuple(name for name in own if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in own),
        other_shape=tuple(name for name in common if own[name].shape != tensors[name].shape),
    )


def load_into(module: nn.Module, file: Path) -> LoadReport:
    """Load `file` (safetensors) into `module`. ValueError, and an unchanged module, unless everything fits."""
    tensors = load_file(file)
    report = compare(module, tensors)
    if not report.fits:
        raise ValueError(f"{file} does not fit {type(module).__name__}: {report}")
    module.load_state_dict(tensors)
    return report


def start_weights(model: nn.Module, size: Size, folder: Path = FOLDER) -> str:
    """Load what `size` declares into its submodules. Returns what the model starts from, as the board says it."""
    for weights in size.weights:
        file = folder / f"{weights.file}.safetensors"
        if not file.is_file():
            raise FileNotFoundError(f"no starting weights {file} (`pretrain` makes it)")
        load_into(model.get_submodule(weights.into), file)
    return ", ".join(weights.file for weights in size.weights) or "none"
