"""Spray: clouds of water that traffic throws up from a wet road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.air import veiled
from lidar2d.data.weather.beams import reach, strongest
from lidar2d.data.weather.corruption import Corruption, Echoes, Scene, Sweep, View
from lidar2d.data.weather.fog import mist_echo
from lidar2d.errors import within

_CLOUDS = 6
_AHEAD, _LANE = (8.0, 40.0), 3.5  # metres: distance of a cloud before or behind, and between lanes
_SPREAD = (3.0, 0.9, 0.6)  # metres: standard deviations along the road, across it and upward
_HIGH = 0.8  # metres of its middle above the road
_PLACES = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5)  # standard deviations along the beam where its echo may be strongest


@dataclass(frozen=True)
class Spray(Corruption):
    """Clouds of spray on the lanes before and behind, which both sensors look through.

    Nothing is known of the traffic, so clouds hang on lanes at random: the labels of a frame are not read.

    Args:
        extinction: share of the light that is lost per metre in the middle of a cloud.
    """

    extinction: float
    everywhere: ClassVar[bool] = False  # not every sensor has a cloud in sight

    def __post_init__(self) -> None:
        """Refuse what is no spray."""
        within(0, 10, extinction=self.extinction)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 clouds belong to the world
        """Veil what lies behind and in the clouds."""
        rotation, shift = view.cam_from_lidar[:3, :3].float(), view.cam_from_lidar[:3, 3].float()
        direction = (rotation.T @ view.rays().flatten(1)).T
        depth = torch.zeros(view.reach.numel())
        for cloud in clouds(view.scene):
            middle, spread, density = along(direction, -(rotation.T @ shift), cloud)
            depth += self.extinction * _passed(density, middle, spread, view.reach.flatten())
        return veiled(view, torch.exp(-depth).view_as(view.reach))

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Dim beams that pass through clouds; the strongest of the clouds' own echoes may drown the scene's."""
        distance = torch.from_numpy(reach(sweep.points))
        direction = torch.from_numpy(sweep.points[:, :3]) / distance[:, None]
        beams = [along(direction, torch.zeros(3), cloud) for cloud in clouds(sweep.scene)]

        bright = float(sweep.points[:, 3].mean()) if len(sweep.points) else 0.0
        best, place = torch.zeros_like(distance), torch.ones_like(distance)
        for middle, spread, density in beams:
            crossed = torch.nonzero((density > 1e-3) & (middle > 0))[:, 0]
            places = [torch.minimum((middle + step * spread).clamp_min(1.0), distance)[crossed] for step in _PLACES]
            through = torch.exp(-2 * self._to(beams, crossed, torch.stack(places)))
            for step, at, left in zip(_PLACES, places, through, strict=True):
                own = self.extinction * density[crossed] * np.exp(-0.5 * step**2)
                power = bright * mist_echo(own, at) * left
                better = power > best[crossed]
                best[crossed[better]], place[crossed[better]] = power[better], at[better]
        whole = torch.exp(-2 * self._to(beams, torch.arange(len(distance)), distance)).numpy()
        return strongest(sweep, whole, rng, best.numpy(), place.numpy(), (best * place**2).clamp(0, 1).numpy())

    def _to(self, beams: list[tuple[Tensor, Tensor, Tensor]], rows: Tensor, at: Tensor) -> Tensor:
        """Return the optical depth of some beams (N,) up to distances (..., N)."""
        depth = torch.zeros_like(at)
        for middle, spread, density in beams:
            depth += self.extinction * _passed(density[rows], middle[rows], spread[rows], at)
        return depth


def clouds(scene: Scene) -> list[Tensor]:
    """Return the middles (3,) of the clouds in the LiDAR frame."""
    rng = scene.rng()
    found = []
    for _ in range(_CLOUDS):
        x = rng.uniform(*_AHEAD) * rng.choice([1.0, 1.0, -1.0])
        y = _LANE * rng.integers(-1, 2) + rng.normal(0, 0.3)
        a, b, c, d = scene.ground
        found.append(torch.tensor([x, y, -(a * x + b * y + d) / c + _HIGH], dtype=torch.float32))
    return found


def along(direction: Tensor, origin: Tensor, cloud: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the profile of a cloud along rays: its density is ``density`` exp(-((t - middle) / spread)^2 / 2).

    Args:
        direction: (N, 3) of length 1, in the LiDAR frame.
        origin: (3,) of the rays.
        cloud: (3,) its middle.

    Returns:
        middle (N,), spread (N,) in metres, and density (N,) of which the cloud's middle has 1.
    """
    scale = 1 / direction.new_tensor(_SPREAD)
    ray, gap = direction * scale, (cloud - origin) * scale
    steep = (ray * ray).sum(1)
    toward = ray @ gap
    density = torch.exp(-0.5 * ((gap @ gap) - toward**2 / steep).clamp_min(0))
    return toward / steep, torch.rsqrt(steep), density


def _passed(density: Tensor, middle: Tensor, spread: Tensor, to: Tensor) -> Tensor:
    """Integrate a profile from 0 to ``to`` metres."""
    share = torch.special.ndtr((to - middle) / spread) - torch.special.ndtr(-middle / spread)
    depth: Tensor = density * spread * np.sqrt(2 * np.pi) * share.clamp_min(0)
    return depth
