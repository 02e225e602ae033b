"""Fog of one meteorological visibility, for cameras and LiDARs alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from lidar2d.data.weather.air import veiled
from lidar2d.data.weather.beams import CLEAR, NEAR, reach, signal, strongest
from lidar2d.data.weather.corruption import Corruption, Echoes, Floats, Sweep, View
from lidar2d.errors import within

CONTRAST = 0.05  # that is left at the visibility: the World Meteorological Organization's optical range
_PULSE = 20e-9  # seconds, half-power width of the pulse: Hahner et al., ICCV 2021
_LIGHT = 299_792_458.0  # metres per second
_TARGET = 1e-6 / np.pi  # differential reflectivity of the hard target, 1 / sr: ibid., for their LiDAR
_BACK = 0.046  # backscatter coefficient times visibility, 1 / sr: ibid., after Rasshofer et al., 2011
_STEP, _FARTHEST = 0.1, 250.0  # metres: of the table, and of the farthest target in it
FOG_JITTER = 10.0  # metres, of the original range, which echoes of fog are spread by: ibid.


def extinction(visibility: float) -> float:
    """Return the share of light that is lost per metre: Koschmieder's law, ln 20 / visibility."""
    return float(-np.log(CONTRAST) / visibility)


@dataclass(frozen=True)
class Fog(Corruption):
    """Fog. Droplets are far larger than either wavelength, so both sensors share one extinction.

    Args:
        visibility: metres at which 5 % of the contrast is left.
    """

    visibility: float

    def __post_init__(self) -> None:
        """Refuse what is no distance."""
        within(1, 1e9, visibility=self.visibility)

    def picture(self, view: View, rng: Generator) -> Tensor:  # noqa: ARG002 nothing is random about it
        """Lay air light over the scene by its distance: Koschmieder's law in linear light."""
        return veiled(view, torch.exp(-extinction(self.visibility) * view.reach))

    def echoes(self, sweep: Sweep, rng: Generator) -> Echoes:
        """Let beams end in the fog where its echo is the stronger one.

        Hahner et al., "Fog Simulation on Real LiDAR Point Clouds for 3D Object Detection in Adverse Weather", ICCV
        2021: the target's echo, the fog's, and the larger of the two.
        """
        distance = reach(sweep.points)
        through = np.exp(-2 * extinction(self.visibility) * distance)
        ratio, place = soft_by_hard(self.visibility, distance)
        jitter = rng.uniform(-1, 1, len(distance)).astype(np.float32) * np.float32(FOG_JITTER)
        moved = np.clip(place * (distance + jitter) / distance, NEAR, distance)
        air = signal(sweep.points) * through * ratio
        return strongest(sweep, through, rng, air, moved, sweep.points[:, 3] * through * ratio)


def soft_by_hard(visibility: float, distance: Floats) -> tuple[Floats, Floats]:
    """Return the echo of fog of a visibility in metres as :func:`echo_by_target` does."""
    return echo_by_target(extinction(visibility), _BACK / visibility, distance)


def echo_by_target(loss: float, backscatter: float, distance: Floats) -> tuple[Floats, Floats]:
    """Return the fog's echo as a share of the target's, and where it is strongest.

    Args:
        loss: share of light that is lost per metre.
        backscatter: coefficient of the fog, 1 / (m sr).
        distance: (N,) metres to the target.

    Returns:
        ratio (N,), and place (N,) in metres.
    """
    ratios, places = _table(loss, backscatter)
    cell = np.clip(distance / _STEP, 0, len(ratios) - 1)
    low = cell.astype(np.int64)
    share = (cell - low).astype(np.float32)
    high = np.minimum(low + 1, len(ratios) - 1)
    ratio: Floats = ratios[low] * (1 - share) + ratios[high] * share
    return ratio, places[low]


def mist_echo(extinction: Tensor, distance: Tensor) -> Tensor:
    """Return the power of the echo of mist about a place, of a LiDAR whose hard targets have intensity 1.

    Args:
        extinction: (N,) of the mist there, 1 / m.
        distance: (N,) metres to it.
    """
    backscatter = _BACK / -np.log(CONTRAST) * extinction
    power: Tensor = backscatter / _TARGET * _PULSE / distance**2
    return power


@lru_cache(maxsize=32)
def _table(loss: float, backscatter: float) -> tuple[Floats, Floats]:
    """Tabulate both for targets at 0, 0.1, 0.2, ... metres.

    The fog's echo is the pulse folded with what comes back from every depth before the target. It is strongest a few
    metres from the sensor, so that farther targets share it.
    """
    length = _LIGHT * _PULSE  # metres of air that a pulse of 2 tau_H lights at a time
    fine = _STEP / 4
    depth = (np.arange(round(2 * length / fine)) + 0.5) * fine
    overlap = np.clip((depth - NEAR) / (CLEAR - NEAR), 0, 1)  # of the receiver's view with the beam
    response = overlap * np.exp(-2 * loss * depth) / np.square(depth)
    behind = (np.arange(round(length / fine)) + 0.5) * fine
    pulse = np.square(np.sin(np.pi * behind / length)) * 2 * fine / _LIGHT  # the integral is over time
    targets = np.arange(round(_FARTHEST / _STEP)) * _STEP
    best, place = np.zeros(len(targets)), np.zeros(len(targets))
    for row, target in enumerate(targets):
        if target > length:
            best[row:], place[row:] = best[row - 1], place[row - 1]
            break
        echo = np.convolve(np.where(depth <= target, response, 0), pulse)
        best[row], place[row] = echo.max(), (int(echo.argmax()) + 1) * fine
    ratio = np.square(targets) * (backscatter / _TARGET) * best * np.exp(2 * loss * targets)
    return ratio.astype(np.float32), place.astype(np.float32)
