"""Stages of temporal convolutions that refine one another's predictions (MS-TCN, arXiv 1903.01945)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool1d, relu


class DilatedResidualLayer(nn.Module):
    """(B,C,T) -> (B,C,T): a convolution over three frames `dilation` apart, ReLU, 1×1, dropout, and the shortcut."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.dropout(self.pointwise(relu(self.dilated(x))))


class DilatedStage(nn.Sequential):
    """Single-stage TCN: (B,F,T) -> (B,classes,T) for every T. Layer l, from 0, has a dilation of 2**l."""

    def __init__(self, inputs: int, classes: int, layers: int, channels: int) -> None:
        super().__init__(
            nn.Conv1d(inputs, channels, 1),
            *(DilatedResidualLayer(channels, 2**layer) for layer in range(layers)),
            nn.Conv1d(channels, classes, 1),
        )


class NormalizedReLU(nn.Module):
    """(B,C,T) -> (B,C,T): ReLU, over the largest channel of each frame (arXiv 1611.05267)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = relu(x)
        return positive / (positive.amax(dim=1, keepdim=True) + 1e-5)


class EncoderDecoderStage(nn.Module):
    """ED-TCN (arXiv 1611.05267): (B,F,T) -> (B,classes,T), T at least 4.

    Two convolutions over time, each followed by a max-pool that halves T, and two after repeating each frame.
    """

    def __init__(self, inputs: int, classes: int, kernel: int, channels: tuple[int, int]) -> None:
        super().__init__()
        outer, inner = channels
        self.encoder = nn.ModuleList((self._layer(inputs, outer, kernel), self._layer(outer, inner, kernel)))
        self.decoder = nn.ModuleList((self._layer(inner, inner, kernel), self._layer(inner, outer, kernel)))
        self.classifier = nn.Conv1d(outer, classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @staticmethod
    def _layer(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2), nn.Dropout(0.3), NormalizedReLU())

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] < 4:
            raise ValueError(f"an encoder-decoder stage halves a sequence twice: it needs 4 frames, not {x.shape[-1]}")
        lengths = []
        for layer in self.encoder:
            x = layer(x)
            lengths.append(x.shape[-1])
            x = max_pool1d(x, 2)
        for layer, length in zip(self.decoder, reversed(lengths), strict=True):
            x = layer(interpolate(x, size=length, mode="nearest"))
        return self.classifier(x)


class MultiStageTCN(nn.Module):
    """Stages one after another: features (B,F,T) -> predictions of every stage (S,B,classes,T).

    Each stage but the first reads the probabilities that the one before it gives; a value (one class) as it is.
    """

    def __init__(self, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.stages
        outputs = [first(x)]
        for stage in others:
            last = outputs[-1]
            outputs.append(stage(last.softmax(dim=1) if last.shape[1] > 1 else last))
        return torch.stack(outputs)


class RefinedFrames(nn.Module):
    """Frames -> features -> multi-stage TCN: (B,T,3,H,W) -> (B,T,classes), in training (S,B,T,classes)."""

    def __init__(self, backbone: nn.Module, stages: Iterable[nn.Module]) -> None:
        super().__init__()
        self.backbone = backbone
        self.tcn = MultiStageTCN(stages)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a sequence's frames (B,T,F) -> (B,T,classes), in training every stage's (S,B,T,classes)."""
        outputs = self.tcn(features.transpose(1, 2)).transpose(2, 3)
        return outputs if self.training else outputs[-1]
