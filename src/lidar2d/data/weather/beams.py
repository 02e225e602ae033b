"""One beam, two echoes: that of the scene, dimmed by what is in the air, and that of the air; the stronger is returned.

Signals are powers at the receiver: a surface of intensity i at r metres gives i / r^2 in clear air.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from lidar2d.data.weather.corruption import Echoes, Floats, Sweep

_DIMMEST = 0.5 / 255  # intensity of points whose own is 0: half a step of eight bits
_FAINT = 0.02  # share of a clear sweep's points that the sensor sees by luck
_STEEP = 4.0  # how fast luck turns with the power of an echo
_RANGE_NOISE = 0.02  # metres, of a strong echo
NEAR, CLEAR = 0.9, 1.0  # metres, from which on the receiver sees anything, and all: Hahner et al., ICCV 2021


def reach(points: Floats) -> Floats:
    """Return the distance (N,) of points to the LiDAR, metres."""
    found: Floats = np.sqrt(np.einsum("nc,nc->n", points[:, :3], points[:, :3]))
    return np.maximum(found, 1e-3)


def signal(points: Floats) -> Floats:
    """Return the power (N,) of clear echoes."""
    found: Floats = np.maximum(points[:, 3], np.float32(_DIMMEST)) / np.square(reach(points))
    return found


def floor(clear: Floats) -> float:
    """Return the power that the sensor tells from noise every second time, judged by the clear sweep (N,) itself.

    Its faintest points are about as faint as the sensor can see; with that, nothing has to be known of the sensor.
    """
    return float(np.quantile(clear, _FAINT)) if len(clear) else 0.0


def odds(power: Floats, least: float) -> Floats:
    """Return how often (N,) the sensor sees echoes of a power (N,), 0..1."""
    weaker = np.minimum(np.float32(least) / np.maximum(power, np.float32(1e-30)), np.float32(1e9))  # nothing, for sure
    found: Floats = 1 / (1 + weaker ** np.float32(_STEEP))
    return found


def strongest(
    sweep: Sweep,
    through: Floats,
    rng: Generator,
    air: Floats | None = None,
    place: Floats | None = None,
    brightness: Floats | None = None,
) -> Echoes:
    """Return the stronger echo of each beam, if the sensor can see it.

    What was seen in clear air is seen again as often as its odds have fallen: air without weather takes no point away,
    and thin air few. Ranges jitter as the echo drowns: the error of a pulse's time is inverse to its amplitude.

    Args:
        sweep: in clear air.
        through: (N,) share of the power that comes back through the air, there and back.
        rng: of luck and of the jitter.
        air: (N,) power of the echo from the air, 0 where there is none; None for all.
        place: (N,) metres to that echo.
        brightness: (N,) its intensity, 0..1.
    """
    clear = signal(sweep.points)
    least = floor(clear)
    hard = clear * through
    spread = _RANGE_NOISE * np.sqrt(np.maximum(1 / np.maximum(through, 1e-6) - 1, 0))
    away = rng.standard_normal(len(clear), dtype=np.float32) * spread
    distance = reach(sweep.points)
    found = np.maximum(distance + away, np.float32(0.1))
    intensity = sweep.points[:, 3] * through
    luck = rng.random(len(clear), dtype=np.float32)
    seen, synthetic = luck * odds(clear, least) < odds(hard, least), np.zeros(len(clear), bool)
    if air is not None:
        assert place is not None
        assert brightness is not None
        synthetic = (air > hard) & (air >= least)
        seen |= synthetic
        found, intensity = np.where(synthetic, place, found), np.where(synthetic, brightness, intensity)
    source: NDArray[np.int64] = np.flatnonzero(seen)
    points = sweep.points[source].copy()
    points[:, :3] *= (found / distance)[source, None]
    points[:, 3] = np.clip(intensity[source], 0, 1)
    return Echoes(points, source, synthetic[source])
