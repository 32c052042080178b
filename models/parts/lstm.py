"""An LSTM over the features of a clip's frames."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class FeatureLSTM(nn.Module):
    """Frozen backbone, then an LSTM of two layers: (B,T,3,H,W) -> (B,classes), every T, H and W.

    Args:
        classes: of the output.
        backbone: (N,3,H,W) -> (N,widths[0]).
        widths: of its features and of what each linear layer before the LSTM makes of them. As in the seed nothing
            stands between those layers, and a dropout of one half after them.
        hidden: of each layer of the LSTM.
    """

    def __init__(self, classes: int, backbone: nn.Module, widths: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.project = nn.Sequential(*(nn.Linear(i, o) for i, o in pairwise(widths)), nn.Dropout(0.5))
        self.lstm = nn.LSTM(widths[-1], hidden, num_layers=2, batch_first=True)
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes): the mean of the frames' logits."""
        outputs, _ = self.lstm(self.project(features))
        return self.classifier(outputs).mean(dim=1)
