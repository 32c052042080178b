"""Reads a file of weights that others have published into named tensors, and never runs what stands in it.

Four formats, told apart by their first bytes: safetensors, torch's (zip or older), and the pickle of NumPy arrays in
which the VGGFace2 models were converted from Caffe. Torch's are read with `weights_only`; the pickle by a reader that
knows the few names with which NumPy writes an array, and builds the arrays itself.

Training scripts put objects of their own beside the weights (meters, arguments), or pickle a whole module. For each
class that is not known here something stands in that can do nothing; of a module its parameters and buffers are read.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import pickletools
import re
import sys
from collections.abc import Callable, Mapping
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import IO, Any, cast
from zipfile import ZipFile

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

WRAPPERS = ("model_state", "model_state_dict", "state_dict", "model", "module")
"""Keys under which a training script keeps the weights beside other things."""
MOST_WRAPPERS = 3
PREFIXES = ("module.", "model.")
"""What a wrapper of the whole model puts before every name."""
LEGACY_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
"""What torch says of a class that it does not know."""
HARMLESS = ("argparse.Namespace", "collections.defaultdict", "pathlib.Path", "pathlib.PosixPath", "pathlib.WindowsPath")
"""Classes of Python's library that training scripts leave beside weights."""
MOST_STAND_INS = 200
DEEPEST_MODULE = 30
NUMBERS = re.compile(r"[fi][248]|u1")


class WeightsError(ValueError):
    """A file of weights cannot be used; the message is one line for people."""


def sha256_of(file: Path) -> str:
    """Hash of a file's bytes.

    Raises:
        WeightsError: there is no such file, or it cannot be read.
    """
    with _opened(file) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _opened(file: Path) -> BufferedReader:
    try:
        return file.open("rb")
    except IsADirectoryError:
        raise WeightsError(f"{file}: a folder, not a file of weights: name the file in it") from None
    except OSError as error:
        raise WeightsError(f"{file}: the weights cannot be read: {error.strerror}") from None


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of a file by its name, without what wraps all names (`model_state`, `module.`).

    Raises:
        WeightsError: no such file; damaged, cut short or hostile; no named tensors in it.
    """
    with _opened(file) as stream:
        head = stream.read(len(LEGACY_TORCH))
    try:
        found = _content(file, head)
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise _refusal(file, error) from error
    tensors = _unwrapped(found)
    if not tensors:
        raise WeightsError(f"{file}: no weights in it: expected named tensors, as in a state dict")
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
            raise WeightsError(f"{file}: {name} is larger than what the file holds of it: download the file again")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"{file}: {name} holds values that are no finite numbers: download the file again")
    return tensors


def _content(file: Path, head: bytes) -> Any:
    """What stands in a file that begins like this."""
    if head[8:9] == b"{":
        return load_file(file)
    if head.startswith(b"PK\x03\x04"):
        _refuse_inflated(file)
        return _with_stand_ins(lambda: torch.load(file, map_location="cpu", weights_only=True))
    if head == LEGACY_TORCH:

        def read() -> Any:
            with file.open("rb") as stream:
                return torch.load(cast("IO[bytes]", _Bounded(stream)), map_location="cpu", weights_only=True)

        return _with_stand_ins(read)
    with file.open("rb") as stream:
        _refuse_far_memos(_Bounded(stream))
        stream.seek(0)
        return ArrayUnpickler(_Bounded(stream), encoding="latin1").load()  # Python 2's strings


def _with_stand_ins(read: Callable[[], Any]) -> Any:
    """What a file holds, with a stand-in for every class of others that it names."""
    names: list[str] = []
    while True:
        stand_ins: list[Any] = [(type("StandIn", (StandIn,), {}), name) for name in names]
        try:
            with safe_globals(stand_ins):
                return read()
        except pickle.UnpicklingError as error:
            asked = GLOBAL.search(str(error))
            if asked is None or asked[1] in names or len(names) == MOST_STAND_INS or not _is_of_others(asked[1]):
                raise
            names.append(asked[1])


def _is_of_others(name: str) -> bool:
    """Whether a global is not of Python's own library, of which a script's files hold few classes."""
    library = name.partition(".")[0]
    return name in HARMLESS or not (library in sys.stdlib_module_names or library == "__builtin__")


class StandIn:
    """Stands for an object of a class that is not known here: it keeps what it is given and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


def _module_tensors(module: object, depth: int = 0) -> dict[str, Tensor]:
    """Parameters and buffers of a pickled module by their names; empty where it is none."""
    state = module.state if isinstance(module, StandIn) else None
    if not isinstance(state, Mapping) or "_modules" not in state or depth > DEEPEST_MODULE:
        return {}
    own = {n: v for kind in ("_parameters", "_buffers") for n, v in (state.get(kind) or {}).items()}
    found = {name: value for name, value in own.items() if isinstance(name, str) and isinstance(value, Tensor)}
    for name, child in state["_modules"].items():
        found |= {f"{name}.{below}": tensor for below, tensor in _module_tensors(child, depth + 1).items()}
    return found


