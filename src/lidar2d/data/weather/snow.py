"""Snow that falls, of one occupancy: the share of the air that is snow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.air import air_light, haze
from lidar2d.data.weather.corruption import Corruption, Echoes, Sweep, View
from lidar2d.data.weather.falling import cover
from lidar2d.data.weather.light import displayed, linear
from lidar2d.data.weather.particles import Particles, among
from lidar2d.errors import within

_FLAKE = 1.25e-3  # metres, the mean diameter; by volume a flake has 5 mm
_WHITE = 0.8  # share of the light that a flake sends back
_SPEED = 1.2  # metres per second that flakes fall


def flakes(occupancy: float) -> Particles:
    """Return flakes that fill a share of the air: pi / 6 times the integral of D^3 N(D) is the occupancy."""
    return Particles(occupancy / (np.pi * _FLAKE**4), _FLAKE, _WHITE)


@dataclass(frozen=True)
class Snow(Corruption):
    """Falling snow.

    Args:
        occupancy: share of the air that is snow; 1 mm of water an hour, as snow of 0.1 g/cm^3 that falls with 1.2 m/s,
            is 2.3e-6.
    """

    occupancy: float

    def __post_init__(self) -> None:
        """Refuse what is no snowfall."""
        within(1e-9, 1e-2, occupancy=self.occupancy)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Veil the scene and draw flakes."""
        falling = flakes(self.occupancy)
        light = linear(view.image)
        sky = air_light(light)
        light = haze(torch.exp(-falling.extinction * view.reach), sky).seen(light)
        return displayed(light.lerp_(sky, cover(view, falling, _SPEED, rng)))

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Dim echoes; the strongest flake before them may drown them."""
        return among(flakes(self.occupancy), sweep, rng)
