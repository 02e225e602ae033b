"""Motion blur, missing beams, crosstalk, incomplete echoes and another sensor, as Robo3D has them.

L. Kong et al., "Robo3D: Towards Robust and Reliable 3D Perception against Corruptions", ICCV 2023. Written from
descriptions and values, so not bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from lidar2d.data.weather.corruption import Corruption, Echoes, Sweep, keep
from lidar2d.data.weather.faults import beam_of
from lidar2d.errors import UsageError, within

# in the data sets that label points: nuScenes, SemanticKITTI
_VEHICLES = frozenset(
    ("bicycle", "bus", "car", "construction_vehicle", "motorcycle", "other_vehicle", "trailer", "truck")
)
_FEW = 10  # points: a class with no more is left as it is
_ACROSS, _UP = 0.1, 0.05  # of the shift's standard deviation, each point's own


@dataclass(frozen=True)
class MotionBlur(Corruption):
    """The whole sweep is shifted, and each of its points trembles.

    Args:
        shift: metres, standard deviation of the sweep's shift along each axis.
    """

    shift: float

    def __post_init__(self) -> None:
        """Refuse what is no length."""
        within(0, 10, shift=self.shift)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Shift the sweep and move its points."""
        found = keep(sweep.points)
        own = rng.standard_normal((len(sweep.points), 3)) * [_ACROSS, _ACROSS, _UP]
        found.points[:, :3] += (self.shift * (rng.standard_normal(3) + own)).astype(np.float32)
        return found


@dataclass(frozen=True)
class BeamMissing(Corruption):
    """Beams that fail, drawn with replacement: of so many draws, fewer beams are lost.

    Args:
        count: of the draws.
        lowest: beam that may fail, counted from below from 0.
        highest: beam that may fail.
        of: beams of the sensor that these numbers are of.
    """

    count: int
    lowest: int
    highest: int
    of: int

    def __post_init__(self) -> None:
        """Refuse beams that the sensor has not."""
        within(1, 1024, of=self.of)
        within(0, self.of, count=self.count)
        within(0, self.of - 1, lowest=self.lowest)
        within(self.lowest, self.of - 1, highest=self.highest)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Leave the points of the failed beams out.

        Raises:
            UsageError: if the sensor has another number of beams.
        """
        if sweep.beams != self.of:
            raise UsageError(
                f"beams are lost of a LiDAR with {self.of}, and this one has {sweep.beams}\n"
                "take the table that is named after the data set: --data.weather.table"
            )
        failed = rng.integers(self.lowest, self.highest + 1, self.count)
        return keep(sweep.points, ~np.isin(beam_of(sweep), failed))


@dataclass(frozen=True)
class Crosstalk(Corruption):
    """Points that another LiDAR disturbs: a normal error in all they have, also in their intensity.

    Args:
        share: of the points.
        spread: standard deviation of the error, metres, and steps of the intensity as the data set stores it.
        scale: steps of the stored intensity between 0 and 1.
    """

    share: float
    spread: float
    scale: float

    def __post_init__(self) -> None:
        """Refuse what is no share, no length or no scale."""
        within(0, 1, share=self.share)
        within(0, 100, spread=self.spread)
        within(1e-6, scale=self.scale)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Disturb some points; they are nobody's."""
        found = keep(sweep.points)
        disturbed = rng.permutation(len(sweep.points)) < round(self.share * len(sweep.points))
        error = self.spread * rng.standard_normal((len(sweep.points), 4), dtype=np.float32)[disturbed]
        found.points[disturbed, :3] += error[:, :3]
        intensity = found.points[disturbed, 3] + error[:, 3] / np.float32(self.scale)
        found.points[disturbed, 3] = np.clip(intensity, 0, 1)
        return Echoes(found.points, found.source, disturbed)


@dataclass(frozen=True)
class IncompleteEcho(Corruption):
    """Vehicles of dark paint, which send back less than is needed: found by the labels of points.

    Args:
        share: of the points of each class of vehicles with more than ten of them that is lost.
    """

    share: float
    reads_labels: ClassVar[bool] = True
    everywhere: ClassVar[bool] = False  # not everybody sees a vehicle

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        within(0, 1, share=self.share)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Leave points of vehicles out.

        Raises:
            UsageError: if the data set knows no vehicle.
        """
        vehicles = [index for index, name in enumerate(sweep.classes) if name in _VEHICLES]
        if sweep.labels is None or not vehicles:
            raise UsageError("incomplete echoes are those of vehicles, and no class of this data set's points is one")
        kept = np.ones(len(sweep.points), bool)
        for index in vehicles:
            rows = np.flatnonzero(sweep.labels == index)
            if len(rows) > _FEW:
                kept[rng.permutation(rows)[: round(self.share * len(rows))]] = False
        return keep(sweep.points, kept)


@dataclass(frozen=True)
class CrossSensor(Corruption):
    """A sensor with fewer beams, of whose points every other one is left out.

    Args:
        step: every so many-th beam is left out, the second lowest first; fractions are rounded down to a beam.
    """

    step: float

    def __post_init__(self) -> None:
        """Refuse what would leave no beam."""
        within(1.01, 64, step=self.step)

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:  # noqa: ARG002 nothing is random about it
        """Keep every other point, in the file's order, of the beams that are there."""
        missing = np.floor(np.arange(1, sweep.beams, self.step)).astype(np.int64)
        kept = np.flatnonzero(~np.isin(beam_of(sweep), missing))[::2]
        return Echoes(sweep.points[kept], kept, np.zeros(len(kept), bool))
