"""Faults of the LiDAR: beams that fail, pulses of another one, a sensor with fewer beams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidar2d.data.weather.beams import reach
from lidar2d.data.weather.corruption import Corruption, Echoes, Sweep, keep
from lidar2d.errors import within


def beam_of(sweep: Sweep) -> NDArray[np.int64]:
    """Return the beam (N,) of each point, 0 the lowest.

    Not every data set's files say it, so beams are equal bands of elevation from the sensor's lowest to its highest.
    """
    low, high = np.radians(sweep.elevation)
    angle = np.arcsin(np.clip(sweep.points[:, 2] / reach(sweep.points), -1, 1))
    place = (angle - low) / (high - low) * (sweep.beams - 1)
    found: NDArray[np.int64] = np.clip(np.round(place), 0, sweep.beams - 1).astype(np.int64)
    return found


@dataclass(frozen=True)
class BeamLoss(Corruption):
    """Beams that fail, each a different one.

    Args:
        share: of the sensor's beams.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, share=self.share)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Leave the points of the failed beams out."""
        failed = rng.permutation(sweep.beams)[: round(self.share * sweep.beams)]
        return keep(sweep.points, ~np.isin(beam_of(sweep), failed))


@dataclass(frozen=True)
class CrossSensor(Corruption):
    """A sensor with fewer beams, which fires less often.

    Args:
        beams: every so many of the sensor's beams are there.
        fires: every so many of their points are.
    """

    beams: int
    fires: int

    def __post_init__(self) -> None:
        """Refuse what is no number of beams."""
        within(1, 64, beams=self.beams, fires=self.fires)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Keep some points of some beams; which ones is random."""
        beam = beam_of(sweep)
        kept = beam % self.beams == rng.integers(self.beams)
        # along a beam points are counted by their azimuth
        azimuth = np.arctan2(sweep.points[:, 1], sweep.points[:, 0])
        order = np.lexsort((azimuth, beam))
        counted = np.empty(len(order), np.int64)
        counted[order] = np.arange(len(order))
        return keep(sweep.points, kept & (counted % self.fires == rng.integers(self.fires)))


@dataclass(frozen=True)
class Crosstalk(Corruption):
    """Pulses of another LiDAR: some echoes are taken for nearer ones, at any distance before the scene.

    Args:
        share: of the points.
    """

    share: float

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, share=self.share)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Move some points along their beams; they are nobody's."""
        found = keep(sweep.points)
        moved = rng.random(len(sweep.points)) < self.share
        points = found.points.copy()
        distance = reach(points)
        near = np.minimum(1.0, distance)
        to = near + rng.random(len(points)) * (distance - near)
        points[moved, :3] *= (to / distance)[moved, None]
        points[moved, 3] = rng.random(int(moved.sum()))
        return Echoes(points, found.source, moved)
