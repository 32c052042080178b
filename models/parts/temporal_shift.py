"""Temporal shift (arXiv 1811.08383) for frames that are folded into the batch: (B*T,C,H,W), a clip's in a row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.models.resnet import BasicBlock, Bottleneck


def temporal_shift(x: Tensor, frames: int, fold_div: int = 8) -> Tensor:
    """(B*T,C,H,W) -> (B*T,C,H,W): C // fold_div channels from the next frame, as many from the one before.

    Zeros stand beyond the clip's ends; the other channels stay.
    """
    clips = x.permute(0, 2, 3, 1).unflatten(0, (-1, frames))  # (B,T,H,W,C): as channels-last lies in memory
    fold = x.shape[1] // fold_div
    following, preceding, rest = clips.tensor_split((fold, 2 * fold), dim=-1)
    after, before = (0, 0) * 3 + (0, 1), (0, 0) * 3 + (1, 0)  # one frame of zeros at the end, at the start
    shifted = torch.cat((pad(following[:, 1:], after), pad(preceding[:, :-1], before), rest), dim=-1)
    return shifted.flatten(0, 1).permute(0, 3, 1, 2)


def shifted_block(block: BasicBlock | Bottleneck, x: Tensor, frames: int) -> Tensor:
    """What torchvision's residual block computes, with the shift at the entry of its residual branch only.

    The block keeps its parameters and their names; the shortcut sees the frames as they are.
    """
    shortcut = x if block.downsample is None else block.downsample(x)
    out = block.relu(block.bn1(block.conv1(temporal_shift(x, frames))))
    out = block.bn2(block.conv2(out))
    if isinstance(block, Bottleneck):
        out = block.bn3(block.conv3(block.relu(out)))
    return block.relu(out + shortcut)
