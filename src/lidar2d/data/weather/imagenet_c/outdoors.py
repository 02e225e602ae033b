"""Fog, snow and spatter that know nothing of distance, as ImageNet-C has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.imagenet_c.blur import folded, gaussian, streak
from lidar2d.data.weather.imagenet_c.values import shares, stored
from lidar2d.data.weather.imagenet_c.water import glitter
from lidar2d.errors import within

_GREY = (0.299, 0.587, 0.114)  # of red, green and blue: Rec. 601
_WATER, _MUD = (175, 238, 238), (63, 42, 20)
_THICK = 0.8  # of mud, below which it is none


@dataclass(frozen=True)
class PlasmaFog(Corruption):
    """Clouds before the picture.

    Args:
        thickness: of them, white being 1.
        smooth: that each octave is weaker by than the one before.
    """

    thickness: float
    smooth: float

    def __post_init__(self) -> None:
        """Refuse what is no cloud."""
        within(0, 100, thickness=self.thickness)
        within(1, 100, smooth=self.smooth)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Add clouds, and darken so that the brightest stays as bright."""
        colours = shares(view.image)
        brightest = float(colours.max())
        clouds = torch.from_numpy(plasma(view.size, self.smooth, rng))
        return stored(colours.add_(clouds, alpha=self.thickness).mul_(brightest / (brightest + self.thickness)))


@dataclass(frozen=True)
class StreakSnow(Corruption):
    """Streaks of snow, and a picture that is paler.

    Args:
        mean: of the noise that flakes are the peaks of.
        spread: its standard deviation.
        zoom: that it is enlarged by.
        least: of a peak.
        radius: pixels, half of the length of a streak.
        soft: pixels along a streak.
        kept: share of the picture that is not made paler.
    """

    mean: float
    spread: float
    zoom: float
    least: float
    radius: int
    soft: float
    kept: float

    def __post_init__(self) -> None:
        """Refuse what is no snow."""
        within(-10, 10, mean=self.mean)
        within(0, 10, spread=self.spread)
        within(1, 100, zoom=self.zoom)
        within(-10, 10, least=self.least)
        within(1, 500, radius=self.radius)
        within(0.1, 500, soft=self.soft)
        within(0, 1, kept=self.kept)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Draw streaks downward, and once more upside down."""
        height, width = view.size
        small = [int(np.ceil(size / self.zoom)) for size in (height, width)]
        noise = torch.from_numpy(rng.standard_normal(small, dtype=np.float32)).mul_(self.spread).add_(self.mean)
        flakes = F.interpolate(noise[None, None], (height, width), mode="bilinear", align_corners=True)[0]
        flakes = torch.where(flakes < self.least, 0.0, flakes).clamp_(0, 1)
        way = streak(self.radius, self.soft, np.radians(rng.uniform(-135, -45)))
        layer = shares((folded(flakes, way, "replicate") * 255).round_())
        colours = shares(view.image)
        pale = torch.einsum("chw,c->hw", colours, colours.new_tensor(_GREY)).mul_(1.5).add_(0.5)
        colours = colours.mul(self.kept).add_(torch.maximum(colours, pale), alpha=1 - self.kept)
        return stored(colours.add_(layer).add_(layer.flip(-2, -1)))


@dataclass(frozen=True)
class Spatter(Corruption):
    """Drops of water, or of mud, on the lens.

    Args:
        mean: of the noise that drops are the peaks of.
        spread: its standard deviation.
        soft: pixels that it is blurred by.
        least: of a peak.
        amount: strength of water; pixels that mud is blurred by.
        mud: and not water.
    """

    mean: float
    spread: float
    soft: float
    least: float
    amount: float
    mud: bool

    def __post_init__(self) -> None:
        """Refuse what is no drop."""
        within(-10, 10, mean=self.mean)
        within(0, 10, spread=self.spread)
        within(0.1, 100, soft=self.soft)
        within(-10, 10, least=self.least)
        within(0.1, 10, amount=self.amount)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Lay drops over the picture."""
        noise = torch.from_numpy(rng.standard_normal(view.size, dtype=np.float32)).mul_(self.spread).add_(self.mean)
        liquid = gaussian(noise[None], self.soft)[0]
        liquid = torch.where(liquid < self.least, 0.0, liquid)
        colours = shares(view.image)
        if not self.mud:
            return stored(colours.add_(_coloured(_WATER) * glitter(liquid), alpha=self.amount))
        mud = gaussian((liquid > 0)[None].float(), self.amount)[0]
        mud = torch.where(mud < _THICK, 0.0, mud)
        return stored(colours.mul_(1 - mud).add_(_coloured(_MUD) * mud))


def _coloured(colour: tuple[int, int, int]) -> Tensor:
    return torch.tensor(colour, dtype=torch.float32)[:, None, None] / 255


def plasma(size: tuple[int, int], smooth: float, rng: Generator) -> NDArray[np.float32]:
    """Return clouds (H, W) by the diamond-square algorithm: 0..1 over a square whose side is a power of two."""
    side = 1 << (max(size) - 1).bit_length()
    clouds, step, wild = np.zeros((side, side), np.float32), side, 100.0
    while step >= 2:
        half = step // 2

        def rough(around: NDArray[Any], wild: float = wild) -> NDArray[np.float32]:
            own = rng.random(around.shape, dtype=np.float32) * np.float32(2) - np.float32(1)
            return around / 4 + np.float32(wild * wild) * own

        corners = clouds[::step, ::step]
        across = corners + np.roll(corners, -1, 1)
        middles = rough(across + np.roll(across, -1, 0))
        clouds[half::step, half::step] = middles
        clouds[::step, half::step] = rough(middles + np.roll(middles, 1, 0) + across)
        clouds[half::step, ::step] = rough(middles + np.roll(middles, 1, 1) + corners + np.roll(corners, -1, 0))
        step, wild = half, wild / smooth
    clouds -= clouds.min()
    found: NDArray[np.float32] = clouds[: size[0], : size[1]] / clouds.max()
    return found
