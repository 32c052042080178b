"""IR-50, the residual network of ArcFace (arXiv 1801.07698): (N,3,112,112) -> its maps at three scales.

Parameter names are those of face.evoLVe, whose weights are trained on MS-Celeb-1M. The networks for expressions that
start from them leave out the fourth stage and the embedding.
"""

from __future__ import annotations

from torch import Tensor, nn


class Unit(nn.Module):
    """Norm, two 3×3 convolutions, norm: (N,I,H,W) -> (N,O,H/stride,W/stride).

    The shortcut of a unit that keeps its width is every stride-th place of the map, without parameters.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.shortcut_layer = (
            None
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        same = x[..., :: self.stride, :: self.stride] if self.shortcut_layer is None else self.shortcut_layer(x)
        return self.res_layer(x) + same


class IR50(nn.Module):
    """(N,3,H,W) -> (N,64,H/2,W/2), (N,128,H/4,W/4), (N,256,H/8,W/8): 17.61 M parameters, 5.47 G multiply-adds."""

    widths = (64, 128, 256)
    units = (3, 4, 14)

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        self.body = nn.Sequential()
        inputs = 64
        for width, units in zip(self.widths, self.units, strict=True):
            self.body.extend(Unit(width if n else inputs, width, stride=1 if n else 2) for n in range(units))
            inputs = width

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.input_layer(x)
        maps, begin = [], 0
        for units in self.units:
            x = self.body[begin : begin + units](x)
            maps.append(x)
            begin += units
        return tuple(maps)
