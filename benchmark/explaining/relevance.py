"""Where a trained model looks: how much each pixel of its input counts for one answer.

Two methods, chosen by what the model is made of. Grad-CAM (Selvaraju et al., ICCV 2017) at the last convolution that
has a picture left to look at. Where the only such convolution cuts the picture into patches, as in vision transformers,
there is none: then the squared gradient at the pixels, averaged over noisy copies of the input (SmoothGrad, Smilkov et
al., 2017; squared: Hooker et al., NeurIPS 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ferbench.benchmark.errors import RequestError
from ferbench.datasets.augmentation import normalise

try:
    from captum.attr import LayerGradCam, NoiseTunnel, Saliency
except ImportError:
    raise RequestError("captum is not installed: pip install 'ferbench[explain]'") from None

COPIES = 12
"""Noisy copies that a gradient is averaged over."""
NOISE = 0.15
"""Standard deviation of the noise, as a share of the range of the normalised input."""
SMALLEST = 2
"""Cells a side that a layer's picture must have."""
Method = Literal["Grad-CAM", "SmoothGrad"]


@dataclass(frozen=True)
class Relevance:
    """What counts for an answer."""

    maps: NDArray[np.float32]
    """(K,S,S) of each frame that the input shows; not negative, and 1 in sum over all (0 where nothing counts)."""
    answer: int
    """The class that is explained."""
    probability: float
    method: Method

    @property
    def of_time(self) -> NDArray[np.float32]:
        """(K,) share of each frame."""
        return self.maps.sum(axis=(1, 2))


def relevance_of(model: nn.Module, view: str, frames: NDArray[np.uint8], answer: int | None = None) -> Relevance:
    """What counts for the most likely class, or for one that is named.

    Args:
        model: in evaluation mode; its parameters are left alone.
        view: an image model takes (B,3,H,W), all others (B,K,3,H,W).
        frames: (K,S,S,3) RGB.
    """
    with torch.enable_grad():
        x = normalise(torch.from_numpy(np.ascontiguousarray(frames)))[None]

        def ask(inputs: Tensor) -> Tensor:
            output = model(inputs.squeeze(1) if view == "image" else inputs).float()
            return output.flatten(0, -2).mean(dim=0)  # of a sequence the mean over its frames

        with torch.no_grad():
            scores = ask(x)
        chosen = int(scores.argmax()) if answer is None else answer
        probability = float(torch.softmax(scores, dim=0)[chosen]) if len(scores) > 1 else float(scores[0])
        layer = cam_layer(model, lambda: ask(x))
        maps = _smooth_grad(ask, x, chosen) if layer is None else _grad_cam(layer, ask, x, chosen)
    total = maps.sum()
    return Relevance(
        (maps / total if total > 0 else maps).numpy(),
        chosen,
        probability,
        "SmoothGrad" if layer is None else "Grad-CAM",
    )


def cam_layer(model: nn.Module, run: Callable[[], object]) -> nn.Module | None:
    """The last convolution in the order of a run whose output is a picture, and that is no cut into patches."""
    last: list[nn.Module] = []

    def seen(module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and min(output.shape[-2:]) >= SMALLEST and not _is_patches(module):
            last.append(module)

    handles = [m.register_forward_hook(seen) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Conv3d)]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return last[-1] if last else None


def _is_patches(module: nn.Module) -> bool:
    """Whether a convolution cuts a picture into patches: its windows do not overlap."""
    kernel, stride = getattr(module, "kernel_size", (1,)), getattr(module, "stride", (1,))
    return kernel[-1] > 1 and tuple(kernel[-2:]) == tuple(stride[-2:])


def _grad_cam(layer: nn.Module, ask: Callable[[Tensor], Tensor], x: Tensor, chosen: int) -> Tensor:
    """(K,S,S)."""
    found = LayerGradCam(lambda inputs: ask(inputs)[None], layer).attribute(x, target=chosen, relu_attributions=True)
    maps = found.detach().flatten(0, -3)  # frames that were folded into the batch, or steps of time
    frames, side = x.shape[1], x.shape[-1]
    return F.interpolate(maps[None, None], size=(frames, side, side), mode="trilinear", align_corners=False)[0, 0]


def _smooth_grad(ask: Callable[[Tensor], Tensor], x: Tensor, chosen: int) -> Tensor:
    """(K,S,S)."""
    gradient = NoiseTunnel(Saliency(lambda inputs: ask(inputs)[None]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = gradient.attribute(
            x, nt_type="smoothgrad_sq", nt_samples=COPIES, nt_samples_batch_size=1,
            stdevs=NOISE * float(x.max() - x.min()), target=chosen, abs=False,
        )  # fmt: skip
    return found[0].sum(dim=1).detach()


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model with every parameter drawn anew, with the spread that it had: what it learned is gone (the sanity check
    of Adebayo et al., NeurIPS 2018). Changes the model and returns it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = float(parameter.std()) if parameter.numel() > 1 else 1.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread)
    return model