def _refuse_inflated(file: Path) -> None:
    """Raises WeightsError where an archive is much larger than its file: torch's are not compressed."""
    with ZipFile(file) as archive:
        inside = sum(entry.file_size for entry in archive.infolist())
    if inside > 2 * file.stat().st_size + 2**20:
        raise WeightsError(f"{file}: its {file.stat().st_size} bytes stand for {inside}: no file of weights is packed")


class _Bounded(BufferedIOBase):
    """A file that is never asked for more bytes than it has: a reader takes memory for what it asks for."""

    def __init__(self, stream: BufferedReader) -> None:
        self.stream = stream
        self.size = os.fstat(stream.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.size:
            raise EOFError(f"{size} bytes of {self.size}")
        return self.stream.read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        return self.stream.readline(-1 if size is None else size)

    def readinto(self, buffer: Any, /) -> int:
        return self.stream.readinto(buffer)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


def _refuse_far_memos(stream: _Bounded) -> None:
    """Raises ValueError where a pickle numbers what it keeps higher than it can hold: room is made for all of them."""
    for opcode, argument, _ in pickletools.genops(cast("IO[bytes]", stream)):
        if "PUT" in opcode.name and isinstance(argument, int) and argument > stream.size:
            raise ValueError(f"{opcode.name} {argument}")


def _refusal(file: Path, error: Exception) -> WeightsError:
    """The line for a file that could not be read to its end."""
    asked = GLOBAL.search(str(error))
    if isinstance(error, pickle.UnpicklingError) and asked:
        return WeightsError(f"{file}: refused: reading it would run {asked[1]}, which no file of weights needs")
    return WeightsError(f"{file}: damaged, cut short, or no file of weights: download it again")


def _unwrapped(found: Any) -> dict[str, Tensor]:
    """The tensors of a state dict, out of what a training script has put around it."""
    for _ in range(MOST_WRAPPERS):  # a hostile file can hold itself
        if isinstance(found, Mapping):
            found = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping | StandIn)), found)
    if isinstance(found, StandIn):
        found = _module_tensors(found)
    if not isinstance(found, Mapping):
        return {}
    arrays = {n: v.tensor() if isinstance(v, PickledArray) else v for n, v in found.items() if isinstance(n, str)}
    tensors = {name: value for name, value in arrays.items() if isinstance(value, Tensor)}
    while tensors and (prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in tensors)), None)):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


class PickledArray:
    """Stands for a NumPy array while its pickle is read; its state is checked before NumPy sees it."""

    def __init__(self) -> None:
        self.array = np.empty(0, np.float32)

    def __setstate__(self, state: tuple[int, tuple[int, ...], PickledKind, bool, bytes | str]) -> None:
        _, shape, kind, fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else raw
        self.array = np.frombuffer(data, kind.dtype).reshape(shape, order="F" if fortran else "C")

    def tensor(self) -> Tensor:
        """A copy in this machine's byte order."""
        return torch.from_numpy(self.array.astype(self.array.dtype.newbyteorder("="), order="C"))


class PickledKind:
    """Stands for a NumPy dtype: a plain number, nothing else."""

    def __init__(self, code: str) -> None:
        if not NUMBERS.fullmatch(code):
            raise ValueError(f"not the code of a number: {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"not a byte order: {order}")
        self.dtype = self.dtype.newbyteorder(order)


class ArrayUnpickler(pickle.Unpickler):
    """Admits what NumPy's arrays of numbers are made of, each in a version of its own that can do nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            "numpy.core.multiarray._reconstruct": self._array,
            "numpy._core.multiarray._reconstruct": self._array,
            "numpy._core.numeric._frombuffer": self._array_of,
            "numpy.core.numeric._frombuffer": self._array_of,
            "numpy.ndarray": "ndarray",
            "numpy.dtype": self._kind,
            "_codecs.encode": self._bytes,
        }
        if f"{module}.{name}" not in known:
            raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")
        return known[f"{module}.{name}"]

    def _array(self, *_: object) -> PickledArray:
        return PickledArray()

    def _array_of(self, raw: bytes, kind: PickledKind, shape: tuple[int, ...], order: str) -> PickledArray:
        array = PickledArray()
        array.__setstate__((1, shape, kind, order == "F", bytes(raw)))
        return array

    def _kind(self, code: str, *_: object) -> PickledKind:
        return PickledKind(code)

    def _bytes(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ValueError(f"not the encoding of an array: {encoding}")
        return text.encode("latin1")
