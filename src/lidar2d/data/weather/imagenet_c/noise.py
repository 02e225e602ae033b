"""Noise of sensors, value by value: what is random about one value has nothing to do with the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import pdtr
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.imagenet_c.values import shares, stored
from lidar2d.errors import within

_LUCK = 1 << 16  # equal chances that a draw is one of


@dataclass(frozen=True)
class GaussianNoise(Corruption):
    """Normal noise that is added.

    Args:
        spread: standard deviation, as a share of white.
    """

    spread: float

    def __post_init__(self) -> None:
        """Refuse what is no standard deviation."""
        within(0, 10, spread=self.spread)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Add noise."""
        return stored(normal(view.image, rng).mul_(self.spread).add_(shares(view.image)))


@dataclass(frozen=True)
class SpeckleNoise(Corruption):
    """Normal noise that grows with the value.

    Args:
        spread: standard deviation, as a share of the value.
    """

    spread: float

    def __post_init__(self) -> None:
        """Refuse what is no standard deviation."""
        within(0, 10, spread=self.spread)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Multiply by 1 + noise."""
        return stored(normal(view.image, rng).mul_(self.spread).add_(1).mul_(shares(view.image)))


@dataclass(frozen=True)
class ShotNoise(Corruption):
    """A sensor that counts few photons.

    Args:
        photons: that white is.
    """

    photons: int

    def __post_init__(self) -> None:
        """Refuse what can not be counted."""
        within(1, 10_000, photons=self.photons)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Count photons."""
        return stored(_counted(_even(self.photons), view.image, rng, self.photons))


@dataclass(frozen=True)
class IsoNoise(Corruption):
    """A sensor that counts few photons, and normal noise beside: RoboDepth's.

    Args:
        photons: that white is.
        spread: standard deviation of the noise, as a share of white.
    """

    photons: int
    spread: float

    def __post_init__(self) -> None:
        """Refuse what can not be counted, and what is no standard deviation."""
        within(1, 10_000, photons=self.photons)
        within(0, 10, spread=self.spread)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Count photons and add noise."""
        counted = _counted(_even(self.photons), view.image, rng, self.photons)
        return stored(normal(view.image, rng).mul_(self.spread).add_(counted))


@dataclass(frozen=True)
class Dark(Corruption):
    """Low light: RoboDepth's.

    Args:
        light: share of white that the brightest value becomes; the others fall with the square of their place between
            the darkest and the brightest.
        photons: that white is.
        spread: standard deviation of normal noise beside, as a share of white.
    """

    light: float
    photons: int
    spread: float

    def __post_init__(self) -> None:
        """Refuse what is no share, what can not be counted, and what is no standard deviation."""
        within(0, 1, light=self.light)
        within(1, 10_000, photons=self.photons)
        within(0, 10, spread=self.spread)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Darken, count photons and add noise."""
        outcomes = _darkened(int(view.image.min()), int(view.image.max()), self.light, self.photons)
        counted = _counted(outcomes, view.image, rng, self.photons)
        return stored(normal(view.image, rng).mul_(self.spread).add_(counted))


@dataclass(frozen=True)
class ImpulseNoise(Corruption):
    """Values that are black or white.

    Args:
        share: of the values, as many black as white.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, share=self.share)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Strike some values."""
        luck = rng.integers(0, _LUCK, tuple(view.image.shape), dtype=np.uint16)
        struck = view.image.numpy().copy()
        struck[luck < self.share / 2 * _LUCK] = 0
        struck[luck >= (1 - self.share / 2) * _LUCK] = 255
        return torch.from_numpy(struck)


def normal(image: Tensor, rng: Generator) -> Tensor:
    """Return normal noise of standard deviation 1 for each value of an image."""
    return torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))


def _counted(outcomes: NDArray[np.uint16], image: Tensor, rng: Generator, photons: int) -> Tensor:
    """Draw one of the outcomes (256, 65536) of each value of an image, as shares of white."""
    index = image.numpy().astype(np.int32) << 16
    index |= rng.integers(0, _LUCK, index.shape, dtype=np.uint16)
    return torch.from_numpy(outcomes.ravel().take(index).astype(np.float32)).div_(photons)


@lru_cache(maxsize=1)  # 32 MB each
def _even(photons: int) -> NDArray[np.uint16]:
    return _outcomes(np.arange(256) / 255, photons)


@lru_cache(maxsize=1)
def _darkened(darkest: int, brightest: int, light: float, photons: int) -> NDArray[np.uint16]:
    place = ((np.arange(256) - darkest) / max(brightest - darkest, 1)).clip(0, 1)
    return _outcomes(light * np.square(place), photons)


def _outcomes(light: NDArray[np.float64], photons: int) -> NDArray[np.uint16]:
    """Return how many photons each of 256 values may be, each number as often among 65,536 as Poisson's law has it.

    An image has 256 values, so that drawing from these is drawing photons, and faster.

    Args:
        light: (256,) of each value, as a share of white.
        photons: that white is.
    """
    counts = np.arange(photons + 1, dtype=np.uint16)  # more are white, too
    below = pdtr(counts, photons * light[:, None])
    below[:, -1] = 1
    ends = np.rint(below * _LUCK).astype(np.int64)
    times = np.diff(ends, prepend=0, axis=1)
    return np.repeat(np.tile(counts, 256), times.ravel()).reshape(256, _LUCK)
