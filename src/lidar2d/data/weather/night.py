"""Night: the light of the scene goes, that of the headlights comes, and the sensor counts what photons are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.corruption import Corruption, View
from lidar2d.data.weather.light import displayed, enlarged, linear
from lidar2d.errors import within

_WELL = 10_000.0  # electrons that a pixel holds, all of them at full brightness by day
_READ = 3.0  # electrons of read noise, standard deviation
_GAIN = 12.0  # the most that the camera's exposure makes up for the dark
_FLOOD = 0.01  # light of the headlights on what stands 10 metres ahead, as a share of daylight: 200 of 20,000 lux
_DISTANCE = 10.0  # metres
_LAMP = (2.0, 0.0, -1.1)  # metres: of the headlights from the LiDAR: ahead, and below it
_WIDE, _HIGH = 25.0, 6.0  # degrees: half widths of their beam


@dataclass(frozen=True)
class Night(Corruption):
    """Low light. The LiDAR has a light of its own and sees the same.

    Args:
        light: of the surroundings, as a share of daylight.
    """

    light: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(1e-6, 1, light=self.light)

    def picture(self, view: View, rng: Generator) -> Tensor:
        """Light the scene anew, expose it, and count electrons: Poisson's by their normal limit, and read noise."""
        day = linear(view.image)
        shown = day * enlarged(self.light + headlights(view), view.size)
        gain = min(_GAIN, 1 / self.light)
        electrons = shown.mul_(_WELL)
        noise = torch.from_numpy(rng.standard_normal(tuple(shown.shape), dtype=np.float32))
        counted = torch.addcmul(electrons, noise, (electrons + _READ**2).sqrt_())
        return displayed(counted.mul_(gain / _WELL))


def headlights(view: View) -> Tensor:
    """Return the light (h, w) that the headlights throw on what each cell sees, as a share of daylight.

    It falls off with the square of the distance, and to the sides of the beam.
    """
    places = view.rays() * view.reach
    rotation, shift = view.cam_from_lidar[:3, :3].float(), view.cam_from_lidar[:3, 3].float()
    # from the lamps, in the LiDAR's axes
    beam = rotation.T @ (places.flatten(1) - shift[:, None]) - places.new_tensor(_LAMP)[:, None]
    distance = beam.square().sum(0).sqrt().clamp_min(1.0)
    across = torch.atan2(beam[1], beam[0]) * (180 / np.pi / _WIDE)
    up = torch.asin((beam[2] / distance).clamp(-1, 1)) * (180 / np.pi / _HIGH)
    lit = _FLOOD * (_DISTANCE / distance) ** 2 * torch.exp(-0.5 * (across**2 + up**2))
    return lit.clamp_max(1.0).view_as(view.reach)
