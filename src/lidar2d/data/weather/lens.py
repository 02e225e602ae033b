"""What lies on the lens: drops that bend the light, dirt that takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.light import displayed, enlarged, linear
from lidar2d.errors import within

_SMALLEST, _LARGEST = 0.006, 0.05  # radius of a spot, as a share of the image's diagonal
_COARSE = 4  # pixels of the image that one of the mask stands for
_BLUR = 24  # pixels of the image that a drop mixes, of a diagonal of 1000
_UPSIDE = 0.4  # share of what a drop shows that comes from the other side of the horizon: it is a lens of its own
_BROWN = (0.18, 0.14, 0.10)  # light that dry dirt sends into the lens


def drops(size: tuple[int, ...], share: float, rng: Generator) -> Tensor:
    """Return how much (H, W) of each pixel lies behind round spots that cover a share of the lens."""
    height, width = size
    rows, columns = -(-height // _COARSE), -(-width // _COARSE)
    diagonal = float(np.hypot(height, width))
    # radii are drawn with a chance of r ** -3 between the smallest and the largest
    reach = _SMALLEST**-2 - _LARGEST**-2
    mean = np.pi * 2 * np.log(_LARGEST / _SMALLEST) / reach * diagonal**2
    count = rng.poisson(-np.log(1 - share) * height * width / mean)  # spots overlap
    radius = diagonal / np.sqrt(_SMALLEST**-2 - rng.random(count) * reach) / _COARSE
    u, v, flat = rng.random(count) * columns, rng.random(count) * rows, rng.uniform(0.8, 1.0, count)
    top, left = ((at - radius - 1).astype(np.int64).clip(0) for at in (v, u))
    bottom, right = ((at + radius + 2).astype(np.int64).clip(None, end) for at, end in ((v, rows), (u, columns)))
    # all cells of all spots, one after the other
    wide, cells = right - left, (right - left) * (bottom - top)
    spot = np.repeat(np.arange(count), cells)
    place = np.arange(len(spot)) - np.repeat(np.cumsum(cells) - cells, cells)
    row, column = top[spot] + place // wide[spot], left[spot] + place % wide[spot]
    gap = np.hypot(row + 0.5 - v[spot], (column + 0.5 - u[spot]) / flat[spot])
    depth = np.clip((radius[spot] - gap) / np.maximum(0.25 * radius, 0.5)[spot], 0, 1)
    mask = np.zeros(rows * columns, np.float32)
    np.maximum.at(mask, row * columns + column, depth.astype(np.float32))
    whole = F.interpolate(torch.from_numpy(mask).view(1, 1, rows, columns), scale_factor=_COARSE, mode="bilinear")
    return whole[0, 0, :height, :width]


def through_drops(light: Tensor, mask: Tensor) -> Tensor:
    """Let a share (H, W) of light (3, H, W) be seen through drops, in place: out of focus, and partly upside down."""
    height, width = mask.shape
    cells = max(2, round(_BLUR * float(np.hypot(height, width)) / 1000))
    small = F.avg_pool2d(light[None], cells, ceil_mode=True)
    small = (1 - _UPSIDE) * small + _UPSIDE * small.flip(-2)
    return light.lerp_(enlarged(small[0], (height, width)), mask)


@dataclass(frozen=True)
class LensDirt(Corruption):
    """Dirt on the lens: spots of mud, the same in weather and out of it.

    Args:
        share: of the lens that it covers.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 0.95, share=self.share)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Put dirt before the picture."""
        mask = drops(view.size, self.share, rng)
        light = linear(view.image)
        mud = light.new_tensor(_BROWN)[:, None, None] * (0.3 + light.mean())
        return displayed(light.lerp_(mud, 0.95 * mask))
