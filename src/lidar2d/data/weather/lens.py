"""What lies on the lens: drops that bend the light, dirt that takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.light import displayed, linear
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
    mask = np.zeros((rows, columns), np.float32)
    for x, y, r, f in zip(u, v, radius, flat, strict=True):
        top, left = max(int(y - r - 1), 0), max(int(x - r - 1), 0)
        bottom, right = min(int(y + r + 2), rows), min(int(x + r + 2), columns)
        gap = np.hypot(np.arange(top, bottom)[:, None] + 0.5 - y, (np.arange(left, right) + 0.5 - x) / f)
        part = mask[top:bottom, left:right]
        np.maximum(part, np.clip((r - gap) / max(0.25 * r, 0.5), 0, 1), out=part)
    whole = F.interpolate(torch.from_numpy(mask)[None, None], scale_factor=_COARSE, mode="bilinear")
    return whole[0, 0, :height, :width]


def through_drops(light: Tensor, mask: Tensor) -> Tensor:
    """Let a share (H, W) of light (3, H, W) be seen through drops, in place: out of focus, and partly upside down."""
    height, width = mask.shape
    cells = max(2, round(_BLUR * float(np.hypot(height, width)) / 1000))
    small = F.avg_pool2d(light[None], cells, ceil_mode=True)
    small = (1 - _UPSIDE) * small + _UPSIDE * small.flip(-2)
    blurred = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)[0]
    return light.lerp_(blurred, mask)


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
