"""Fog, wet ground and snow as Robo3D lays them over LiDAR sweeps; cameras are left alone.

L. Kong et al., "Robo3D: Towards Robust and Reliable 3D Perception against Corruptions", ICCV 2023, after two papers of
M. Hahner et al. Written from equations and values, so not bit for bit; what is ours is said with each class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from lidar2d.data.weather.beams import NEAR, reach
from lidar2d.data.weather.corruption import Corruption, Echoes, Floats, Sweep
from lidar2d.data.weather.fog import FOG_JITTER, echo_by_target
from lidar2d.data.weather.particles import among
from lidar2d.data.weather.snow import flakes
from lidar2d.data.weather.wet import film_returns, on_road, under_water
from lidar2d.errors import within

_ALPHAS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.06)  # 1 / m: extinctions that each frame draws one of
_ICE = 0.1  # g / cm^3: density of snow
_BINS, _DIM = 50, 0.02  # of the distance to the road; the share of its points there that are called dimmest


@dataclass(frozen=True)
class Fog(Corruption):
    """Fog whose extinction is drawn anew for each frame, and whose severity is its backscatter alone.

    A target's echo is i exp(-2 alpha R); the fog's that of Hahner et al., ICCV 2021. The larger counts, be it faint.

    Args:
        backscatter: coefficient beta, 1 / (m sr).
        steps: that an intensity is rounded to, which loses the faintest; 0 rounds none.
    """

    backscatter: float
    steps: int

    def __post_init__(self) -> None:
        """Refuse what is no backscatter."""
        within(0, 10, backscatter=self.backscatter)
        within(0, 65535, steps=self.steps)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Move the points whose beams end in the fog; no point is lost."""
        points, distance = sweep.points.copy(), reach(sweep.points)
        alpha = float(sweep.scene.rng().choice(_ALPHAS))
        ratio, place = echo_by_target(alpha, self.backscatter, distance)
        hard = points[:, 3] * np.exp(-2 * alpha * distance)
        soft = hard * ratio
        if self.steps:
            hard = np.round(hard * self.steps) / self.steps
        synthetic = soft > hard
        jitter = rng.uniform(-1, 1, len(distance)).astype(np.float32) * np.float32(FOG_JITTER)
        # a jitter longer than the beam would put the echo behind the sensor
        moved = np.clip(place * (distance + jitter) / distance, NEAR, distance)
        points[:, :3] *= np.where(synthetic, moved / distance, 1).astype(np.float32)[:, None]
        points[:, 3] = np.minimum(np.where(synthetic, soft, hard), 1)
        return Echoes(points, np.arange(len(points)), synthetic)


@dataclass(frozen=True)
class WetGround(Corruption):
    """Water on the road, after Hahner et al., CVPR 2022; what has become too dim is lost.

    There the road is what labels call so, here the plane that fits the points. The floor is a share of the dimmest dry
    echo at that distance, on a straight line through the dimmest of each bin of distance: ours, for no rule is printed.

    Args:
        film: millimetres of water.
        floor: share of the dimmest dry echo of the road that is still seen.
    """

    film: float
    floor: float

    def __post_init__(self) -> None:
        """Refuse what is no film, or no share."""
        within(0, 100, film=self.film)
        within(0, 1, floor=self.floor)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:  # noqa: ARG002 nothing is random about it
        """Dim the road, and take away what is too dim."""
        road, distance = on_road(sweep), reach(sweep.points)
        points = sweep.points.copy()
        points[:, 3] *= film_returns(sweep, under_water(self.film))
        least = self.floor * _dimmest(distance[road], sweep.points[road, 3], distance)
        source = np.flatnonzero(~road | (points[:, 3] >= least))
        return Echoes(points[source], source, np.zeros(len(source), bool))


def _dimmest(distance: Floats, intensity: Floats, at: Floats) -> Floats:
    """Return the intensity (N,) of the dimmest echoes of the dry road at some distances."""
    if len(distance) < _BINS:
        return np.zeros_like(at)
    edges = np.quantile(distance, np.linspace(0, 1, _BINS + 1))
    cell = np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, _BINS - 1)
    cells = [cell == each for each in range(_BINS) if (cell == each).any()]
    middle = [distance[each].mean() for each in cells]
    dim = [np.quantile(intensity[each], _DIM) for each in cells]
    slope, start = np.polyfit(middle, dim, 1) if len(cells) > 1 else (0.0, dim[0])
    found: Floats = np.maximum(slope * at + start, 0).astype(np.float32)
    return found


@dataclass(frozen=True)
class Snow(Corruption):
    """Falling snow by its rate and its speed: the share S / (3.6e6 rho v) of the air, Hahner et al., CVPR 2022.

    There flakes are discs in the plane of each beam; here they are the balls of :mod:`lidar2d.data.weather.snow`.

    Args:
        rate: millimetres of water per hour.
        speed: metres per second that flakes fall with.
    """

    rate: float
    speed: float

    def __post_init__(self) -> None:
        """Refuse what is no snowfall."""
        within(1e-3, 100, rate=self.rate)
        within(0.1, 20, speed=self.speed)

    @property
    def occupancy(self) -> float:
        """The share of the air that is snow."""
        return self.rate / (3.6e6 * _ICE * self.speed)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Dim echoes; the strongest flake before them may drown them."""
        return among(flakes(self.occupancy), sweep, rng)
