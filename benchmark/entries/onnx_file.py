"""An ONNX file as a predictor, by onnxruntime (the extra `onnx`).

Nothing beside the file is read but tensors that lie in its own folder, and no operator but those of onnxruntime runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ferbench.benchmark.entries.cards import Card, ModelInput
from ferbench.benchmark.entries.predictors import Predictor
from ferbench.benchmark.entries.scoring import digest_of_file
from ferbench.benchmark.errors import RequestError

if TYPE_CHECKING:
    import onnx

DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Sets of operators that onnxruntime brings along."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Grey of red, green and blue (ITU-R BT.601), as Pillow and OpenCV take it."""


def onnx_predictor(file: Path, card: Card | None) -> Predictor:
    """A file under what its card says of its input.

    Raises:
        RequestError: onnxruntime is not there; no card says what the file takes; the file cannot be used, and why.
    """
    if card is None or card.model is None:
        raise RequestError(f"{file}: an ONNX file needs a card whose key model says its size, colour, mean, deviation, "
                           "layout and classes: --card card.yaml")  # fmt: skip
    about = card.model
    model = OnnxModel(file, about)
    try:
        params = _parameters(model.graph)
    finally:
        del model.graph
    return Predictor(
        model=model,
        file=file,
        classes=tuple(about.classes),
        outputs=len(about.classes),
        view="image" if about.frames == 1 else "clip",
        frames=about.frames,
        image_size=about.size,
        digest=digest_of_file(file),
        raw=True,
        params=params,
        notes=(f"ONNX file of {file.stat().st_size / 1e6:.1f} MB, run by onnxruntime on a CPU",),
    )


