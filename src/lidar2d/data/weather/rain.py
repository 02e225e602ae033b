"""Rain of one rate: in the air, on the road, and on the lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.air import air_light, haze
from lidar2d.data.weather.corruption import Corruption, Echoes, Sweep, View
from lidar2d.data.weather.falling import cover
from lidar2d.data.weather.lens import drops, through_drops
from lidar2d.data.weather.light import displayed, linear
from lidar2d.data.weather.particles import Particles, among
from lidar2d.data.weather.wet import STRAIGHT, film, film_returns
from lidar2d.errors import within

_SKY = 0.9  # of the sky's light that a drop sends to the camera: it shows nearly all that is around it
_SOAKED = 25.0  # millimetres per hour whose film fills the texture of the road; sheets thicken by the root of the rate
_ON_LENS = 0.004  # share of the lens under drops, per millimetre and hour


def drop_sizes(rate: float) -> Particles:
    """Return the drops of rain: 8000 exp(-4.1 R^-0.21 D) per cubic metre and millimetre, Marshall and Palmer, 1948."""
    return Particles(8000.0 * 1e3, 1e-3 / (4.1 * rate**-0.21), STRAIGHT)


@dataclass(frozen=True)
class Rain(Corruption):
    """Rain.

    Args:
        rate: millimetres per hour.
    """

    rate: float

    def __post_init__(self) -> None:
        """Refuse what is no rain."""
        within(1e-3, 500, rate=self.rate)

    @property
    def covered(self) -> float:
        """The share of the road that is under water."""
        return min(float((self.rate / _SOAKED) ** 0.5), 1.0)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Wet the road, veil the scene, draw streaks, and lay drops on the lens."""
        falling = drop_sizes(self.rate)
        light = linear(view.image)
        sky = air_light(light)
        air = haze(torch.exp(-falling.extinction * view.reach), sky)
        light = air.before(film(view, light, sky, self.covered)).seen(light)
        # a drop of the mean size by volume falls 9.65 - 10.3 exp(-600 D) m/s: Atlas et al., 1973
        speed = 9.65 - 10.3 * np.exp(-600 * 4 * falling.size)
        light.lerp_(_SKY * sky, cover(view, falling, speed, rng))
        return displayed(through_drops(light, drops(view.size, min(_ON_LENS * self.rate, 0.5), rng)))

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Dim echoes by the rain and by the film on the road; the strongest drop before them may drown them."""
        return among(drop_sizes(self.rate), sweep, rng, film_returns(sweep, self.covered))
