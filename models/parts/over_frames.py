"""A frame encoder and what reads its features: one frame's, or a clip's."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor, nn

from ferbench.models.parts.resnet import ResNet
from ferbench.models.parts.vggface2 import VGGFace2ResNet50

FrameEncoder: TypeAlias = ResNet | VGGFace2ResNet50
"""(N,3,H,W) -> (N,width): ResNet-50 at full size, a smaller ResNet at the others."""


class OverFrames(nn.Module):
    """(B,T,3,H,W) -> (B,classes): the backbone sees all frames as one batch, the head (B,T,F) sees them in order."""

    def __init__(self, backbone: FrameEncoder, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.backbone(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def still(self, x: Tensor) -> Tensor:
        """Single frames (B,3,H,W) -> (B,classes), each as a clip in which nothing moves: trains a backbone on its own
        row's budget. Three frames are the fewest that set all of a head to work."""
        return self.decode(self.backbone(x)[:, None].expand(-1, 3, -1))

    def decode(self, features: Tensor) -> Tensor:
        """Features of a clip's frames (B,T,F) -> (B,classes)."""
        return self.head(features)


def need_frames(x: Tensor, frames: int, what: str) -> None:
    """ValueError unless x (B,T,F) has the T that a head was built for."""
    if x.shape[1] != frames:
        raise ValueError(f"this {what} needs clips of {frames} frames, not {x.shape[1]}")