class OnnxModel(nn.Module):
    """(B,3,H,W) or (B,T,3,H,W), RGB 0..255 -> (B,C) whose softmax answers."""

    graph: onnx.ModelProto

    def __init__(self, file: Path, about: ModelInput) -> None:
        super().__init__()
        try:
            import onnx
            import onnxruntime
        except ImportError:
            raise RequestError(
                f"{file}: onnx and onnxruntime are not installed: pip install 'ferbench[onnx]'"
            ) from None
        self.file, self.about = file, about
        try:
            self.graph = onnx.load(str(file), load_external_data=False)
            _refuse_foreign(self.graph, file)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # as everything that is measured here
            options.log_severity_level = 4
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except RequestError:
            raise
        except Exception as error:  # protobuf and onnxruntime have errors of their own, and many
            raise RequestError(f"{file}: no ONNX file that can be run ({_first_line(error)})") from None
        inputs, outputs = self.session.get_inputs(), [each.name for each in self.session.get_outputs()]
        if len(inputs) != 1:
            raise RequestError(f"{file}: it takes {len(inputs)} inputs ({', '.join(each.name for each in inputs)}): "
                               "only a file with one can be evaluated")  # fmt: skip
        if about.output is None and len(outputs) > 1:
            raise RequestError(f"{file}: it has {len(outputs)} outputs ({', '.join(outputs)}): say in the card which "
                               "one (model: {output: NAME})")  # fmt: skip
        if about.output is not None and about.output not in outputs:
            raise RequestError(f"{file}: it has no output {about.output!r}: it has {', '.join(outputs)}")
        self.input, self.output = inputs[0], about.output or outputs[0]
        self.dtype = (
            np.float16 if "float16" in self.input.type else np.uint8 if "uint8" in self.input.type else np.float32
        )
        self.batch = self._fixed_batch()

    def _fixed_batch(self) -> int | None:
        """The only batch that the file takes; None where it takes any."""
        declared, wanted = (
            list(self.input.shape),
            self._arranged(np.zeros((1, *self._sample()), dtype=np.float32)).shape,
        )
        fits = len(declared) == len(wanted) and all(
            not isinstance(d, int) or d == w for d, w in zip(declared[1:], wanted[1:], strict=True)
        )
        if not fits:
            raise RequestError(f"{self.file}: it takes {_shape(declared)}, and by its card it would get "
                               f"{_shape(['batch', *wanted[1:]])}: correct size, colour, layout or frames")  # fmt: skip
        return declared[0] if isinstance(declared[0], int) else None

    def _sample(self) -> tuple[int, ...]:
        image = (3, self.about.size, self.about.size)
        return image if self.about.frames == 1 else (self.about.frames, *image)

    def _arranged(self, pixels: Any) -> Any:
        """Normalised numbers in the layout of the file."""
        about, x = self.about, pixels
        if about.colour == "BGR":
            x = x[..., ::-1, :, :]
        elif about.colour == "grey":
            weights = np.array(LUMINANCE, dtype=np.float32)[:, None, None]
            x = (x * weights).sum(-3, keepdims=True)
        if about.range == 1:
            x = x / np.float32(255)
        channel = (len(about.mean), 1, 1)
        mean, deviation = (np.array(v, dtype=np.float32).reshape(channel) for v in (about.mean, about.deviation))
        x = (x - mean) / deviation
        order = {"NHWC": (0, 2, 3, 1), "NCTHW": (0, 2, 1, 3, 4), "NTHWC": (0, 1, 3, 4, 2)}.get(about.layout)
        return np.ascontiguousarray(x.transpose(order) if order else x)

    def forward(self, x: Tensor) -> Tensor:
        inputs = self._arranged(x.numpy().astype(np.float32)).astype(self.dtype)
        found = np.concatenate(list(self._answers(inputs)))
        if found.shape != (len(x), len(self.about.classes)):
            raise RequestError(f"{self.file}: {len(x)} inputs get answers of shape {_shape(found.shape)}: the card "
                               f"names {len(self.about.classes)} classes")  # fmt: skip
        if self.about.scores == "probabilities":  # whoever asks takes the softmax
            found = np.log(np.maximum(found, np.finfo(np.float32).tiny))
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))

    def _answers(self, inputs: Any) -> Iterator[Any]:
        step = self.batch or len(inputs)
        for begin in range(0, len(inputs), step):
            part = inputs[begin : begin + step]
            filled = np.concatenate([part, np.zeros((step - len(part), *part.shape[1:]), part.dtype)])
            try:
                (answer,) = self.session.run([self.output], {self.input.name: filled})
            except Exception as error:  # onnxruntime's own
                raise RequestError(f"{self.file}: it fails on an input of {_shape(filled.shape)} "
                                   f"({_first_line(error)})") from None  # fmt: skip
            answer = np.asarray(answer, dtype=np.float32)
            yield answer.reshape(len(answer), -1)[: len(part)]


def _refuse_foreign(model: onnx.ModelProto, file: Path) -> None:
    """Raises RequestError where a file asks for operators or for files of its own."""
    own = sorted({f.domain for f in model.functions} | {each.domain for each in model.opset_import} - set(DOMAINS))
    used = {node.domain for graph in _graphs(model.graph) for node in graph.node} - set(DOMAINS)
    if foreign := sorted(used - {f.domain for f in model.functions}):
        raise RequestError(f"{file}: it has operators of its own ({', '.join(foreign or own)}): only those of "
                           "onnxruntime are run")  # fmt: skip
    folder = file.parent.resolve()
    for tensor in _tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location" and not (folder / entry.value).resolve().is_relative_to(folder):
                raise RequestError(f"{file}: it reads a file outside of its folder ({entry.value[:80]!r}): refused")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and those inside its nodes."""
    waiting = [graph]
    while waiting:
        found = waiting.pop()
        yield found
        for node in found.node:
            for attribute in node.attribute:
                waiting += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    nodes = [node for graph in _graphs(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t


def _parameters(model: onnx.ModelProto) -> int:
    """Numbers that the file holds in its initialisers of more than one number."""
    shapes = [tuple(tensor.dims) for graph in _graphs(model.graph) for tensor in graph.initializer]
    return sum(int(np.prod(shape)) for shape in shapes if shape)


def _shape(dims: Any) -> str:
    return "x".join(str(dim) if dim is not None else "?" for dim in dims)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:200]
