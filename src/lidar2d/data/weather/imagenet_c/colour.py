"""Brightness, contrast, saturation and depth of colour."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.imagenet_c.values import shares, stored
from lidar2d.errors import within


@dataclass(frozen=True)
class Brightness(Corruption):
    """Brighter by the same amount everywhere, hue and saturation kept: V of HSV.

    Args:
        more: of V, which is the largest of red, green and blue.
    """

    more: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, more=self.more)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Scale each colour by what V grows by; black becomes grey."""
        colours = shares(view.image)
        value = colours.amax(0)
        brighter = (value + self.more).clamp_max(1)
        colours.mul_(brighter / value.clamp_min(1e-6))
        return stored(torch.where(value > 0, colours, brighter))


@dataclass(frozen=True)
class Contrast(Corruption):
    """Nearer to the mean of each colour.

    Args:
        kept: share of the distance to it that is left.
    """

    kept: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, kept=self.kept)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Draw values to their mean."""
        colours = shares(view.image)
        mean = colours.double().mean((1, 2), keepdim=True).float()
        return stored(colours.sub_(mean).mul_(self.kept).add_(mean))


@dataclass(frozen=True)
class Saturate(Corruption):
    """Paler or stronger colours: S of HSV.

    Args:
        times: that S is multiplied by.
        more: that is added; grey, whose hue is none, becomes red.
    """

    times: float
    more: float

    def __post_init__(self) -> None:
        """Refuse what is no factor, and what is no share."""
        within(0, 1000, times=self.times)
        within(0, 1, more=self.more)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Stretch each colour's distance from V."""
        colours = shares(view.image)
        value = colours.amax(0)
        range_ = value - colours.amin(0)
        before = range_ / value.clamp_min(1e-6)
        after = (before * self.times + self.more).clamp_max_(1)
        away = (value - colours).mul_(after / before.clamp_min(1e-6))
        # of grey red stays, and green and blue fall
        red = (after * value) * torch.tensor([0.0, 1.0, 1.0])[:, None, None] if self.more else torch.zeros(3, 1, 1)
        return stored(value - torch.where(range_ > 0, away, red))


@dataclass(frozen=True)
class ColourDepth(Corruption):
    """Fewer bits a colour: RoboDepth's.

    Args:
        bits: of each colour that are left.
    """

    bits: int

    def __post_init__(self) -> None:
        """Refuse what is no number of bits."""
        within(1, 8, bits=self.bits)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Clear the lower bits."""
        return view.image & (256 - (1 << (8 - self.bits)))
