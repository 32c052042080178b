"""C3D with two layers.

Paper: "Learning Spatiotemporal Features with 3D Convolutional Networks", Tran et al. 2015 (arXiv 1412.0767), cut down
to two convolutions by the seed, github.com/jerry940100/Video-Based-Facial-Expression-Recognition (Oulu-CASIA).

    clip (B,T,3,H,W) -> 2 × [Conv3d 3×3×3 of stride 2, no padding; BatchNorm; ReLU; Dropout3d 0.2] -> flatten
    -> fc 256 -> fc 256 -> classes

The flattened features fix T, H and W when the model is built. Without padding, 16 frames become 7, then 3, and 8 become
3, then 1: either way the last frame is never seen.

Deviations from the seed: none in the structure. The seed's optimiser is not known, so the recipe is this project's.
Tiny keeps the two convolutions as they are, at 8×48×48, and has fc 64 instead of 256. Small has
them at 16×64×64, from tiny's weights, and fc 128.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ferbench.models.architecture import BFLOAT16, Architecture, Size, Stage, Weights

CHANNELS = (32, 48)


def _after(length: int) -> int:
    """Length that two convolutions of kernel 3 and stride 2 leave."""
    for _ in CHANNELS:
        length = (length - 3) // 2 + 1
    return length


class C3DTrunk(nn.Module):
    """(B,T,3,H,W) -> (B,width): the two convolutions, flattened."""

    def __init__(self, frames: int, image_size: int, dropout: float = 0.2) -> None:
        super().__init__()
        if _after(frames) < 1 or _after(image_size) < 1:
            raise ValueError(f"C3D needs at least 7 frames of 7x7, not {frames} of {image_size}x{image_size}")
        self.clip_shape = (frames, 3, image_size, image_size)
        self.width = CHANNELS[-1] * _after(frames) * _after(image_size) ** 2
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Conv3d(i, o, 3, stride=2), nn.BatchNorm3d(o), nn.ReLU(), nn.Dropout3d(dropout))
                for i, o in zip((3, *CHANNELS), CHANNELS, strict=False)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1:] != self.clip_shape:
            raise ValueError(f"this C3D needs clips of shape {self.clip_shape}, not {tuple(x.shape[1:])}")
        return self.layers(x.transpose(1, 2)).flatten(1)  # (B,3,T,H,W) -> (B,48,T',H',W') -> (B,width)


class C3D(nn.Module):
    """(B,T,3,H,W) -> (B,classes)."""

    def __init__(self, classes: int, frames: int, image_size: int, hidden: int = 256) -> None:
        super().__init__()
        self.trunk = C3DTrunk(frames, image_size)
        self.head = nn.Sequential(
            nn.Linear(self.trunk.width, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.trunk(x))


def c3d_trunk_tiny() -> C3DTrunk:
    """The trunk of the tiny size, for pretraining."""
    return C3DTrunk(frames=8, image_size=48)


ARCHITECTURE = Architecture(
    name="c3d",
    title="C3D (2 layers)",
    view="clip",
    source="arXiv 1412.0767; jerry940100/Video-Based-Facial-Expression-Recognition",
    models_time=True,
    sizes={
        "full": Size(
            build=partial(C3D, frames=16, image_size=112),
            image_size=112,
            frames=16,
            stages=(Stage(epochs=50, batch_size=16, optimizer="adam", lr=1e-4),),
            channels_last=True,
        ),
        "tiny": Size(
            build=partial(C3D, frames=8, image_size=48, hidden=64),
            image_size=48,
            frames=8,
            stages=(
                Stage(
                    epochs=15,
                    max_samples=10_000,
                    batch_size=16,
                    lr=0.00088,
                    weight_decay=0.22,
                    label_smoothing=0.2,
                    class_weights="sqrt_inverse",
                    augmentation="none",
                ),
            ),
            weights=(Weights("motion-c3d", "trunk"),),
            channels_last=True,
            searched=True,
        ),
        "small": Size(
            build=partial(C3D, frames=16, image_size=64, hidden=128),
            image_size=64,
            frames=16,
            stages=(
                Stage(
                    epochs=40,
                    batch_size=32,
                    lr=1e-3,
                    weight_decay=0.05,
                    label_smoothing=0.1,
                    class_weights="sqrt_inverse",
                    augmentation="light",
                ),
            ),
            weights=(Weights("motion-c3d", "trunk"),),
            precision=BFLOAT16,
            channels_last=True,
        ),
    },
)
