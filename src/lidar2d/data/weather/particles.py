"""Drops and flakes in the air: how many of each size, how much light they take, and which one a beam sees.

A beam of a LiDAR meets thousands of drops, and returns the strongest echo of all. Drops are a Poisson process, so the
number of those whose echo is stronger than p is Poisson with a mean M(p) that can be tabulated, and the strongest echo
is M^-1(-ln u) for u uniform in 0..1. One number a beam says what drawing its drops one by one would have said.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidar2d.data.weather.beams import CLEAR, NEAR, reach, strongest
from lidar2d.data.weather.corruption import Echoes, Floats, Sweep

_DIVERGENCE = 3e-3  # radians, of the whole beam: LISA, arXiv:2107.07004
_APERTURE = 0.01  # metres, of the beam at the sensor
_FARTHEST = 120.0  # metres: drops behind have no echo
_DEPTHS, _POWERS = 160, 128  # of the tables


@dataclass(frozen=True)
class Particles:
    """Balls whose diameters D, in metres, are distributed as N(D) = ``density`` exp(-D / ``size``).

    Args:
        density: 1 / m^4: of N(D) at D = 0.
        size: metres, the mean diameter.
        reflectivity: share of the light on a ball that comes back.
    """

    density: float
    size: float
    reflectivity: float

    @property
    def number(self) -> float:
        """How many there are in a cubic metre."""
        return self.density * self.size

    @property
    def extinction(self) -> float:
        """The share of light that is lost per metre.

        Large balls take away twice the light that falls on them: 2 pi / 4 times the integral of D^2 N(D).
        """
        return float(np.pi * self.density * self.size**3)


def among(particles: Particles, sweep: Sweep, rng: Generator, returned: Floats | float = 1.0) -> Echoes:
    """Return what comes back through balls in the air: echoes that they dim, or the strongest ball before them.

    Args:
        particles: in the air.
        sweep: in clear air.
        rng: which balls are where.
        returned: (N,) share of the power that comes back from the surfaces themselves.
    """
    distance = reach(sweep.points)
    through = np.exp(-2 * particles.extinction * distance) * returned
    return strongest(sweep, through, rng, *strongest_echo(particles, distance, rng))


def strongest_echo(particles: Particles, distance: Floats, rng: Generator) -> tuple[Floats, Floats, Floats]:
    """Draw the strongest echo of the balls in front of each target.

    A ball of diameter D at r metres gives reflectivity min(1, D / w)^2 exp(-2 a r) / r^2, where w is the beam's width
    there and a the extinction.

    Args:
        particles: in the air.
        distance: (N,) metres to the targets.
        rng: one number a beam says how strong it is, another one where.

    Returns:
        power (N,), 0 where there is none; metres (N,) to the ball; and the share (N,) of the beam that it fills.
    """
    depths, powers, counts = _tables(particles)
    column = np.clip(np.searchsorted(depths, distance) - 1, 0, len(depths) - 1)
    wanted = -np.log(1 - rng.random(len(distance)))
    # counts fall with power: the last power that still has so many
    row = _last_at_least(counts, column, wanted)
    found = row >= 0
    row = np.maximum(row, 0)
    place = _draw_place(counts, row, column, rng.random(len(distance)))
    metres = depths[place]
    above = np.minimum(row + 1, len(powers) - 1)
    gap = counts[row, column] - counts[above, column]
    share = np.clip((counts[row, column] - wanted) / np.maximum(gap, 1e-300), 0, 1)
    power = np.where(found, powers[row] * (powers[above] / powers[row]) ** share, 0)
    return power.astype(np.float32), metres.astype(np.float32), np.minimum(power * np.square(metres), 1).astype("f4")


def _last_at_least(counts: Floats, column: NDArray[np.int64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the largest row whose count in a column is at least what is wanted, -1 where none is."""
    low, high = np.full(len(column), -1), np.full(len(column), len(counts))
    while (high - low > 1).any():
        middle = (low + high) // 2
        enough = counts[np.clip(middle, 0, len(counts) - 1), column] >= wanted
        low, high = np.where(enough, middle, low), np.where(enough, high, middle)
    return low


def _draw_place(
    counts: Floats, row: NDArray[np.int64], column: NDArray[np.int64], luck: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Draw where balls of a power stand: those stronger than it, without those stronger than the next."""
    above = np.minimum(row + 1, len(counts) - 1)
    total = counts[row, column] - counts[above, column]
    wanted = luck * total
    low, high = np.full(len(column), -1), column.copy()
    while (high - low > 1).any():
        middle = np.clip((low + high) // 2, 0, None)
        reached = counts[row, middle] - counts[above, middle] >= wanted
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
        low = np.minimum(low, high - 1)
    return high


@lru_cache(maxsize=32)
def _tables(particles: Particles) -> tuple[Floats, Floats, Floats]:
    """Return depths (R,), powers (P,) and how many balls before each depth have more than each power (P, R)."""
    edges = np.geomspace(NEAR, _FARTHEST, _DEPTHS + 1)
    depths = np.sqrt(edges[1:] * edges[:-1])
    width = _APERTURE + _DIVERGENCE * depths
    volume = np.pi / 4 * np.square(width) * np.diff(edges)
    overlap = np.clip((depths - NEAR) / (CLEAR - NEAR), 0, 1)
    most = particles.reflectivity * overlap * np.exp(-2 * particles.extinction * depths) / np.square(depths)
    powers = np.geomspace(1e-10, most.max() * (1 + 1e-9), _POWERS)
    share = powers[:, None] / np.maximum(most, 1e-300)  # of the beam that a ball of that power fills
    more = np.where(share < 1, np.exp(-width * np.sqrt(np.minimum(share, 1)) / particles.size), 0.0)
    counts = np.cumsum(particles.number * volume * more, axis=1)
    return depths, powers, counts
